"""Runs untrusted programs where they can harm nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.programs import Language, Limits, Program, Run, Submission


class Sandbox:
    """Runs untrusted programs; safe to call from many threads."""

    def __init__(
        self,
        *,
        workers: int = 2,
        mode: Literal["auto", "namespaces", "landlock"] = "auto",
        languages: Mapping[str, Language] = LANGUAGES,
        cache: Path | None = None,
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def mode(self) -> Literal["namespaces", "landlock"]:
        """How programs are isolated."""
        raise NotImplementedError

    def run(
        self,
        program: Program,
        inputs: Sequence[bytes],
        limits: Limits = Limits(),  # noqa: B008
        stop: Callable[[Run], bool] | None = None,
    ) -> Submission:
        """Run a program once per input, in order, with nothing carried from one run to the next."""
        raise NotImplementedError

    def close(self) -> None:
        """End every worker."""
