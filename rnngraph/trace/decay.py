"""What the decays of linear recurrences say, as data: half-lives by layer, findings, and what was not read.

Filled by `sources.decay`, shown by `render.report.decay`. A half-life is a number of steps at zero input:
0 where the rate is infinite, infinite where it is 0, NaN where it is no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace
from rnngraph.trace.quantile import quantile

SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)  # of the quantiles that everything is reported by
ROOT = "(root)"  # the name of a layer that is the module itself

Five: TypeAlias = tuple[float, float, float, float, float]
Value: TypeAlias = float | int | str


@dataclass(frozen=True, slots=True)
class DecayFinding:
    """One thing that is wrong with a layer's decays; half-lives in `evidence` are in steps."""

    rule: str
    severity: str  # error or warning
    layer: str
    evidence: Mapping[str, Value]
    cause: str
    advice: str
    text: str  # one sentence for a person


@dataclass(frozen=True, slots=True)
class LiveDecay:
    """What a layer did on a real batch.

    `half_lives` has the shape of the layer's own and holds ln 2 over the mean rate of each decay; None where the gate
    was not seen. `credit` holds `∂L_s/∂u_k` at the layer's own input; None where it could not be measured.
    """

    half_lives: Floats | None
    credit: LagTrace | None
    notes: tuple[str, ...] = ()

    @property
    def quantiles(self) -> Five | None:
        """The half-lives at 0, 10, 50, 90 and 100 %, None where the gate was not seen."""
        return None if self.half_lives is None else five_numbers(self.half_lives)


@dataclass(frozen=True, slots=True)
class LayerDecay:
    """One layer read as one family.

    `published` holds the lowest and the highest quantiles that the family's own start gives, None where several starts
    are in use. A layer that is not judged fits more than one family.
    """

    name: str
    family: str
    formula: str
    half_lives: Floats  # (heads,) or (heads, channels), in steps
    published: tuple[Five, Five] | None = None
    origin: str = ""  # where the published start comes from
    settings: Mapping[str, float] = field(default_factory=dict)  # what the formula took from the configuration
    judged: bool = True
    findings: tuple[DecayFinding, ...] = ()
    live: LiveDecay | None = None

    @property
    def n(self) -> int:
        """The number of decays: heads, channels, or both multiplied."""
        return int(self.half_lives.size)

    @property
    def quantiles(self) -> Five:
        """The half-lives at 0, 10, 50, 90 and 100 %, in steps."""
        return five_numbers(self.half_lives)

    @property
    def shown_name(self) -> str:
        """The layer's name, also where it is the module itself."""
        return self.name or ROOT


@dataclass(frozen=True, slots=True)
class Unread:
    """A tensor that looks like a decay and was not read."""

    name: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class DecayReport:
    """The decays of a checkpoint or a module, with everything that was concluded."""

    source: str
    layers: tuple[LayerDecay, ...]
    unread: tuple[Unread, ...]
    fresh: bool  # the weights are an initialisation
    context: int | None  # steps of the sequences that the model is for
    thresholds: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[DecayFinding, ...]:
        """The findings of all layers."""
        return tuple(one for layer in self.layers for one in layer.findings)

    def __repr__(self) -> str:
        """Write a line a layer and a line a finding."""
        return "\n".join(_lines(self))


def five_numbers(half_lives: Floats) -> Five:
    """Compute the quantiles at 0, 10, 50, 90 and 100 % with linear interpolation; NaN is left out.

    A quantile between a number and infinity is infinite.
    """
    flat = half_lives.reshape(-1)
    first, low, middle, high, last = (float(quantile(flat, share, axis=0)) for share in SHARES)
    return first, low, middle, high, last


def _lines(report: DecayReport) -> Iterator[str]:
    yield f"{report.source}: half-lives at zero input, in steps"
    for layer in report.layers:
        shortest, _, middle, _, longest = layer.quantiles
        numbers = f"shortest {shortest:.3g}, median {middle:.3g}, longest {longest:.3g}"
        yield f"{layer.shown_name}: {layer.family}, {layer.n} decays, {numbers}"
        yield from (f"  {one.rule.replace('_', ' ')}: {one.text}" for one in layer.findings)
    yield from (f"not read: {one.name} {one.shape}: {one.reason}" for one in report.unread)
    yield from (f"Note: {note}" for note in report.notes)
