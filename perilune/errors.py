"""What can go wrong and be told to a user in one message.

PeriluneError
├── RecipeError          a recipe is missing, malformed, or names something that does not exist
├── ProblemsError        a problem source cannot be read, or holds nothing usable
├── ModelError           a model or tokenizer cannot be loaded or used
├── RunFolderError       a run folder exists already, is missing, or is not whole
├── RewardError          the grading workers cannot work
│   └── NothingGraded    every grading of an iteration, an evaluation or a curation's step ended in an error
├── SandboxError         the sandbox was asked for what it cannot do, or is closed
│   └── SandboxUnavailable   programs cannot be isolated on this machine, so none is run
├── EngineError          the rollout engine cannot go on
├── TrainerError         the trainer cannot go on
└── BackendUnavailable   a backend is named that this machine cannot run

Each message says what is wrong, why, and what to do. The command line prints the message alone and exits with
:attr:`PeriluneError.exit_code`; anything that is not a PeriluneError is a bug and shows its traceback.
"""

from __future__ import annotations


class PeriluneError(Exception):
    """Base of every failure that a user can mend."""

    exit_code = 2


class RecipeError(PeriluneError):
    """A recipe is missing, malformed, or names something that does not exist."""


class ProblemsError(PeriluneError):
    """A problem source cannot be read, or holds nothing usable."""


class ModelError(PeriluneError):
    """A model or tokenizer cannot be loaded or used."""


class RunFolderError(PeriluneError):
    """A run folder exists already, is missing, or is not whole."""


class RewardError(PeriluneError):
    """The grading workers cannot work."""


class NothingGraded(RewardError):
    """Every grading of an iteration, an evaluation or a curation's step ended in an error."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h


class SandboxError(PeriluneError):
    """The sandbox was asked for what it cannot do, or is closed."""


class SandboxUnavailable(SandboxError):
    """Programs cannot be isolated on this machine, so none is run."""


class EngineError(PeriluneError):
    """The rollout engine cannot go on."""


class TrainerError(PeriluneError):
    """The trainer cannot go on."""


class BackendUnavailable(PeriluneError):
    """A backend is named that this machine cannot run."""
