"""The command line, and the composition root: the one place that knows which backend stands behind a seam.

Heavy packages are imported by the commands that need them, so that ``perilune --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from perilune.cli.parser import build_parser
from perilune.errors import PeriluneError

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = build_parser().parse_args(arguments)
    _hush()
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except PeriluneError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt as error:
        return _complain(_interrupted(options), getattr(error, "exit_code", _INTERRUPTED))
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        from perilune.run.interruptions import told

        message = told(error)
        if message is None:
            raise
        return _complain(f"{message}. {_interrupted(options)}", PeriluneError.exit_code)
    return status


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"perilune: {message}\n")
    return status


def _hush() -> None:
    """Keep third parties' advice off the terminal, unless Python was told what to do with warnings."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _interrupted(options: argparse.Namespace) -> str:
    """What was kept of a run, and how it goes on."""
    folder: Path | None = getattr(options, "run_folder", None)
    if folder is None or not (folder / "recipe.toml").exists():
        return "stopped; nothing was written"
    return f"stopped; every finished iteration is kept in {folder}. Go on with: perilune resume {folder}"
