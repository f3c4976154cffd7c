"""Each step's part of every weight: caught on its way to the weight, and assigned by the call whose node handed it on.

In: a pass and its recurrences. Out: a `ParameterTrace` a weight of a recurrence.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph import norms
from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.contribution import Array, Summed
from rnngraph.measure.parameter_trace import parameter_trace, weight_spectrum
from rnngraph.sources.torch.autograd.arrived import norm
from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, number_of, wide
from rnngraph.sources.torch.autograd.hooks import ours
from rnngraph.sources.torch.autograd.one_pass import Pass
from rnngraph.sources.torch.finding.recurrence import SEQUENCE, Recurrence, multiplying_states
from rnngraph.sources.torch.fused.inside import Inside
from rnngraph.sources.torch.fused.layout import cell_name
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status
from rnngraph.trace.model import REVERSE, ParameterTrace

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording

_NAMES = {"weight_ih": "Wx", "weight_hh": "Wh", "bias_ih": "b", "bias_hh": "bh"}


@dataclass(slots=True)
class _Steps:
    """A parameter's parts under way: norms by step, and the sum of the step that is not complete."""

    parameter: Any
    recurrence: Recurrence
    expected: dict[int, int]
    norms: Floats
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

    def __init__(self, run: Pass, recurrences: Sequence[Recurrence], names: Mapping[int, str]) -> None:
        """Find whose parts are to be caught."""
        self.run, self.names = run, dict(names)
        self.layers: dict[str, Layer] = {}
        self._steps: dict[Edge, _Steps] = {}
        for one in recurrences:
            if one.fused or one.module is None or one.how == SEQUENCE:
                continue
            for present in one.module.parameters():
                name = names.get(id(present), "parameter")
                parameter = run.then(present, name)
                self.names[id(parameter)] = name
                if not parameter.requires_grad or hasattr(parameter, "_local_tensor"):
                    continue
                steps = _Steps(parameter, one, {}, np.zeros(one.steps))
                for edge in run.edges_of(parameter):
                    self._steps.setdefault(edge, steps)

    def edges(self) -> list[Edge]:
        """The edges whose gradients are asked for."""
        return list(self._steps)

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Catch the parts while the whole loss is walked back."""
        self.layers.clear()
        for steps in self._steps.values():
            steps.expected, steps.under_way, steps.norms, steps.total = {}, {}, np.zeros_like(steps.norms), None
        return ours(node.register_hook(_catcher(slots)) for node, slots in self._users().items())

    def settle(self, total: Mapping[Edge, Any]) -> None:
        """Take the sums that autograd found."""
        for edge, steps in self._steps.items():
            if edge in total:
                steps.total = total[edge] if steps.total is None else steps.total + total[edge]

    def _users(self) -> dict[Any, dict[int, tuple[_Steps, int]]]:
        if not self._steps:
            return {}
        begins = {
            id(one): [one.calls[t].begin for t in one.order]
            for one in {steps.recurrence for steps in self._steps.values()}
        }
        found: dict[Any, dict[int, tuple[_Steps, int]]] = {}
        for node in at_and_below(self.run.tops, min(first[0] for first in begins.values())):
            for slot, below in enumerate(node.next_functions):
                steps = self._steps.get(tuple(below))
                if steps is None:
                    continue
                place = bisect_right(begins[id(steps.recurrence)], number_of(node)) - 1
                t = steps.recurrence.order[place] if place >= 0 else -1
                if t >= 0 and steps.recurrence.calls[t].made(node):
                    steps.expected[t] = steps.expected.get(t, 0) + 1
                    found.setdefault(node, {})[slot] = steps, t
        return found

    def add_layer(self, one: Recurrence, start: int, inside: Inside, parameters: Mapping[int, Step]) -> None:
        """Add what reached the weights inside one call of a fused layer."""
        for node in inside.weights:
            key, value = f"{one.path}.{node.name}", node.value
            blank = np.zeros(one.steps)
            layer = self.layers.setdefault(key, Layer(np.zeros_like(value), blank, blank.astype(bool), value))
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
        for name, layer in self.layers.items():
            steps = Magnitudes.of(layer.steps)
            steps.status[layer.lost] = Status.UNDERFLOW
            rows = eigenvalues if name.rpartition(".")[2].startswith("Wh") else 0  # our own names of a layer's weights
            grad, spectrum = Magnitudes.of(norms.norm(layer.total)), weight_spectrum(layer.value, rows)
            found.append(parameter_trace(name, layer.value, grad, steps.lengthened(timesteps), spectrum=spectrum))
        recurrences = {one.recurrence for one in self._steps.values()}
        recurrent = {id(some.weight) for one in recurrences for some in multiplying_states(one) if some.whole}
        for one in {id(steps): steps for steps in self._steps.values()}.values():
            grad = Magnitudes.of(0.0 if one.total is None else norm(one.total))
            values = wide(one.parameter).cpu().numpy()
            transposed = values.T if values.ndim == 2 and cell_name(one.recurrence.module) else values
            rows = eigenvalues if id(one.parameter) in recurrent else 0
            steps, spectrum = Magnitudes.of(one.norms).lengthened(timesteps), weight_spectrum(transposed, rows)
            found.append(parameter_trace(self._name(one), transposed, grad, steps, spectrum=spectrum))
        return tuple(found)

    def _name(self, one: _Steps) -> str:
        name = self.names.get(id(one.parameter), "parameter")
        if not cell_name(one.recurrence.module):
            return name
        stem, _, last = name.rpartition(".")
        ours = next(
            (_NAMES[key] + last.removeprefix(key).replace("_l0", "") for key in _NAMES if last.startswith(key)), last
        )
        return f"{stem or one.recurrence.path}.{ours}"


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


def _catcher(slots: Mapping[int, tuple[_Steps, int]]) -> Any:
    def catch(grad_inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> None:
        for slot, (steps, t) in slots.items():
            if grad_inputs[slot] is not None:
                steps.add(t, grad_inputs[slot])

    return catch
