"""Join the calls of one watched module into one sequence: a decoder that is called step by step, or chunks of a text.

In: `Call`s. Out: a `Sequence` of NumPy arrays that can be walked as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.stack import Stack, torch_stack
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.dropout import refuse

# Relative; how far the gradient of a state may change between two calls and still be the same.
TRANSPORT = {"float64": 1e-10, "float32": 1e-5}


@dataclass(frozen=True, slots=True)
class Part:
    """What one call contributes: its last step and the gradients that PyTorch saw at its final states."""

    last: int  # the timestep after which its final state was handed out
    h_grad: Array | None  # (layers * directions, N, units)
    c_grad: Array | None
    attached: bool  # its initial state came from the part before with its gradient


@dataclass(frozen=True, slots=True)
class Sequence:
    """One or more calls as one walk over time."""

    stack: Stack
    x: Array  # (N, T, D)
    h0: Array | None
    c0: Array | None
    mask: Array | None  # (N, T)
    output: Array  # (N, T, ·), PyTorch's
    output_is_state: bool  # of a cell, whose output is its final h
    output_grad: Array | None
    parts: tuple[Part, ...]
    dropping: bool
    dropout: tuple[Array, ...]
    rounding: str  # the dtype that PyTorch computed in
    c_within: bool  # PyTorch's gradient of the final c includes what came through the same call's h

    @property
    def stack_dtype(self) -> str:
        """The dtype of the replay."""
        return str(self.x.dtype)

    @property
    def boundaries(self) -> tuple[int, ...]:
        """The first timestep of every part but the first."""
        return tuple(part.last + 1 for part in self.parts[:-1])

    @property
    def cuts(self) -> tuple[int, ...]:
        """The boundaries over which no gradient passed."""
        return tuple(start for start, part in zip(self.boundaries, self.parts[1:], strict=True) if not part.attached)


def joined(calls: list[Call]) -> Sequence:
    """Join calls in their order.

    Raises:
        InputError: the calls are not one sequence; the message names the option that picks one.
    """
    first = calls[0]
    if first.dropping and not first.dropout:
        raise refuse(first.module)
    stack = call_stack(first)
    reason = chain_break(calls)
    if reason is not None:
        raise InputError(
            f"{first.module} was called {len(calls)} times and the calls are not one sequence, because {reason}: "
            f"pick one with trace(call={first.place}) to trace(call={calls[-1].place}), or --call."
        )
    outputs = [_output(call) for call in calls]
    grads = [_output_grad(call) for call in calls]
    parts, last = [], -1
    for call, output in zip(calls, outputs, strict=True):
        last += output.shape[1]
        attached = any(_is_attached(call, kind) for kind in call.initial)
        parts.append(Part(last, _grad(call, "h"), _grad(call, "c"), attached))
    known = any(grad is not None for grad in grads)
    filled = [np.zeros_like(out) if grad is None else grad for grad, out in zip(grads, outputs, strict=True)]
    return Sequence(
        stack=stack,
        x=np.concatenate([call.sequence(call.x) for call in calls], axis=1),
        h0=first.state(first.initial["h"]) if "h" in first.initial else None,
        c0=first.state(first.initial["c"]) if "c" in first.initial else None,
        mask=first.layout.mask(),
        output=np.concatenate(outputs, axis=1),
        output_is_state=first.output is None,
        output_grad=np.concatenate(filled, axis=1) if known else None,
        parts=tuple(parts),
        dropping=first.dropping,
        dropout=tuple(first.sequence(mask) for mask in first.dropout),
        rounding=first.precision,
        c_within=first.c_within,
    )


def call_stack(call: Call) -> Stack:
    """Turn the weights of a call into our layout."""
    arrays = {name: call.array(tensor) for name, tensor in call.weights.items()}
    return torch_stack(call.module, call.cell, layered(arrays))


def layered(arrays: dict[str, Any]) -> dict[str, Any]:
    """Name a cell's weights as a first layer's."""
    return {name if "_l" in name else f"{name}_l0": array for name, array in arrays.items()}


def _output(call: Call) -> Array:
    return call.sequence(call.final["h"] if call.output is None else call.output)


def _output_grad(call: Call) -> Array | None:
    gradient = call.grads.get("output")
    return None if gradient is None else call.sequence(gradient)


def _grad(call: Call, kind: str) -> Array | None:
    gradient = call.grads.get(kind)
    return None if gradient is None else call.state(gradient)


def chain_break(calls: list[Call]) -> str | None:
    """Say why calls are not one sequence; None where each begins with the state that the one before ended with."""
    first = calls[0]
    if len(calls) > 1 and any(key.endswith("_reverse") for key in first.weights):
        return "it is bidirectional"
    if len(calls) > 1 and (first.layout.batch_sizes or any(call.dropping for call in calls)):
        return "its sequences are packed" if first.layout.batch_sizes else "it has dropout between layers"
    for before, call in pairwise(calls):
        if any(_is_attached(call, kind) for kind in before.arrivals.altered & call.passages.keys()):
            return "a hook changes the gradient of a state between the calls"
        if call.weights is not first.weights:
            return "its weights changed between calls"
        if call.initial.keys() != before.final.keys():
            return "a call began without the state of the call before"
        if not all(_same(call.initial[kind], before.final[kind]) for kind in call.initial):
            return "a call began with another state than the call before ended with"
        if not all(_is_passed(before, call, kind) for kind in call.passages):
            return _altered(before, call)
        if call.initial and len({_is_attached(call, kind) for kind in call.initial}) > 1:
            return "of the states that a call began with, one was detached and one was not"
    return None


def _is_attached(call: Call, kind: str) -> bool:
    """Tell whether an initial state hands its gradient on to the call before, rather than being cut off from it."""
    passage = call.passages.get(kind)
    return passage is not None and bool(passage.ends)


def _is_passed(before: Call, call: Call, kind: str) -> bool:
    """Tell whether the gradient of an initial state, where it has one, is the final state's of the call before."""
    passage, end = call.passages[kind], (before.index, kind)
    if not call.grads:  # no gradient to hand on
        return True
    if not passage.ends or (passage.plain and passage.ends == {end}):
        return True
    # Other operations lie between, and leave the value as it is: PyTorch's own numbers tell what they do to a gradient.
    arrived, sent = passage.arrived.get("gradient"), passage.sent.get(end)
    if arrived is None or sent is None or arrived.numel() != sent.numel():
        return False
    arrived, sent = call.state(arrived).ravel(), call.state(sent.reshape(arrived.shape)).ravel()
    if np.array_equal(arrived, sent, equal_nan=True):
        return True
    size = float(np.abs(arrived).max(initial=0.0))
    return bool(np.abs(arrived - sent).max(initial=0.0) <= TRANSPORT.get(call.rounding, 0.01) * size)


def _altered(before: Call, call: Call) -> str:
    """Say what happened to a state that has the right value and another gradient."""
    kind = next(kind for kind in call.passages if not _is_passed(before, call, kind))
    passage = call.passages[kind]
    if (before.index, kind) not in passage.ends:
        return "a call began with the value of the final state of the call before, but not with that state itself"
    return f"an operation between the calls ({passage.operation}) keeps the value of the state and changes its gradient"


def _same(one: Any, other: Any) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool((one == other).all())
