"""One thing that was found, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"

Value = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: which rule, how grave, where, on what evidence, why, and what to do.

    `where` may hold `state`, `layer`, `direction`, `timestep`, `sample`, `parameter`, `input` and `node`. Evidence
    that is a gain is in decades, a rate in nats per step.
    """

    rule: str
    severity: str
    where: Mapping[str, Value]
    evidence: Mapping[str, Value]
    cause: str
    advice: str
    text: str  # one sentence for a person
