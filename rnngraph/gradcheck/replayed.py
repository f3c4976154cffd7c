"""What was recorded, a loss or the cache of the functional interface, as a `Subject`: its tape is replayed in float64.

In: a tensor or a tape. Out: outputs for other leaves, and the gradients of the reverse sweep. There is no recursion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnngraph.autodiff.again import again, depending, recomputed, with_entries, with_value
from rnngraph.autodiff.along import CAST
from rnngraph.autodiff.backward import scalar_cotangent, sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import DETACH
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.gradcheck.subject import Subject, widened

SEPARATE = 64  # leaves that get a row of their own; the rest are moved together, so that the cost stays linear
DRIFT = 1e-4  # by which share the values of a float32 forward may differ from those of a float64 one


class Replay:
    """A tape computed again, of which what leads to some outputs can be had at other leaves."""

    def __init__(self, outputs: Sequence[Tensor], *, wide: bool = True) -> None:
        """Compute it once, in float64 where that is wanted."""
        recorded, self.outputs = outputs[0].tape, [one.id for one in outputs]
        needed, idle = set(self.outputs), set[int]()
        for entry in reversed(recorded.entries):
            if entry.id in needed or not needed.isdisjoint(range(entry.first, entry.id)):
                needed.update(entry.inputs)
            else:
                idle.add(entry.id)
        sources = [entry for entry in recorded.entries if entry.op.vjp is None and (entry.name or entry.id not in idle)]
        narrow = any(_is_narrow(entry.value) for entry in recorded.entries if entry.requires or entry.name)
        self.dtype = "float32" if narrow else "float64"
        recorded = with_entries(recorded, map(_cast_to_float64, recorded.entries)) if wide else recorded
        given = {entry.id: widened(entry.value) if wide else entry.value for entry in sources}
        self.tape = again(recorded, given, depending(recorded, given, idle))
        self.nodes = [entry for entry in self.tape.entries if entry.id not in idle]
        self.leaves = [e for e in self.tape.entries if e.op.vjp is None and e.name and e.requires]
        self.places: dict[tuple[int, ...], list[int]] = {}  # by the leaves that are moved
        self.held = idle | {entry.id for entry in self.nodes if entry.op is DETACH}

    def moved(self, leaves: Mapping[int, Array]) -> Sequence[int]:
        """Find the places of what depends on some leaves; a detached tensor depends on nothing."""
        moved = tuple(leaves)
        if moved not in self.places:
            self.places[moved] = depending(self.tape, moved, self.held)
        return self.places[moved]

    def values(self, tape: Tape) -> list[Array]:
        """Give the outputs on such a tape."""
        return [tape.entry(one).value for one in self.outputs]

    def gradients(self, upstream: Sequence[Array], tape: Tape) -> list[Array]:
        """Give the gradients of the leaves on such a tape."""
        pairs = zip(self.outputs, upstream, self.values(tape), strict=True)
        starts, leaves = {i: u.astype(value.dtype) for i, u, value in pairs}, {one.id for one in self.leaves}
        found = {one.node.id: np.array(one.gradient) for one in sweep(tape, starts) if one.node.id in leaves}
        return [found.get(leaf.id, np.zeros(leaf.value.shape)) for leaf in self.leaves]

    def subject(self, upstream: list[Array], recorded: Tape | None = None) -> Subject:
        """Claim the gradients of the own tape, or of that which was `recorded`; the leaves beyond the first are one."""
        leaves = self.leaves
        cut = SEPARATE - 1 if len(leaves) > SEPARATE else len(leaves)
        groups = [*([one] for one in leaves[:cut]), *[leaves[cut:]][: len(leaves) - cut]]

        def grouped(arrays: Sequence[Array]) -> list[Any]:
            return [*arrays[:cut], *([np.concatenate([one.ravel() for one in arrays[cut:]])] if arrays[cut:] else [])]

        base = grouped([leaf.value for leaf in leaves])

        def leaves_at(points: Sequence[Array]) -> dict[int, Array]:
            moved: dict[int, Array] = {}
            for group, point, own in zip(groups, points, base, strict=True):
                if point is not own:
                    parts = (
                        np.split(point, np.cumsum([leaf.value.size for leaf in group])) if len(group) > 1 else [point]
                    )
                    moved |= {leaf.id: one.reshape(leaf.value.shape) for leaf, one in zip(group, parts, strict=False)}
            return moved

        def run(points: Sequence[Array]) -> list[Array]:
            given = leaves_at(points)
            values, _ = recomputed(self.tape, given, self.moved(given), hold_cuts=True, wanted=self.outputs)
            return [values[one] for one in self.outputs]

        def gradients(points: Sequence[Array], upstream: Sequence[Array]) -> list[Any]:
            given = leaves_at(points)
            return grouped(self.gradients(upstream, again(self.tape, given, self.moved(given), hold_cuts=True)))

        names = [str(one[0].name) + f" .. {one[-1].name} ({len(one)} leaves)" * (len(one) > 1) for one in groups]
        claimed = grouped(self.gradients(upstream, recorded or self.tape))
        return Subject(
            names,
            base,
            run,
            gradients,
            upstream,
            self.values(self.tape),
            claimed,
            narrow=self.dtype == "float32",
            trusted=range(len(base)),
        )


def _is_narrow(value: Array) -> bool:
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
    pairs = [(recorded.entry(entry.id).value, entry.value) for entry in replay.nodes]
    narrow = [(value, wide) for value, wide in pairs if _is_narrow(value)]
    plain = Replay(outputs, wide=False) if narrow else replay
    for value, again_value in zip(replay.values(recorded), plain.values(plain.tape), strict=True):
        if not np.isfinite(value).all():
            what = f"the loss is {value.reshape(-1)[0]}" if value.size == 1 else "an output is not finite"
            raise InputError(f"{what}; gradients can be checked only where it is finite.")
        rounding = float(np.sqrt(np.finfo(value.dtype).eps)) * max(float(np.abs(value).max()), 1e-300)
        if not np.abs(value - again_value).max() <= rounding:
            raise InputError(
                f"the tape gives a loss of {again_value.reshape(-1)[0]:.9g} when it is replayed, but "
                f"{value.reshape(-1)[0]:.9g} was recorded: an array was changed in place after the "
                "forward pass, or an op is random; check before parameters are updated."
            )
    drifts = [float(np.abs(value - wide).max()) / (float(np.abs(wide).max()) or 1.0) for value, wide in narrow]
    if max(drifts, default=0.0) <= DRIFT:
        return replay.subject(upstream, recorded), replay, ""
    note = f"float32 rounding grows to {max(drifts):.0e} of a value here, so a float64 run was checked."
    return replay.subject(upstream), replay, note
