"""How far a replay is from PyTorch, and what that means: a sentence for the trace, or a refusal to report.

In: the walk, and the outputs and weight gradients that PyTorch computed. Out: a note.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import PARAMETER
from rnngraph.errors import InputError
from rnngraph.sources.torch.dropout import refuse
from rnngraph.sources.torch.replay import padding_cleared
from rnngraph.sources.torch.sequence import Sequence
from rnngraph.sources.walk import Walk

# Relative to the largest; a GPU may use TF32, with 10 bits of mantissa, where it is asked for float32.
TOLERANCE = {"float64": 1e-8, "float32": 1e-2, "float16": 0.1, "bfloat16": 0.3}


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the replay is from PyTorch: relative, of the outputs and of the weights' gradients."""

    outputs: float  # NaN where nothing is finite in both
    gradients: float | None  # None where PyTorch had none to compare with; NaN likewise
    worst: str = ""  # the parameter that differs most


def compare(sequence: Sequence, found: Walk, expected: Mapping[str, Array]) -> Difference:
    """Compare outputs and the weights' gradients with PyTorch's; `expected` has our parameters' names."""
    value = padding_cleared(found.output.value, sequence.mask)
    outputs = _distance(value, sequence.output, _size(sequence.output))
    if not expected:
        return Difference(outputs, None)
    tape = found.output.tape
    size = max(_size(array) for array in expected.values())
    distances = dict.fromkeys(expected, 0.0)
    with np.errstate(all="ignore"):
        seen = dict.fromkeys(expected, False)
        for step in sweep(tape, tape.starts):
            name = str(step.node.name)
            if step.node.op is PARAMETER and name in expected:
                distances[name], seen[name] = _distance(step.gradient, expected[name], size), True
    for name in expected:
        if not seen[name]:
            distances[name] = _distance(np.zeros(1), expected[name], size)
    worst = max(distances, key=lambda name: -1.0 if math.isnan(distances[name]) else distances[name])
    return Difference(outputs, distances[worst], worst)


def _distance(ours: Array, theirs: Array, size: float) -> float:
    """Give the largest difference relative to `size`, over what is finite in both; NaN where nothing is.

    Where numbers overflow, the last digits decide which of them become infinite first, so only that there are
    some must agree.
    """
    ours = np.broadcast_to(ours, theirs.shape)
    if not theirs.size:
        return 0.0
    finite = np.isfinite(ours) & np.isfinite(theirs)
    if not finite.all() and np.isfinite(ours).all() != np.isfinite(theirs).all():
        return float("inf")
    if not finite.any():
        return float("nan")
    difference = float(np.abs(np.subtract(ours[finite], theirs[finite], dtype=np.float64)).max())
    return difference / size if size > 0 else difference


def _size(array: Array) -> float:
    finite = array[np.isfinite(array)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def note(path: str, sequence: Sequence, difference: Difference, tolerance: float | None) -> str:
    """Say how far the replay is from PyTorch.

    Raises:
        InputError: it is further than the tolerance, so that its numbers do not describe the run.
    """
    allowed = TOLERANCE.get(sequence.rounding, 0.3) if tolerance is None else tolerance
    if sequence.dropping and difference.outputs > allowed:
        raise refuse(path)
    for label, value in (("outputs", difference.outputs), ("weight gradients", difference.gradients)):
        if value is not None and value > allowed:
            worst = f", most in {difference.worst}" if label != "outputs" else ""
            raise InputError(
                f"the replay of {path} and PyTorch differ by {value:.1e} in the {label}{worst} (relative to the "
                f"largest; tolerance {allowed:.0e}), so it is not reported: a loss term on the weights, a shared or "
                "changed weight, a hook that changes gradients, torch.autograd.grad beside backward, or a layer in a "
                "form of its own can be the cause; trace(tolerance=...) reports it all the same."
            )
    said = f"; its outputs {_compared(difference.outputs)} and its weight gradients {_compared(difference.gradients)}"
    size = ", relative to the largest" if "differ" in said else ""
    return (
        f"{path} was walked again in {sequence.stack_dtype} from the gradients that PyTorch sent into it "
        f"({sequence.rounding}){said}{size}"
    )


def _compared(difference: float | None) -> str:
    if difference is None:
        return "were not compared"
    if math.isnan(difference):
        return "could not be compared, because no finite number is among them"
    return f"differ from PyTorch's by {difference:.1e}"
