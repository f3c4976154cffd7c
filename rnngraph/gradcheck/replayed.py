"""What was recorded, replayed in float64: a loss, the cache of the functional interface, or a forward of a pair.

In: tensors on a tape. Out: outputs and gradients at other leaves, also of a changed backward. There is no recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.again import again, depending, recomputed, with_entries, with_value
from rnngraph.autodiff.along import CAST
from rnngraph.autodiff.backward import scalar_cotangent, sweep, unbroadcast
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array, add_up
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import DETACH
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError, RnnGraphError
from rnngraph.gradcheck.subject import Subject, weigh, widened
from rnngraph.numpy.traced import trace_function

DRIFT = 1e-4  # by which share the values of a float32 forward may differ from those of a float64 one
Edge: TypeAlias = tuple[int, int]  # the id of a node, and the position of one of its inputs
Edit: TypeAlias = Callable[[Array, Array], Any]  # of what comes to a node, and of what its rule makes of that
Edits: TypeAlias = Mapping[Edge, Edit]
NONE: Mapping[Any, Any] = MappingProxyType({})
SAME = 1e-6  # of a recorded forward's weighed outputs, relative


class Replay:
    """A tape computed again, of which what leads to some outputs can be had at other leaves.

    `leaves` are those of the points and gradients, by place; None for what has no gradient.
    """

    def __init__(self, outputs: Sequence[Tensor], *, wide: bool = True) -> None:
        """Compute it once, in float64 where that is wanted."""
        recorded, self.outputs = outputs[0].tape, [one.id for one in outputs]
        needed = set(self.outputs)
        for entry in reversed(recorded.entries):
            if not needed.isdisjoint(range(entry.first, entry.id + 1)):  # a block takes many ids
                needed.update(entry.inputs, (entry.id,))
        idle = {entry.id for entry in recorded.entries} - needed
        sources = [entry for entry in recorded.entries if entry.op.vjp is None and (entry.name or entry.id not in idle)]
        narrow = any(is_narrow(entry.value) for entry in recorded.entries if entry.requires or entry.name)
        self.dtype = "float32" if narrow else "float64"
        recorded = with_entries(recorded, map(_cast_to_float64, recorded.entries)) if wide else recorded
        given = {entry.id: widened(entry.value) if wide else entry.value for entry in sources}
        self.tape = again(recorded, given, depending(recorded, given, idle))
        self.values = [self.tape.entry(one).value for one in self.outputs]
        self.nodes: list[Any] = [entry for entry in self.tape.entries if entry.id not in idle]
        self.in_nodes = self.tape.size == len(self.tape.entries)  # inside of a block nothing is edited
        self.leaves: list[Entry | None] = [e for e in self.tape.entries if e.op.vjp is None and e.name and e.requires]
        self.places: dict[tuple[int, ...], list[int]] = {}  # by the leaves that are moved
        self.held = idle | {entry.id for entry in self.nodes if entry.op is DETACH}  # these depend on nothing

    def _moved(self, points: Sequence[Array]) -> tuple[dict[int, Array], list[int]]:
        """Find the leaves that have other values at some points, and the places of what depends on them."""
        pairs = [(leaf, one) for leaf, one in zip(self.leaves, points, strict=True) if leaf is not None]
        given = {e.id: one for e, one in pairs if one is not e.value and not np.array_equal(one, e.value)}
        if tuple(given) not in self.places:
            self.places[tuple(given)] = depending(self.tape, tuple(given), self.held)
        return given, self.places[tuple(given)]

    def run(self, points: Sequence[Array]) -> list[Array]:
        """Give the outputs at some points."""
        given, places = self._moved(points)
        values, _ = recomputed(self.tape, given, places, hold_cuts=True, wanted=self.outputs)
        return [values[one] for one in self.outputs]

    def gradients(self, points: Sequence[Array], upstream: Sequence[Array]) -> list[Any]:
        """Give the gradients at some points, by place."""
        given, places = self._moved(points)
        tape = again(self.tape, given, places, hold_cuts=True) if given else self.tape
        found = self.walked(self.starts(upstream), tape=tape)
        return [found.get(place) for place in range(len(self.leaves))]

    def starts(self, upstream: Sequence[Array]) -> dict[int, Array]:
        """Give what a walk starts from, by id."""
        starts: dict[int, Array] = {}
        for i, u, value in zip(self.outputs, upstream, self.values, strict=True):
            starts[i] = np.asarray(starts.get(i, 0) + u.astype(value.dtype))
        return starts

    def walked(self, starts: Mapping[int, Array], edits: Edits = NONE, tape: Tape | None = None) -> dict[int, Array]:
        """Give by place what reaches the leaves of a tape, or of the own one with some edits."""
        steps = sweep(_edited(self.tape, edits) if tape is None else tape, starts)
        leaves = {leaf.id: place for place, leaf in enumerate(self.leaves) if leaf is not None}
        found = {leaves[one.node.id]: np.array(one.gradient) for one in steps if one.node.id in leaves}
        return {place: found.get(place, np.zeros(self.tape.entry(i).value.shape)) for i, place in leaves.items()}

    def subject(self, upstream: list[Array], recorded: Tape | None = None) -> Subject:
        """Claim the gradients of the own tape, or of that which was `recorded`."""
        leaves = [leaf for leaf in self.leaves if leaf is not None]
        claimed = self.walked(self.starts(upstream), tape=recorded)
        return Subject(
            [str(leaf.name) for leaf in leaves], [leaf.value for leaf in leaves], self.run, self.gradients, upstream,
            self.values, [*claimed.values()], narrow=self.dtype == "float32", trusted=range(len(leaves)),
        )  # fmt: skip


def _edited(tape: Tape, edits: Edits) -> Tape:
    """Let rules hand back something else on some edges."""
    entries: list[Any] = [*tape.entries]
    for (i, place), edit in edits.items():
        node = entries[i] = with_value(entries[i], entries[i].value, entries[i].arguments)
        node.op = replace(node.op, vjp=_with_edit(node.op.vjp, place, edit))
    return with_entries(tape, entries)


def _with_edit(rule: Any, place: int, edit: Edit) -> Any:
    def vjp(g: Array, node: Node) -> list[Any]:
        back, own = [*rule(g, node)], node.arguments[place]
        if back[place] is not None:
            right = np.asarray(add_up([back[place]], own) if hasattr(back[place], "add_to") else back[place])
            right = unbroadcast(right, own.shape, node=node, source=node.inputs[place])
            back[place] = edit(g, right)
        return back

    return vjp


def is_narrow(value: Array) -> bool:
    """Tell floating values in less than float64."""
    return value.dtype.kind == "f" and value.dtype.itemsize < 8


def _cast_to_float64(entry: Entry) -> Entry:
    if isinstance(entry, Block) or entry.op is not CAST:
        return entry
    node = with_value(entry, entry.value, entry.arguments)
    node.options = {"dtype": np.dtype(np.float64)}
    return node


def recorded_subject(loss: Tensor | Tape) -> tuple[Subject, Replay, str]:
    """Take a scalar loss, or the tape that a function of the functional interface returned.

    Returns:
        the subject, the replay, and a note.

    Raises:
        InputError: the loss is not a finite scalar, depends on nothing, or cannot be replayed.
    """
    outputs = list(loss.outputs) if isinstance(loss, Tape) else [loss]
    if isinstance(loss, Tensor):
        upstream = [np.asarray(scalar_cotangent(loss), np.float64)]
    elif not outputs:
        raise InputError("the tape has no outputs; pass the loss, a scalar Tensor, or the cache of a function.")
    else:
        generator = np.random.default_rng((0, len(outputs)))
        upstream = [np.asarray(generator.normal(size=one.shape)) for one in outputs]
    replay, recorded = Replay(outputs), outputs[0].tape
    values = [recorded.entry(one).value for one in replay.outputs]
    narrow = [(own, entry.value) for entry in replay.nodes if is_narrow(own := recorded.entry(entry.id).value)]
    for value, same in zip(values, (Replay(outputs, wide=False) if narrow else replay).values, strict=True):
        if not np.isfinite(value).all():
            what = f"the loss is {value.reshape(-1)[0]}" if value.size == 1 else "an output is not finite"
            raise InputError(f"{what}; gradients can be checked only where it is finite.")
        rounding = float(np.sqrt(np.finfo(value.dtype).eps)) * max(float(np.abs(value).max()), 1e-300)
        if not np.abs(value - same).max() <= rounding:
            raise InputError(
                f"the tape gives a loss of {same.reshape(-1)[0]:.9g} when it is replayed, but "
                f"{value.reshape(-1)[0]:.9g} was recorded: an array was changed in place after the "
                "forward pass, or an op is random; check before parameters are updated."
            )
    drifts = [float(np.abs(value - wide).max()) / (float(np.abs(wide).max()) or 1.0) for value, wide in narrow]
    if max(drifts, default=0.0) <= DRIFT:
        return replay.subject(upstream, recorded), replay, ""
    note = f"float32 rounding grows to {max(drifts):.0e} of a value here, so a float64 run was checked."
    return replay.subject(upstream), replay, note


def recorded_forward(subject: Subject, forward: Callable[..., Any], arguments: dict[str, Any]) -> Replay | None:
    """Record the forward of a pair; None where it cannot be recorded, or then gives other outputs."""

    def weighed(given: dict[str, Any], weights: list[Any]) -> Any:
        return sum((one * out).sum() for one, out in zip(weights, forward(*given.values()), strict=False))

    try:
        traced = trace_function(weighed, arguments, subject.upstream, check=False)
    except (RnnGraphError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    floating = [place for place, point in enumerate(subject.points) if point.dtype.kind == "f"]
    shapes = [subject.points[place].shape for place in floating] + [one.shape for one in subject.upstream]
    leaves = [entry for entry in traced.tape.entries if entry.op.vjp is None and entry.name and entry.requires]
    loss = weigh(subject.upstream, subject.outputs)
    same = abs(float(traced.value) - loss) <= max(SAME, subject.tolerance) * max(abs(loss), 1.0)
    if not same or [leaf.value.shape for leaf in leaves[: len(shapes)]] != shapes:
        return None
    weights = {leaf.id for leaf in leaves[len(floating) : len(shapes)]}
    products = [entry for entry in traced.tape.entries if not weights.isdisjoint(entry.inputs)]
    replay = Replay([Tensor(traced.tape, entry.inputs[1]) for entry in products])
    by_place = dict(zip(floating, replay.leaves, strict=False))
    replay.leaves = [by_place.get(place) for place in range(len(subject.points))]
    return replay
