"""Each step's part of every weight: caught on its way to the weight, and assigned by the call whose node handed it on.

In: a pass and its recurrences. Out: a `ParameterTrace` a weight of a recurrence.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph import norms
from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.contribution import Array, Summed
from rnngraph.measure.parameter_trace import parameter_trace, weight_spectrum
from rnngraph.sources.torch.autograd.edges import Edge, number_of, to_float64
from rnngraph.sources.torch.autograd.gradient_norms import norm
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.fused_layers.layout import cell_name
from rnngraph.sources.torch.fused_layers.unrolled_call import UnrolledCall
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, Recurrence, multiplying_states
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status
from rnngraph.trace.model import REVERSE, ParameterTrace

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording

_NAMES = {"weight_ih": "Wx", "weight_hh": "Wh", "bias_ih": "b", "bias_hh": "bh"}


@dataclass(eq=False, slots=True)
class _Steps:
    """A parameter's parts under way: norms by step, and the sum of the step that is not complete."""

    name: str
    parameter: Any
    recurrence: Recurrence
    expected: Counter[int] = field(default_factory=Counter)
    norms: Floats = field(default_factory=lambda: np.zeros(0))
    under_way: dict[int, tuple[int, Any]] = field(default_factory=dict)
    total: Any = None

    def add(self, t: int, part: Any) -> None:
        count, known = self.under_way.pop(t, (0, None))
        whole = part if known is None else known + part
        if count + 1 == self.expected[t]:
            self.norms[t] = norm(whole)
        else:
            self.under_way[t] = count + 1, whole


@dataclass(slots=True)
class Layer:
    """A weight of a fused layer: the sum over time, norms and underflows by step."""

    total: Array
    steps: Floats
    lost: Any
    value: Array


class Weights:
    """The weights of all recurrences."""

    def __init__(self, run: BackwardPass, recurrences: Sequence[Recurrence], names: Mapping[int, str]) -> None:
        """Find whose parts are to be caught."""
        self.run = run
        self.layers: dict[str, Layer] = {}
        self._steps: dict[Edge, _Steps] = {}
        for one in recurrences:
            if one.fused or one.module is None or one.how == SEQUENCE:
                continue
            for present in one.module.parameters():
                name = names.get(id(present), "parameter")
                parameter = run.then(present, name)
                if parameter.requires_grad and not hasattr(parameter, "_local_tensor"):
                    steps = _Steps(_our_name(name, one), parameter, one)
                    for edge in run.edges_of(parameter):
                        self._steps.setdefault(edge, steps)

    def edges(self) -> list[Edge]:
        """The edges whose gradients are asked for."""
        return list(self._steps)

    def hooks(self) -> Iterator[Any]:
        """Put hooks on that catch the parts while the whole loss is walked back."""
        self.layers.clear()
        for one in self._steps.values():
            one.expected, one.under_way, one.norms, one.total = Counter(), {}, np.zeros(one.recurrence.steps), None
        return (node.register_hook(partial(_catch, slots)) for node, slots in self._users().items())

    def settle(self, total: Mapping[Edge, Any]) -> None:
        """Take the sums that autograd found."""
        for edge, steps in self._steps.items():
            if edge in total:
                steps.total = total[edge] if steps.total is None else steps.total + total[edge]

    def _users(self) -> dict[Any, dict[int, tuple[_Steps, int]]]:
        begins = {
            one: [one.calls[t].begin for t in one.order] for one in {some.recurrence for some in self._steps.values()}
        }
        found: dict[Any, dict[int, tuple[_Steps, int]]] = {}
        for node in self.run.nodes(min(some[0] for some in begins.values())) if begins else ():
            for slot, below in enumerate(node.next_functions):
                steps = self._steps.get(tuple(below))
                if steps is None:
                    continue
                place = bisect_right(begins[steps.recurrence], number_of(node)) - 1
                t = steps.recurrence.order[place] if place >= 0 else -1
                if t >= 0 and steps.recurrence.calls[t].made(node):
                    steps.expected[t] += 1
                    found.setdefault(node, {})[slot] = steps, t
        return found

    def add_layer(self, one: Recurrence, start: int, inside: UnrolledCall, parameters: Mapping[int, Step]) -> None:
        """Add what reached the weights inside one call of a fused layer."""
        for node in inside.weights:
            key, value = str(node.name), node.value
            if key not in self.layers:
                blank = np.zeros(one.steps)
                self.layers[key] = Layer(np.zeros_like(value), blank, blank.astype(bool), value)
            layer = self.layers[key]
            step = parameters.get(node.id)
            for part in step.contributions if step is not None else ():
                if isinstance(part, Summed):
                    layer.total = layer.total + part.total
                    layer.steps[start : start + inside.layout.steps] = part.steps
                    if part.lost is not None:
                        layer.lost[start : start + inside.layout.steps] = part.lost

    def traces(self, timesteps: int, eigenvalues: int) -> tuple[ParameterTrace, ...]:
        """Give the columns, with the eigenvalues of recurrent weights of up to so many rows."""
        found = []

        def add(name: str, value: Array, grad: float, steps: Magnitudes, *, recurrent: bool) -> None:
            spectrum = weight_spectrum(value, eigenvalues if recurrent else 0)
            column = steps.lengthened(timesteps)
            found.append(parameter_trace(name, value, Magnitudes.of(grad), column, spectrum=spectrum))

        for name, layer in self.layers.items():
            steps = Magnitudes.of(layer.steps)
            steps.status[layer.lost] = Status.UNDERFLOW
            recurrent = name.rpartition(".")[2].startswith("Wh")  # our own names of a layer's weights
            add(name, layer.value, norms.norm(layer.total), steps, recurrent=recurrent)
        recurrences = {one.recurrence for one in self._steps.values()}
        multiplying = {id(some.weight) for one in recurrences for some in multiplying_states(one) if some.whole}
        for one in dict.fromkeys(self._steps.values()):
            values = to_float64(one.parameter).cpu().numpy()
            transposed = values.T if values.ndim == 2 and cell_name(one.recurrence.module) else values
            grad, recurrent = 0.0 if one.total is None else norm(one.total), id(one.parameter) in multiplying
            add(one.name, transposed, grad, Magnitudes.of(one.norms), recurrent=recurrent)
        return tuple(found)


def _our_name(name: str, one: Recurrence) -> str:
    """Call the weights of PyTorch's cells as ours."""
    if not cell_name(one.module):
        return name
    stem, _, last = name.rpartition(".")
    return f"{stem or one.path}.{_NAMES.get(last, last)}"


def weights_by_recurrence(recording: TorchRecording) -> dict[str, list[Any]]:
    """Give the parameters that each recurrence trains and that are whole in this process, by the recurrence's name."""
    found: dict[str, list[Any]] = {}
    for track, facts in zip(recording.tracks, recording.facts, strict=True):
        one = track.recurrence
        ending = f"_l{track.layer}{'_reverse' if track.direction == REVERSE else ''}" if one.fused else ""
        named = one.module.named_parameters() if one.module is not None else ()
        found[facts.name] = [
            p for name, p in named if name.endswith(ending) and p.requires_grad and not hasattr(p, "_local_tensor")
        ]
    return found


def _catch(slots: Mapping[int, tuple[_Steps, int]], to_inputs: tuple[Any, ...], to_outputs: tuple[Any, ...]) -> None:
    for slot, (steps, t) in slots.items():
        if to_inputs[slot] is not None:
            steps.add(t, to_inputs[slot])
