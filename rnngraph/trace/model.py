"""The Trace: what one backward pass showed, as columns of numbers and names.

It is the waist of the package: `record` and the sources make one, `diagnosis`, `graph` and `render`
read one. It holds no tensors, no model and no code, so a saved trace tells everything that a live one does.

`T` is the number of timesteps. A timestep is always the position in the input, in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes

if TYPE_CHECKING:
    from pathlib import Path

FORWARD, REVERSE = "forward", "reverse"


WITHOUT_LAGS = "no lags are given: "  # begins the note of a trace that says why it has none


@dataclass(frozen=True, slots=True)
class StateTrace:
    """One state (`h`, or the `c` of an LSTM) of one layer and direction over all timesteps.

    Norms run over batch and units. `immediate` is what reaches `h_t` from consumers at its own timestep,
    `carried` what reaches it through the recurrence from the step processed next.
    """

    name: str
    layer: int
    direction: str
    kind: str
    cell: str
    initial: Magnitudes  # () gradient of the initial state
    grad: Magnitudes  # (T,)
    immediate: Magnitudes  # (T,)
    carried: Magnitudes  # (T,)
    quantiles: Magnitudes  # (3, T) 10th, 50th, 90th percentile over samples
    gain: Floats  # (T,) ‖carried_t‖ / ‖grad of the step processed next‖; NaN where there is none
    gain_activation: Floats  # (T,) nats; with gain_weights it adds up to ln gain; NaN for gated cells
    gain_weights: Floats  # (T,) nats
    saturated: Floats  # (T,) share of units with an activation derivative below 0.05; NaN unobserved
    activation: Floats  # (T,) root mean square of the state's value; NaN unobserved
    zeros: Integers  # (T,) exact zeros in the gradient
    nonfinite: Integers  # (T,) NaN and infinity in the gradient
    cut: Booleans  # (T,) the recurrence that leads into this step was cut (detach, truncated BPTT)
    nodes: Integers  # (T,) node ids in `Trace.graph`; -1 where there is none


@dataclass(frozen=True, slots=True)
class GateTrace:
    """One gate of one layer and direction: `i f o g` of an LSTM, `r z n` of a GRU."""

    name: str
    layer: int
    direction: str
    gate: str
    mean: Floats  # (T,)
    saturated: Floats  # (T,) share of units with a derivative below 0.05 of the gate's own maximum scale
    log_mean: Floats  # (H,) mean of ln(f) (of ln(z) for a GRU's z) over valid steps and samples; NaN elsewhere


@dataclass(frozen=True, slots=True)
class ParameterTrace:
    """One parameter: the norm of every timestep's contribution, of their sum, and how far they cancel."""

    name: str
    shape: tuple[int, ...]
    grad: Magnitudes  # ()
    steps: Magnitudes  # (T,)
    cancellation: float  # ‖sum of steps‖ / sum of ‖step‖, in [0, 1]; NaN unobserved
    norm: float  # Frobenius norm of the value
    spectral_radius: float  # of a recurrent weight's (square) value; NaN elsewhere or unobserved
    largest_singular_value: float  # likewise


@dataclass(frozen=True, slots=True)
class InputTrace:
    """What enters the first recurrent layer: the norm of its gradient at every timestep."""

    name: str
    steps: Magnitudes  # (T,)


@dataclass(frozen=True, slots=True)
class GraphTrace:
    """The recorded computation graph, one row a node in tape order.

    Small tables (`ops`, `labels`, `scopes`, `shapes`) are indexed by the integer columns. A scope's text is
    its path without the timestep, such as `rnn.0/forward`; `timestep` is -1 outside the unrolled steps.
    """

    ops: tuple[str, ...]
    labels: tuple[str, ...]  # a label an op
    scopes: tuple[str, ...]
    shapes: tuple[str, ...]
    names: dict[str, str]  # node id (as text) -> name, where a node has one
    op: Integers  # (nodes,)
    scope: Integers  # (nodes,)
    shape: Integers  # (nodes,)
    timestep: Integers  # (nodes,)
    inputs: Integers  # (edges,) ids of inputs, node after node
    offsets: Integers  # (nodes + 1,) a node's inputs are inputs[offsets[n]:offsets[n + 1]]
    grad: Magnitudes  # (nodes,)
    first_nonfinite_forward: int  # node id, -1 where everything is finite
    first_nonfinite_backward: int

    def first_nonfinite(self) -> dict[str, int]:
        """Give the node that NaN or infinity first comes out of, for each pass that has one: `forward`, `backward`."""
        found = {"forward": self.first_nonfinite_forward, "backward": self.first_nonfinite_backward}
        return {way: int(node) for way, node in found.items() if 0 <= node < len(self.op)}

    def describe(self, node: int) -> str:
        """Say in words which node this is: its op, its name, and where it is."""
        scope, t = self.scopes[int(self.scope[node])], int(self.timestep[node])
        what = f"{self.ops[int(self.op[node])]} {self.names.get(str(node), '')}".rstrip()
        where = [f"node {node}", *([scope] if scope else []), *([f"t={t}"] if t >= 0 else [])]
        return f"{what} ({', '.join(where)})"


@dataclass(frozen=True, slots=True)
class LagTrace:
    """Norms of `∂L_s/∂h_k` for one state, natural logarithms; see `trace/lags.py`.

    Not measured: what comes after the birth of the loss in processing order, lags beyond `max_lag`, and timesteps
    before `followed`, where the gain had fallen below `floor` in every sample and state.
    """

    state: str
    losses: Integers  # (S,) loss timesteps s that were taken
    samples: Integers  # (B,) sample indices that were taken
    log: Floats  # (B, S, T + 1) ln of the norm, column 0 the initial state; -inf zero, inf non-finite, NaN unmeasured
    copied: Booleans  # (B, T) the step into t copied the state (padding) and is not counted as a lag
    severed: Booleans  # (B, T) nothing leads back over the step into t: a cut, or a state set to zero
    available: int  # loss steps that the tape holds, of which `losses` were taken
    batch: int  # samples that the tape holds, of which `samples` were taken
    births: Integers  # (B, S) the timestep at which each loss enters this state, from which lags are counted
    followed: Integers  # (S,) the earliest timestep to which each loss was followed, -1 the initial state
    floor: float  # ln of the gain below which a loss was no longer followed; -inf none
    max_lag: int | None  # steps after which a loss was no longer followed


@dataclass(frozen=True, slots=True)
class SpectrumTrace:
    """Finite-time spectrum of the recurrence, per layer stack; see `trace/spectrum.py`."""

    name: str
    lyapunov: Floats  # (k,) nats per step, largest first
    singular: Floats  # (T,) largest singular value of every one-step Jacobian; NaN unobserved
    product_log: float  # ln of the largest singular value of the whole product; NaN unobserved


@dataclass(frozen=True, slots=True)
class Trace:
    """One traced forward and backward pass. Save with `save`, read back with `Trace.load`."""

    model: str
    source: str
    batch: int
    timesteps: int
    dtype: str
    loss: float  # NaN where no scalar loss was given
    loss_steps: Floats  # (T,) each timestep's part of the loss; NaN unobserved
    labels: tuple[str | None, ...]  # (T,) the text of the step, such as the first sample's word
    valid: Booleans  # (N, T) False in padding: after a sample's last step that bears a loss
    states: tuple[StateTrace, ...]
    gates: tuple[GateTrace, ...]
    parameters: tuple[ParameterTrace, ...]
    inputs: tuple[InputTrace, ...]
    graph: GraphTrace
    lags: tuple[LagTrace, ...] = ()
    spectrum: tuple[SpectrumTrace, ...] = ()
    notes: tuple[str, ...] = ()  # sentences that a reader of the numbers must know

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
            FileError: there is no such file, or it is damaged, foreign, or of a newer schema.
            InputError: the path is no path.
        """
        from rnngraph.trace.store import load

        return load(path)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Show the picture of the trace in a notebook."""
        from importlib import import_module  # the drawing is above this layer and is met only when a notebook asks

        drawing = import_module("rnngraph.graph.draw").draw(self)
        return dict(drawing._repr_mimebundle_())


def parameter_of(trace: Trace, state: StateTrace, key: str) -> ParameterTrace | None:
    """Find a parameter of the layer and direction that a state belongs to: `Wh` of `lstm.c_l1` is `lstm.Wh_l1`."""
    layer, _, last = state.name.rpartition(".")
    name = f"{layer}.{key}{last.removeprefix(state.kind)}"
    return next((parameter for parameter in trace.parameters if parameter.name == name), None)
