"""What was recorded, a loss or the cache of the functional interface, as a `Subject`: its tape is replayed in float64.

In: a tensor or a tape. Out: outputs for other leaves, and the gradients of the reverse sweep. There is no recursion.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.backward import scalar_cotangent, sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.check.subject import Subject, widened
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import DETACH, STATE
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError

Edge: TypeAlias = tuple[int, int]  # an entry, and the position of one of its inputs
SEPARATE = 64  # leaves that get a row of their own; the rest are moved together, so that the cost stays linear
DRIFT = 1e-4  # by which share the values of a float32 forward may differ from those of a float64 one


@dataclass(frozen=True, slots=True)
class Change:
    """A mistake of a backward: edges that nothing passes, cuts of blocks, what rules see in place of an argument."""

    without: Collection[Edge] = frozenset()
    cuts: Mapping[int, Sequence[int]] = field(default_factory=dict)
    instead: Mapping[Edge, Array] = field(default_factory=dict)


def computed(
    entries: Sequence[Entry], given: dict[int, Array], blocks: dict[int, Block], *,
    base: Mapping[int, Array] | None = None, wanted: int = -1,
) -> dict[int, Array]:  # fmt: skip
    """Compute entries again, in their order, from other values of some leaves; `given` becomes what is returned.

    Beside values of a `base`, only what depends on the given ones is computed, blocks hold the states of their cuts as
    they are in `blocks`, and a detached tensor depends on nothing; else `blocks` takes the new ones. Where one value
    alone is `wanted`, the others are dropped after their last use.
    """
    last = {source: entry.id for entry in entries for source in entry.inputs} if wanted >= 0 else {}
    held = dict(blocks) if base is not None else {}
    changed, values = set(given), given if base is None else {**base, **given}
    with np.errstate(all="ignore"):
        for entry in entries:
            if entry.op.vjp is None:
                values.setdefault(entry.id, entry.value)
                continue
            if base is not None:
                if entry.op is DETACH or changed.isdisjoint(entry.inputs):
                    continue
                changed.add(entry.id)
            if isinstance(entry, Block):
                arrays = {name: values[node] for name, node in entry.sources.items()}
                blocks[entry.id] = entry.again(arrays, held=held.get(entry.id))
                value = blocks[entry.id].value
            elif entry.op is STATE:
                value = blocks[entry.inputs[0]].state(entry.options["kind"], entry.options["t"])
            else:
                value = entry.op.forward(*[values[source] for source in entry.inputs], **entry.options)
            values[entry.id] = value if type(value) is np.ndarray else np.asarray(value)
            for source in entry.inputs if last else ():
                if last[source] == entry.id and source != wanted:
                    values.pop(source, None)
    return values


class Replay:
    """The entries that lead to some outputs, computed again from other leaves; a cut holds its states."""

    def __init__(self, outputs: Sequence[Tensor], *, wide: bool = True) -> None:
        """Find the entries and compute them once."""
        self.tape, self.outputs = outputs[0].tape, [one.id for one in outputs]
        needed, self.nodes = set(self.outputs), list[Entry]()
        for entry in reversed(self.tape.entries):
            if entry.id in needed or not needed.isdisjoint(range(entry.first, entry.id)):
                needed.update(entry.inputs)
                self.nodes.append(entry)
        self.nodes.reverse()
        self.blocks: dict[int, Block] = {}
        self.leaves = [entry for entry in self.tape.entries if entry.op.vjp is None and entry.name and entry.requires]
        given = [*self.leaves, *(entry for entry in self.nodes if entry.op.vjp is None)]
        leaves = {entry.id: widened(entry.value) if wide else entry.value for entry in given}
        self.base = computed(self.nodes, leaves, self.blocks)

    def values(self, leaves: Mapping[int, Array]) -> dict[int, Array]:
        """Compute everything again from other leaves."""
        return computed(self.nodes, dict(leaves), dict(self.blocks), base=self.base)

    def again(self, leaves: Mapping[int, Array], change: Change | None = None) -> tuple[Tape, dict[int, int]]:
        """Record everything again with other leaves, or for a changed backward; give the tape and the new ids."""
        change, values = change or Change(), self.values(leaves)
        tape, places = Tape(), dict[int, int]()
        for entry in self.nodes:
            sources = [places[source] for source in entry.inputs]
            for position, source in enumerate(entry.inputs):
                if (entry.id, position) in change.without:
                    sources[position] = tape.append(DETACH, (places[source],), values[source])
            cuts = change.cuts.get(entry.id, ())
            places[entry.id] = record_again(tape, entry, sources, None if cuts else values[entry.id], cuts)
            if any(edge[0] == entry.id for edge in change.instead):
                node = tape.entry(places[entry.id])
                known = enumerate(node.arguments)
                node.arguments = tuple([change.instead.get((entry.id, position), one) for position, one in known])
        return tape, places

    def gradients(self, upstream: Sequence[Any], recorded: tuple[Tape, Mapping[int, int]] | None = None) -> list[Array]:
        """Give the gradients of the leaves by the own tape, or by another on which the same was `recorded`."""
        tape, places = recorded or (self.tape, {entry.id: entry.id for entry in self.nodes})
        ends = [places[one] for one in self.outputs]
        starts = {one: u.astype(tape.entry(one).value.dtype) for one, u in zip(ends, upstream, strict=True)}
        wanted = {places[leaf.id] for leaf in self.leaves if leaf.id in places}
        found = {step.node.id: np.array(step.gradient) for step in sweep(tape, starts) if step.node.id in wanted}
        return [found.get(places.get(leaf.id, -1), np.zeros(leaf.value.shape)) for leaf in self.leaves]

    def gradients_with(self, change: Change) -> list[Array]:
        """Give the gradients of a scalar loss whose backward is changed."""
        return self.gradients([np.ones(self.base[self.outputs[0]].shape)], self.again({}, change))


def record_again(
    tape: Tape, entry: Entry, sources: Sequence[int], value: Array | None = None, cuts: Sequence[int] = ()
) -> int:
    """Record what an entry did on another tape; the steps of a block are as many as its input there has."""
    if isinstance(entry, Block):
        given = {name: tape.tensor(i) for name, i in zip(entry.sources, sources, strict=True)}
        steps = given["x"].shape[1]
        mask = None if entry.keep is None else entry.keep.T[:, :steps]
        return tape.append_block(
            entry.cell, given["x"], {name: given[name] for name in entry.weights},
            {kind: given[kind + "0"] for kind in entry.columns}, reverse=entry.reverse, mask=mask,
            cuts=sorted(cut for cut in {*entry.cuts, *cuts} if cut < steps),
        ).id  # fmt: skip
    if value is None:
        value = np.asarray(entry.op.forward(*[tape.entry(i).value for i in sources], **entry.options))
    return tape.append(
        entry.op, tuple(sources), value, options=entry.options, scope=entry.scope, name=entry.name,
        requires=entry.requires,
    )  # fmt: skip


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
    replay = Replay(outputs)
    narrow = [entry for entry in replay.nodes if entry.value.dtype == np.float32]
    plain = Replay(outputs, wide=False) if narrow else replay
    for output in outputs:
        recorded, again = output.value, plain.base[output.id]
        if not np.isfinite(recorded).all():
            what = f"the loss is {recorded.reshape(-1)[0]}" if recorded.size == 1 else "an output is not finite"
            raise InputError(f"{what}; gradients can be checked only where it is finite.")
        rounding = float(np.sqrt(np.finfo(recorded.dtype).eps)) * max(float(np.abs(recorded).max()), 1e-300)
        if not np.abs(recorded - again).max() <= rounding:
            raise InputError(
                f"the tape gives a loss of {again.reshape(-1)[0]:.9g} when it is replayed, but "
                f"{recorded.reshape(-1)[0]:.9g} was recorded: an array was changed in place after the "
                "forward pass, or an op is random; check before parameters are updated."
            )
    sizes = [(entry.value - replay.base[entry.id], replay.base[entry.id]) for entry in narrow]
    drift = max([float(np.abs(off).max()) / (float(np.abs(wide).max()) or 1.0) for off, wide in sizes], default=0.0)
    if drift <= DRIFT:
        return subject_of(replay, upstream), replay, ""
    note = f"float32 rounding grows to {drift:.0e} of a value here, so a float64 run was checked."
    return subject_of(replay, upstream, replay.again({})), replay, note


def subject_of(replay: Replay, upstream: list[Array], recorded: tuple[Tape, dict[int, int]] | None = None) -> Subject:
    """Let a replay claim the gradients of its own tape, or of another on which the same was `recorded`.

    The leaves beyond the first ones are one argument, flat.
    """
    leaves, many = replay.leaves, len(replay.leaves) > SEPARATE
    first, rest = (leaves[: SEPARATE - 1], leaves[SEPARATE - 1 :]) if many else (leaves, [])
    ends = np.cumsum([leaf.value.size for leaf in rest])[:-1]

    def split(arrays: Sequence[Array]) -> list[Any]:
        flat = [np.concatenate([one.ravel() for one in arrays[len(first) :]])] if rest else []
        return [*arrays[: len(first)], *flat]

    base = split([replay.base[leaf.id] for leaf in leaves])

    def moved(points: Sequence[Array]) -> dict[int, Array]:
        found = {leaf.id: one for leaf, one, own in zip(first, points, base, strict=False) if one is not own}
        parts = np.split(points[-1], ends) if rest and points[-1] is not base[-1] else ()
        return found | {leaf.id: part.reshape(leaf.value.shape) for leaf, part in zip(rest, parts, strict=False)}

    def run(points: Sequence[Array]) -> list[Array]:
        values = replay.values(moved(points))
        return [values[one] for one in replay.outputs]

    def gradients(points: Sequence[Array], upstream: Sequence[Array]) -> list[Any]:
        return split(replay.gradients(upstream, replay.again(moved(points))))

    names = [str(leaf.name) for leaf in first]
    names += [f"{rest[0].name} .. {rest[-1].name} ({len(rest)} leaves)"] if rest else []
    outputs = [replay.base[one] for one in replay.outputs]
    return Subject(
        names, base, run, gradients, upstream, outputs, split(replay.gradients(upstream, recorded)), narrow=False
    )
