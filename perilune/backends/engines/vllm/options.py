"""What vLLM is started with; plain values, so that they reach another process as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """Everything that the engine depends on, beside its weights."""

    model: str
    """Folder or hub id with the model's config; its weights are not read."""
    dtype: str
    """float32 or bfloat16."""
    device: str
    """cpu or cuda."""
    slots: int
    """Responses generated side by side."""
    end_tokens: tuple[int, ...]
    """Ids that end a response."""
    repetition: tuple[int, int, int]
    """Longest period, least repeats and least tokens of the early stop."""
    cache_gb: float | None
    """Key/value cache in GiB; None on a GPU: what ``memory_share`` leaves."""
    memory_share: float
    max_model_tokens: int | None
    tensor_parallel: int
    compiled: bool
    sleep: bool
    """Whether it is to give up its memory between rollouts without being ended."""
    threads: int
    """CPU threads."""
    device_index: int | None = None
    """Which GPU, if a certain one is meant."""
    seeded: bool = True
    """Whether each segment has a random generator of its own."""
    revision: str | None = None
    """Of a hub id."""

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What :meth:`to_json` gave, after a journey as JSON."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**fields)
