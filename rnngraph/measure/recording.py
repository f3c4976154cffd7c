"""What measuring asks of a source: a recording of one forward and backward pass.

A source says which recurrences there are, lends their values and gradients a window of steps at a time, and says what a
cotangent at the losses becomes at their states. The tape answers by its sweep, PyTorch by asking autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rnngraph.trace.cell import CellTrace
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes
from rnngraph.trace.model import InputTrace, ParameterTrace

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one recurrence before anything is measured."""

    name: str  # "lstm_l1"
    stem: str  # "lstm": the recurrences of one stack share it
    layer: int
    direction: str
    cell: CellTrace
    states: dict[str, str]  # kind -> name of the state, "lstm.c_l1"
    timesteps: int
    batch: int
    clock: int  # recurrences of one clock take the same step at the same time
    nodes: dict[str, Integers]  # kind -> node ids by timestep
    mask: Booleans | None = None  # (N, T) False where a sample copies its states
    cuts: Booleans | None = None  # (1, T) the step is cut from the one processed before it, as by `detach`
    anew: Booleans | None = None  # (N, T) a sample's states start anew there, as where an episode begins
    splits_gain: bool = False  # whether a step is a slope and then a product, and nothing else
    fed: str = ""  # the name of its input where the network itself is fed that; the output of a layer is none
    fed_weight: float = np.nan  # Frobenius norm of the weight that multiplies it; NaN where that is not known
    stride: int = 1  # from a step to the one that goes on from it: more where a state is read further back

    @property
    def severed(self) -> Booleans:
        """Tell where nothing goes back over the step, (N or 1, T)."""
        cuts = np.zeros((1, self.timesteps), bool) if self.cuts is None else self.cuts
        return cuts if self.anew is None else cuts | self.anew

    @property
    def reverse(self) -> bool:
        """Whether the last timestep is processed first."""
        return self.direction != "forward"


@dataclass(slots=True)
class Window:
    """Some steps of a recurrence, lent until the next: columns (steps, N, units) by kind of state.

    Gradients are empty where none were walked. A gated cell also lends its gates, (steps, N, gates, H).
    """

    recurrence: int
    steps: slice | Integers  # timesteps
    values: dict[str, Array]
    total: dict[str, Array] = field(default_factory=dict)
    immediate: dict[str, Array] = field(default_factory=dict)
    carried: dict[str, Array] = field(default_factory=dict)
    projected: Floats | None = None  # (steps,) norm of the gradient after the slope, of a cell that splits
    saturated: Array | None = None  # (steps, N, H) booleans, of the hidden state
    gates: Array | None = None
    gates_saturated: Array | None = None


@dataclass(frozen=True, slots=True)
class Reduced:
    """All steps of one state, of which a source lends norms in place of numbers, as those that stay on a GPU."""

    recurrence: int
    kind: str
    samples: Floats  # (T, N) norms of gradients
    immediate: Floats  # (T,); NaN where the two parts are not known
    carried: Floats  # (T,)
    zeros: Integers  # (T,)
    nonfinite: Integers  # (T,)
    activation: Floats  # (T,) NaN where values are not known
    saturated: Floats | None = None  # (T,)
    gates_mean: Floats | None = None  # (gates, T)
    gates_saturated: Floats | None = None  # (gates, T)
    kept: Floats | None = None  # (H,) mean logarithm of the gate that keeps the state


Take: TypeAlias = Callable[[Window | Reduced], None]


@dataclass(frozen=True)
class Losses:
    """What enters of the losses, each on the clock of the recurrence that it enters first."""

    norms: dict[int, Floats]  # clock -> (T, N)
    joint: bool = False  # one loss reads many steps at once, and stands at its last step

    @cached_property
    def pairs(self) -> Integers:
        """(clock, timestep) of every step that a loss enters, ascending, (L, 2)."""
        steps = {clock: np.flatnonzero((norms != 0).any(axis=1)) for clock, norms in sorted(self.norms.items())}
        some = [np.stack([np.full_like(one, clock), one], axis=1) for clock, one in steps.items()]
        found = np.concatenate([np.zeros((0, 2), np.int64), *some])
        return found[np.lexsort(found.T)[-1:]] if self.joint else found


# Stands for a kind where what is told is the input of a recurrence; of one that several read, of the first. The kind of
# a state has no dot.
FED = ".x"
# (recurrence, kind, timestep or -1 for the initial state, first row, logs of norms (rows, samples)); of several
# timesteps together, the first of them and logs (steps, rows, samples)
See: TypeAlias = Callable[[int, str, int, int, Floats], None]

# By the number of a recurrence: lags from 0 on, and ln of the norm of what the gradients of its weights get from losses
# at least so many steps away; NaN where that is not known.
Weighed: TypeAlias = dict[int, tuple[Integers, Floats]]


@dataclass(frozen=True, slots=True)
class Felt:
    """Where a gradient arrives whose numbers were rounded to zero: nothing underflows in what told this."""

    total: dict[tuple[int, str], Booleans]  # (recurrence, kind) -> (T + 1,), entry 0 the initial state
    immediate: dict[tuple[int, str], Booleans]  # (T,) from the step itself
    carried: dict[tuple[int, str], Booleans]  # (T,) from the step processed next


class Recording(Protocol):
    """One pass of a model, forward and back."""

    model: str
    dtype: str
    batch: int  # samples
    loss: float  # NaN where there is no scalar loss
    labels: Sequence[str | None]
    walked: bool  # whether there are gradients
    facts: Sequence[Facts]

    def walk(self, take: Take) -> None:
        """Walk the whole loss back once and lend every window; without gradients, lend the values alone."""

    def initial(self, recurrence: int, kind: str) -> float | None:
        """Give the norm of the gradient of an initial state, after the walk; None where there is no such state."""

    def felt(self) -> Felt:
        """Walk once more in numbers that cannot underflow."""

    def valid(self, recurrence: int) -> Booleans:
        """Tell data from padding, (N, T)."""

    def loss_steps(self, timesteps: int) -> Floats:
        """Give each timestep's part of the loss, NaN where it is not known."""

    def parameters(self, timesteps: int, *, eigenvalues: int) -> tuple[ParameterTrace, ...]:
        """Measure the parameters, after the walk; `eigenvalues` of recurrent weights with up to so many rows."""

    def inputs(self, timesteps: int) -> tuple[InputTrace, ...]:
        """Measure what enters, after the walk."""

    def graph(self, states: dict[str, Magnitudes]) -> GraphTrace:
        """Give the recorded graph; the gradients of `states` by name are known already."""

    def read_as(self, joint: bool | None) -> None:
        """Take the loss for one that reads many steps at once, or for a loss of every step; None asks the loss."""

    def losses(self) -> Losses:
        """Say which steps a loss enters."""

    def pull(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
        """Walk losses back together, each a row given by (clock, timestep), for the chosen samples of a batch size.

        Norms at what the network is fed are told too, as those of the kind `FED`, where they are known.
        """


@runtime_checkable
class Stepwise(Protocol):
    """What a recording offers beside the protocol where the steps of its recurrences are known one by one."""

    facts: Sequence[Facts]

    def valid(self, recurrence: int) -> Booleans:
        """Tell data from padding, as of every recording."""

    def units(self, recurrence: int, kind: str) -> int:
        """Give the number of units of a state."""

    def back(self, group: Sequence[int], t: int, rows: dict[tuple[int, str], Array], samples: Integers) -> Any:
        """Multiply rows (k, samples, units) of the states at t by the transposed Jacobian of the step into t.

        Returns:
            the rows of the states before, by (recurrence, kind); nothing where the state before is not known.
        """


@runtime_checkable
class Weighing(Protocol):
    """What a recording offers beside the protocol where it knows the factors of the weights' gradients step by step."""

    weighs_unasked: bool  # whether that costs little beside the walk

    def pull_weighed(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> Weighed:
        """Walk losses back as `pull` does, and sum what the weights get of them."""


def nothing(shape: tuple[int, ...]) -> Floats:
    """Give a column of which nothing is known."""
    found = np.empty(shape)
    found.fill(np.nan)  # a third of the time of np.full
    return found
