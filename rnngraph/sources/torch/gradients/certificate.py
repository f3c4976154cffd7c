"""How far the numbers of a trace can be trusted: independent ways to the same number, compared.

In: what was measured in two ways. Out: sentences. A difference beyond rounding is said beside the numbers; nothing
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from rnngraph.autodiff.recurrence import suffix
from rnngraph.sources.torch.autograd.edges import all_below, to_float64
from rnngraph.sources.torch.autograd.vjp import loss_cotangents, vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.fused_layers.layout import array, cell_of, stack_of
from rnngraph.sources.torch.fused_layers.unrolled_call import UnrolledCall
from rnngraph.sources.torch.gradients.weight_gradients import Weights
from rnngraph.sources.torch.recurrences.recurrence import Recurrence
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.precision import precision_of

Runs: TypeAlias = Sequence[tuple[int, Any]]  # the first step of each run, and all of it (steps, ...)
SUMS = (
    "a state's gradient and the sum of its parts", "the whole loss's gradient and the sum over all steps' losses",
)  # fmt: skip
CLIPPED = "; a hook that clips a gradient on its way has this effect"
_SIGNIFICANT = 1e-3  # of the largest; below it two ways differ by rounding
_BESIDE = 0.1  # of the largest step: what is smaller may have come out of numbers of that size, and was rounded there


@dataclass(slots=True)
class Certificate:
    """The largest relative differences, by what was compared; `tops` are the nodes that the pass began at."""

    tops: Sequence[Any] = ()
    worst: dict[str, tuple[float, float]] = field(default_factory=dict)  # what -> (difference, what rounding allows)

    def note(self, what: str, difference: float, epsilon: float) -> None:
        """Note a difference."""
        known = self.worst.get(what, (0.0, epsilon))
        self.worst[what] = max(known[0], difference), epsilon

    def step(self, inside: UnrolledCall) -> None:
        """Note how far one step of ours is from PyTorch's, and a layer that was run again from what it returned."""
        epsilon = _epsilon(inside.layer.rounded)
        self.note(f"one step inside {inside.call.path} and PyTorch's", inside.residual, epsilon)
        if inside.layer.random is not None:
            hidden = inside.layer.output.tensor.device.type == "cuda" and torch.backends.cudnn.enabled
            how = " (cuDNN shows nobody its own: watch a step under torch.backends.cudnn.flags(enabled=False))"
            what = f"the output of {inside.call.path} and that with its dropout drawn again{how * hidden}"
            self.note(what, inside.mismatch, epsilon)

    def sums(self, total: Runs, carried: Runs, immediate: Runs) -> None:
        """Note how well the two parts of a state's gradient add up to it, by runs of steps that are alike."""
        groups = [
            (np.maximum.reduce([_largest(one) for one in (both, back, own)]), _largest(back + own - both), both.dtype)
            for (_, both), (_, back), (_, own) in zip(total, carried, immediate, strict=True)
        ]
        most = max((float(np.max(sizes, initial=0, where=np.isfinite(sizes))) for sizes, _, _ in groups), default=0.0)
        for sizes, differences, dtype in groups:
            known = (sizes > 0) & np.isfinite(sizes)
            if known.any():
                compared = np.maximum(sizes, _BESIDE * most)[known]
                self.note(SUMS[0], float((differences[known] / compared).max()), _epsilon(dtype))

    def rows(self, logs: Floats, norms: Floats, sizes: Floats, dtype: Any) -> None:
        """Note how well the losses of all steps together are the whole, at one state: (steps, samples).

        `sizes` are the norms at the largest state of each step: beside it, another may be nothing but rounding.
        """
        found, size = np.exp(np.minimum(logs, 600)), sizes.max(axis=-1, initial=0, keepdims=True)
        usable = np.isfinite(norms) & (logs < np.inf) & (norms > _SIGNIFICANT * size) & (size > 1e-30)
        if usable.any():
            difference = float(np.abs(found[usable] / norms[usable] - 1).max())
            self.note(SUMS[1], difference, _epsilon(dtype))

    def weights(self, run: BackwardPass, one: Recurrence, weights: Weights) -> None:
        """Note how far a fused layer's weight gradients are from those that PyTorch found in the run."""
        layer = one.layers[0]
        found = {id(weight): run.gradients[id(weight)] for weight in layer.weights if id(weight) in run.gradients}
        difference = _difference(one, weights, found)
        if difference is not None and not difference <= allowed(_epsilon(layer.rounded)):
            # Something else reads the weights as well, as a penalty does.
            beside = _beside(run, one, found)
            rest = {key: known - beside[key] if key in beside else known for key, known in found.items()}
            difference = _difference(one, weights, rest)
        if difference is not None:
            self.note(f"weight gradients of {one.path} and PyTorch's", difference, _epsilon(layer.rounded))

    def sentences(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Say which checks failed, and which numbers agree and how well."""
        failed, agree = list[str](), list[str]()
        for what, (difference, epsilon) in self.worst.items():
            limit = allowed(epsilon)
            if what in SUMS and not difference <= limit:
                limit = max(limit, allowed(self._coarsest()))
            if difference <= limit:
                agree.append(f"{what} agree {f'to {difference:.0e}' if difference else 'exactly'}")
            else:
                clipped = CLIPPED * (what in SUMS and difference > _SIGNIFICANT)
                rounded = f"rounding explains about {limit:.0e}"
                failed.append(f"uncertain: {what} differ by {difference:.1e}, and {rounded}{clipped}")
        return tuple(failed), tuple(agree)

    def _coarsest(self) -> float:
        """Give the epsilon of the narrowest numbers of the graph, as where autocast casts on the way."""
        kinds = {one.dtype for node in all_below(self.tops) for one in node._input_metadata}
        return max(map(_epsilon, kinds), default=0.0)


def _difference(one: Recurrence, weights: Weights, found: Mapping[int, Any]) -> float | None:
    """Give the largest relative difference of a fused layer's weight gradients from those that are `found`, by id."""
    module, layer, differences = one.module, one.layers[0], list[float]()
    adds_up = "bh" not in cell_of(module).names  # two biases, of which either one's gradient is that of their sum
    known = [
        None if adds_up and "bias_hh" in name else found.get(id(weight))
        for name, weight in zip(module._flat_weights_names, layer.weights, strict=True)
    ]
    flat = [
        np.zeros(tuple(weight.shape)) if own is None else array(own, torch.float64)
        for own, weight in zip(known, layer.weights, strict=True)
    ]
    stack = stack_of(module, one.path, flat)
    for number, layers in enumerate(stack.layers):
        for direction, own in zip(stack.directions, layers, strict=True):
            for name, theirs in own.items():
                ours = weights.layers.get(f"{one.path}.{name}{suffix(number, direction)}")
                size = float(np.abs(theirs).max(initial=0))
                if ours is not None and size > 0 and np.isfinite(size):
                    differences.append(float(np.abs(ours.total - theirs).max()) / size)
    return max(differences, default=None)


def _beside(run: BackwardPass, one: Recurrence, found: Mapping[int, Any]) -> dict[int, Any]:
    """Give what reaches the weights of a fused layer on other ways than through its calls."""
    edges = {
        edge: id(weight) for weight in one.layers[0].weights if id(weight) in found for edge in run.edges_of(weight)
    }
    beside: dict[int, Any] = {}
    for edge, one_part in vjp(run, loss_cotangents(run), list(edges), walls=one.ports).items():
        beside[edges[edge]] = beside.get(edges[edge], 0) + one_part
    return beside


def allowed(epsilon: float) -> float:
    """Give the relative difference that sums over many steps may have."""
    return float(min(2e4 * epsilon, 0.2))


def _largest(steps: Any) -> Floats:
    largest: Floats = to_float64(steps.abs().flatten(1).amax(dim=1)).cpu().numpy()
    return largest


def _epsilon(dtype: Any) -> float:
    return precision_of(str(dtype).removeprefix("torch.")).eps
