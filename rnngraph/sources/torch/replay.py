"""Walk a captured sequence again on our tape, from the gradients that PyTorch sent into it.

In: a `Sequence`. Out: a tape that is ready to be recorded.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.sources.torch.sequence import Sequence
from rnngraph.sources.walk import Walk, WalkOptions, walk

Place: TypeAlias = tuple[int, str, int]  # the part, h or c, and the layer and direction

# Relative size below which the part of a captured state's gradient that the next call did not send is rounding.
_ROUNDING = {"float64": 1e-10, "float32": 1e-4}


def replay(sequence: Sequence, tape: Tape, *, x: Tensor | None = None, sent: Array | None = None) -> Walk:
    """Record the sequence on `tape` and set the gradients from which it is to be walked.

    Args:
        sequence: what was captured.
        tape: where it is recorded.
        x: its input, where that is on the tape already, as the output of the layer below.
        sent: (N, T, ·) what a layer above that is walked too sends into the output.
    """
    with tape.scope():
        found = _walk(sequence, tape, cuts=sequence.cuts, x=x)
    tape.starts.update(_starts(sequence, found, sent))
    return found


def input_gradient(sequence: Sequence) -> Array:
    """Walk a sequence by itself, to learn what gradient it sends into its input, (N, T, ·)."""
    tape = Tape()
    replay(sequence, tape)
    with np.errstate(all="ignore"):
        arrived = [np.array(step.gradient) for step in sweep(tape, tape.starts) if step.node.op is INPUT]
    return arrived[0] if arrived else np.zeros_like(sequence.x)


def _walk(sequence: Sequence, tape: Tape, *, cuts: tuple[int, ...], x: Tensor | None = None) -> Walk:
    x = tape.input(sequence.x, f"{sequence.stack.name}.x", finite=False) if x is None else x
    options = WalkOptions(sequence.h0, sequence.c0, sequence.mask, cuts, sequence.dropout)
    return walk(sequence.stack, x, options)


def _starts(sequence: Sequence, found: Walk, sent: Array | None = None) -> dict[int, Array]:
    starts = _output_start(sequence, found)
    carried = _carried_over(sequence) if len(sequence.cuts) < len(sequence.boundaries) else {}
    if sent is not None and sequence.output_is_state:
        for number, part in enumerate(sequence.parts):
            place = number, "h", 0
            carried[place] = sent[:, part.last] + carried.get(place, 0)
    elif sent is not None and starts:
        starts[found.output.id] = _without_rows(starts[found.output.id], sent, sequence.rounding)
    for place, total in _final_gradients(sequence, found).items():
        arrived = _without(total, carried.get(place), sequence.rounding)
        if arrived is not None:
            starts[_state_node(sequence, found, place)] = arrived
    return starts


def _output_start(sequence: Sequence, found: Walk) -> dict[int, Array]:
    if sequence.output_grad is None:
        return {}
    return {found.output.id: padding_cleared(sequence.output_grad, sequence.mask)}


def _state_node(sequence: Sequence, found: Walk, place: Place) -> int:
    number, kind, index = place
    recurrence = found.recurrences[index]
    last = sequence.parts[number].last if recurrence.direction == "forward" else 0
    return recurrence.states[kind][last]


def _final_gradients(sequence: Sequence, found: Walk) -> dict[Place, Array]:
    """Give what reached the final states of every part from outside the part."""
    gradients: dict[Place, Array] = {}
    for number, part in enumerate(sequence.parts):
        for kind, gradient in (("h", part.h_grad), ("c", part.c_grad)):
            for index in range(len(found.recurrences) if gradient is not None else 0):
                gradients[number, kind, index] = gradient[index]  # type: ignore[index]
    if not sequence.c_within:
        return gradients
    # An LSTMCell of single operations hands out the c that its own h is made of: that way back is ours to walk.
    nodes = found.output.tape.nodes
    for number, kind, index in [place for place in gradients if place[1] == "c"]:
        node = nodes[_state_node(sequence, found, (number, "h", index))]
        h_gradient = gradients.get((number, "h", index))
        if h_gradient is not None and node.op.vjp is not None:
            own = node.op.vjp(h_gradient, node)[1]
            outside = _without(gradients[number, kind, index], np.asarray(own), sequence.rounding)
            gradients[number, kind, index] = np.zeros_like(h_gradient) if outside is None else outside
    return gradients


def _without(total: Array, part: Array | None, rounding: str) -> Array | None:
    """Subtract a part that is walked by itself; None where what is left is rounding."""
    if part is None:
        return total
    left = total - part
    size = max(float(np.abs(total).max(initial=0.0)), float(np.abs(part).max(initial=0.0)))
    return None if float(np.abs(left).max(initial=0.0)) <= _ROUNDING.get(rounding, 0.1) * size else left


def _without_rows(total: Array, part: Array, rounding: str) -> Array:
    """Subtract a part that is walked by itself; zero at a step and sample where what is left is rounding."""
    left = total - part
    size = np.maximum(np.abs(total).max(axis=-1, keepdims=True), np.abs(part).max(axis=-1, keepdims=True))
    rest = np.abs(left).max(axis=-1, keepdims=True)
    return np.where(rest <= _ROUNDING.get(rounding, 0.1) * size, 0, left)


def _carried_over(sequence: Sequence) -> dict[Place, Array]:
    """Walk every part by itself, to learn what gradient it sends to the final state of the part before."""
    tape = Tape()
    found = _walk(sequence, tape, cuts=sequence.boundaries)
    starts = _output_start(sequence, found)
    for place, gradient in _final_gradients(sequence, found).items():
        starts[_state_node(sequence, found, place)] = gradient
    places: dict[int, Place] = {
        recurrence.states[kind][part.last]: (number, kind, index)
        for number, (part, following) in enumerate(zip(sequence.parts, sequence.parts[1:], strict=False))
        if following.attached
        for index, recurrence in enumerate(found.recurrences)
        for kind in recurrence.states
    }
    carried: dict[Place, Array] = {}
    with np.errstate(all="ignore"):
        for step in sweep(tape, starts):
            if step.node.op.name == "detach" and step.node.inputs[0] in places:
                carried[places[step.node.inputs[0]]] = np.array(step.gradient)
    return carried


def padding_cleared(gradient: Array, mask: Array | None) -> Array:
    """Clear the padding, which holds the last state on our tape and zeros in PyTorch's output.

    Nothing of a gradient there may reach the state.
    """
    return gradient if mask is None else np.where(mask[..., None], gradient, 0)
