"""The Trace: what one backward pass showed, as columns of numbers and names.

It is the waist of the package: the sources make one, `diagnosis`, `graph` and `render` read one. It holds no tensors,
no model and no code, so a saved trace tells everything that a live one does.

`T` is the number of timesteps of the longest recurrence; a shorter one has "not observed" beyond its end. A timestep is
always the position in the input, in both directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from rnngraph.display import Shown
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.declared import LARGEST_LOG, declared
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes

if TYPE_CHECKING:
    from pathlib import Path

FORWARD, REVERSE = "forward", "reverse"
LARGEST_STEP = 10**15  # of a training: more than anybody takes, and an exact float
WITHOUT_LAGS = "no lags are given: "  # begins the note of a trace that says why it has none


@dataclass(frozen=True, slots=True)
class RecurrenceTrace:
    """One layer in one direction, or one cell of a user's own: what its states, gates and lags have in common."""

    name: str  # "lstm_l1"; its states are "lstm.h_l1" and "lstm.c_l1"
    layer: Annotated[int, declared(least=0)]
    direction: str
    cell: str  # the name of a `CellTrace` of the trace
    timesteps: Annotated[int, declared(least=1)]  # its own
    clock: Annotated[int, declared(least=0)]  # recurrences of one clock take the same step at the same time
    valid: Annotated[Booleans, declared("samples", "own")]  # False in padding
    cut: Annotated[Booleans, declared("own")]  # the step was declared to be cut from the one processed before it

    @property
    def batch(self) -> int:
        """The number of samples."""
        return len(self.valid)


@dataclass(frozen=True, slots=True)
class StateTrace:
    """One state (`h`, or the `c` of an LSTM) of one layer and direction over all timesteps.

    Norms run over batch and units. `immediate` is what reaches `h_t` from consumers at its own timestep,
    `carried` what reaches it through the recurrence from the step processed next.
    """

    name: str
    recurrence: str  # the name of its `RecurrenceTrace`
    layer: int
    direction: str
    kind: str
    cell: str  # the name of its `CellTrace`
    initial: Annotated[Magnitudes, declared()]  # gradient of the initial state
    grad: Annotated[Magnitudes, declared("T")]
    immediate: Annotated[Magnitudes, declared("T")]
    carried: Annotated[Magnitudes, declared("T")]
    quantiles: Annotated[Magnitudes, declared(3, "T")]  # 10th, 50th, 90th percentile over samples
    gain: Annotated[Floats, declared("T", least=0)]  # ‖carried_t‖ / ‖grad of the step processed next‖; NaN: none
    gain_activation: Annotated[Floats, declared("T", least=-LARGEST_LOG, most=LARGEST_LOG)]  # nats; see gain_weights
    gain_weights: Annotated[Floats, declared("T", least=-LARGEST_LOG, most=LARGEST_LOG)]  # the two add up to ln gain
    saturated: Annotated[Floats, declared("T", least=0, most=1)]  # share of units with a derivative below 0.05
    activation: Annotated[Floats, declared("T", least=0)]  # root mean square of the state's value; NaN unobserved
    zeros: Annotated[Integers, declared("T", least=0)]  # exact zeros in the gradient
    nonfinite: Annotated[Integers, declared("T", least=0)]  # NaN and infinity in the gradient
    cut: Annotated[Booleans, declared("T")]  # nothing is carried back over this step (detach, truncated BPTT)
    nodes: Annotated[Integers, declared("T", least=-1, most="nodes")]  # ids in `Trace.graph`; -1: none


@dataclass(frozen=True, slots=True)
class GateTrace:
    """One gate of one layer and direction, such as the `f` of an LSTM."""

    name: str
    recurrence: str  # the name of its `RecurrenceTrace`
    layer: int
    direction: str
    gate: str
    mean: Annotated[Floats, declared("T", least=-1, most=1)]
    saturated: Annotated[Floats, declared("T", least=0, most=1)]  # share of units, derivative below 5 % of its most
    log_mean: Annotated[Floats, declared("H")]  # mean of its logarithm over valid steps, of a gate that keeps the state


@dataclass(frozen=True, slots=True)
class ParameterTrace:
    """One parameter: the norm of every timestep's contribution, of their sum, and how far they cancel."""

    name: str
    shape: tuple[int, ...]
    grad: Annotated[Magnitudes, declared()]
    steps: Annotated[Magnitudes, declared("T")]
    cancellation: Annotated[float, declared(least=0, most=1)]  # ‖sum of steps‖ / sum of ‖step‖; NaN unobserved
    norm: Annotated[float, declared(least=0)]  # Frobenius norm of the value
    spectral_radius: Annotated[float, declared(least=0)]  # of a recurrent weight's (square) value; NaN elsewhere
    largest_singular_value: Annotated[float, declared(least=0)]  # likewise


@dataclass(frozen=True, slots=True)
class InputTrace:
    """What enters a recurrent layer from outside: the norm of its gradient at every timestep."""

    name: str
    steps: Annotated[Magnitudes, declared("T")]


@dataclass(frozen=True, slots=True)
class LagTrace:
    """Norms of `∂L_s/∂h_k` for one state, natural logarithms; see `measure/lags.py`.

    Not measured: what comes after the arrival of the loss in processing order, and lags beyond `max_lag`.
    """

    state: str
    losses: Annotated[Integers, declared("S", least=0, most="T")]  # timesteps of those taken, each on its own clock
    clocks: Annotated[Integers, declared("S", least=0)]  # the clock of the recurrence that each loss enters
    samples: Annotated[Integers, declared("B", least=0)]  # sample indices that were taken
    log: Annotated[Floats, declared("B", "S", "own+1")]  # ln, column 0 the initial state; -inf zero, NaN unmeasured
    copied: Annotated[Booleans, declared("B", "own")]  # the step into t copied the state and is not counted as a lag
    severed: Annotated[Booleans, declared("B", "own")]  # nothing leads back over the step into t: a declared cut
    arrivals: Annotated[Integers, declared("B", "S", least=0, most="own")]  # where each loss first arrives: lag 0
    available: Annotated[int, declared(least=0)]  # loss steps that there are, of which `losses` were taken
    batch: Annotated[int, declared(least=1)]  # samples that there are, of which `samples` were taken
    max_lag: int | None  # steps after which a loss was no longer followed
    joint: bool = False  # one loss reads many steps at once


@dataclass(frozen=True, slots=True)
class InputLagTrace:
    """Norms of `∂L_s/∂x_k` for what the network is fed, natural logarithms, on every way from the losses.

    Losses, samples and steps are those of the lags of the recurrences that read it.
    """

    name: str
    recurrences: tuple[str, ...]  # that read it: the two directions of a layer read one input
    log: Annotated[Floats, declared("B", "S", "own")]  # ln; -inf zero, NaN unmeasured
    weight: Annotated[float, declared(least=0)] = math.nan  # Frobenius norm of what its first reader multiplies it by


@dataclass(frozen=True, slots=True)
class UpdateTrace:
    """What the weights of one recurrence get from losses that are at least so many steps away, over all its weights.

    Of the losses and samples of the lags. A lag counts steps that were taken, from where a loss first arrives.
    """

    recurrence: str  # the name of its `RecurrenceTrace`
    lags: Annotated[Integers, declared("U", least=0)]  # 0, 1, 2, 4, ...: the first entry of `log` is all of it
    log: Annotated[Floats, declared("U", least=-LARGEST_LOG, most=LARGEST_LOG)]  # ln ‖Σ dW of lags ≥ lag‖; NaN unknown


@dataclass(frozen=True, slots=True)
class SpectrumTrace:
    """Finite-time spectrum of the recurrence, per layer stack; see `measure/spectrum.py`."""

    name: str
    lyapunov: Annotated[Floats, declared("k")]  # nats per step, largest first
    singular: Annotated[Floats, declared("own", least=0)]  # largest singular value of each one-step Jacobian; NaN: none
    product_log: float  # ln of the largest singular value of the whole product; NaN unobserved


@dataclass(frozen=True, slots=True)
class Trace(Shown):
    """One traced forward and backward pass. Save with `save`, read back with `Trace.load`."""

    model: str
    source: str
    batch: Annotated[int, declared(least=1)]  # samples of the first recurrence
    timesteps: Annotated[int, declared(least=0)]  # of the longest recurrence
    dtype: str
    loss: float  # NaN where no scalar loss was given
    loss_steps: Annotated[Floats, declared("T")]  # each timestep's part of the loss; NaN unobserved
    labels: Annotated[tuple[str | None, ...], declared("T")]  # the step's text, such as the first sample's word
    valid: Annotated[Booleans, declared("N", "T")]  # of the first recurrence: False in padding
    graph: GraphTrace
    cells: tuple[CellTrace, ...]
    recurrences: tuple[RecurrenceTrace, ...]
    states: tuple[StateTrace, ...]
    gates: tuple[GateTrace, ...]
    parameters: tuple[ParameterTrace, ...]
    inputs: tuple[InputTrace, ...]
    lags: tuple[LagTrace, ...] = ()
    input_lags: tuple[InputLagTrace, ...] = ()
    updates: tuple[UpdateTrace, ...] = ()
    spectrum: tuple[SpectrumTrace, ...] = ()
    notes: tuple[str, ...] = ()  # sentences that a reader of the numbers must know
    checks: tuple[str, ...] = ()  # what was compared with another way to the same number, and agrees
    training_step: Annotated[int | None, declared(least=0, most=LARGEST_STEP)] = None  # optimizer steps taken before it
    training_loss: Annotated[float | None, declared()] = None  # of that step; None where no training was followed

    def __repr__(self) -> str:
        """Say in one line what was traced."""
        states = ", ".join(state.name for state in self.states[:4]) + (", ..." if len(self.states) > 4 else "")
        lags = f", lags of {len(self.lags[0].losses)} losses" if self.lags else ""
        return f"<Trace of {self.model or 'a network'}: {self.timesteps} steps, {states or 'no states'}{lags}>"

    def recurrence_of(self, one: StateTrace | GateTrace) -> RecurrenceTrace:
        """Give the recurrence that a state or a gate belongs to."""
        return next(recurrence for recurrence in self.recurrences if recurrence.name == one.recurrence)

    def cell_of(self, recurrence: RecurrenceTrace) -> CellTrace:
        """Give the facts of a recurrence's cell."""
        return next(cell for cell in self.cells if cell.name == recurrence.cell)

    def states_of(self, recurrence: RecurrenceTrace) -> tuple[StateTrace, ...]:
        """Give the states of a recurrence."""
        return tuple(state for state in self.states if state.recurrence == recurrence.name)

    def keeping_gate(self, recurrence: RecurrenceTrace) -> GateTrace | None:
        """Give the gate that keeps a recurrence's state from step to step; None where it has none."""
        keeps = self.cell_of(recurrence).keeps
        own = (gate for gate in self.gates if gate.recurrence == recurrence.name and gate.gate == keeps)
        return next(own, None)

    def recurrent_weight(self, state: StateTrace) -> ParameterTrace | None:
        """Give the recurrent weight of the layer and direction of a state: of `lstm.c_l1` it is `lstm.Wh_l1`."""
        layer, _, last = state.name.rpartition(".")
        return next((one for one in self.parameters if one.name == f"{layer}.Wh{last.removeprefix(state.kind)}"), None)

    def save(self, path: str | Path) -> None:
        """Write the trace to `path` (`.npz`), all or nothing.

        Raises:
            FileError: the folder does not exist or the file cannot be written.
            InputError: the path is no path.
        """
        from rnngraph.trace.store import save

        save(self, path)

    @staticmethod
    def load(path: str | Path) -> Trace:
        """Read a saved trace; nothing in the file is executed.

        Raises:
            FileError: there is no such file, or it is damaged, foreign, or of another schema.
            InputError: the path is no path.
        """
        from rnngraph.trace.store import load

        return load(path)
