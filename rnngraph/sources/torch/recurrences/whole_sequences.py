"""Modules that take a whole sequence at once, with samples and time for its first two axes, and have no step.

In: a call. Out: whether its credit can be asked position by position, and whether there is anything to ask.
"""

from __future__ import annotations

from rnngraph.sources.torch.autograd.edges import cast_to, fixed_normal, full_at, shape_of
from rnngraph.sources.torch.autograd.vjp import vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.capture.module_calls import Call, TensorRef


def no_sequence(call: Call) -> str:
    """Say why a call takes no whole sequence that can be asked for its credit; nothing where it does."""
    if not call.taken_edges:
        return (
            "and its input needs no gradient: there is no credit to ask for, unless x.requires_grad_() is called first"
        )
    before, after = shape_of(call.taken_edges[0]), shape_of(call.returned[0][0])
    if not _alike(before, after):
        return f"from {before} to {after}: that is no sequence (samples, time, ...), and it has no step of its own"
    return ""


def takes_data(call: Call) -> bool:
    """Whether a call would take a whole sequence if what it is given needed a gradient."""
    data = [one.tensor.shape for one in call.taken if isinstance(one, TensorRef)]
    return not call.taken_edges and bool(data) and _alike(tuple(data[0]), shape_of(call.returned[0][0]))


def _alike(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    return len(after) > 2 and len(before) > 2 and before[:2] == after[:2]


def joins_positions(run: BackwardPass, call: Call) -> bool:
    """Whether the position in the middle of what a call handed out was made of another than itself."""
    (edge, _), taken = call.returned[0], call.taken_edges[0]
    seed, middle = full_at(edge, 0.0), shape_of(edge)[1] // 2
    seed[:, middle] = cast_to(edge, fixed_normal(seed[:, middle].shape))
    found = vjp(run, {edge: seed}, [taken])
    return taken in found and bool(found[taken].any(dim=0).flatten(1).any(dim=1).sum() > 1)
