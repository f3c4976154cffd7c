"""A diagnosis as data, without its text: what the report and the headline are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rnngraph.diagnosis.finding import Finding
from rnngraph.diagnosis.remedies.tried import Tried
from rnngraph.diagnosis.update import Update


@dataclass(frozen=True, slots=True)
class LayerVerdict:
    """What one layer's own states make of a gradient: a line below the verdict on the network. Gains in decades."""

    name: str
    layer: int
    direction: str
    verdict: str
    horizon: int
    left: float  # at the horizon, of what there was a step back, as it is counted everywhere
    decades: float  # of what there was where the loss reads the layer: G
    decades_from_first: float  # of what there was a step before: G1
    peak: float
    rate: float
    half_life: float | None
    update: Update | None = None  # the share of its weights' gradient from the horizon on: U


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a network, with everything that it rests on.

    `decades` is what is left at the horizon, end to end: at what the network is fed where that is known (`at_input`),
    of what there was at lag 1, summed over losses and samples (-inf for an exact zero, NaN where there is none).
    `reach` is the last lag at which `thresholds["epsilon"]` of it is left, `whole` where that is all that was measured.
    `asked` is the lag that the task was said to need. `rate` is the slope of the
    layer that decides, in nats per step. `participation` says which share of losses and samples carries it.
    """

    model: str
    verdict: str
    flags: tuple[str, ...]
    horizon: int
    decades: float
    rate: float
    half_life: float | None
    measured: str  # which losses and samples were taken
    thresholds: Mapping[str, float]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()  # of the trace: what a reader of the numbers must know
    checks: tuple[str, ...] = ()  # of the trace: what was compared with another way to it, and agrees
    spectrum: Mapping[str, Any] | None = None
    reach: int | None = None
    whole: bool = False
    asked: int | None = None
    at_input: bool = False
    joint: bool = False  # a loss reads many steps at once
    participation: Mapping[str, float] = field(default_factory=dict)
    by_layer: tuple[LayerVerdict, ...] = ()
    cell: str = ""  # the title of the layer that decides
    tried: tuple[Tried, ...] = ()  # what was tried, in vain or not
    able: bool = False  # whether anything could be tried
    update: Update | None = None  # the share of all recurrences' weights' gradient from the horizon on: U
    # The recurrence in which no loss enters, such as an encoder under a decoder, in whose steps these are counted.
    horizon_in: str = ""
    reach_in: str = ""

    @property
    def healthy(self) -> bool:
        """Whether the verdict is healthy."""
        return self.verdict == "healthy"

    @property
    def memory_horizon(self) -> int | None:
        """The reach, by its older name."""
        return self.reach
