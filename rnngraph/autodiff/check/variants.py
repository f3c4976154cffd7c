"""Say where gradients that a model computed by hand differ from those of its recorded loss: by which cut they agree.

In: the replay of a loss, its own gradients and the claimed ones. Out: sentences. What hand-written backwards forget is
a path of the gradient: the loss is recorded again without it, and named where that gives what was claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np

from rnngraph.autodiff.along import DOT
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.check.handed import Handed, same
from rnngraph.autodiff.check.mended import blocks_wrong, mistake, right_and_wrong
from rnngraph.autodiff.check.replayed import Change, Edge, Replay
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import MATMUL, TRANSPOSE
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Entry, Tape

MOST = 32  # timesteps of which each is left out in turn
WORDS = {"h": "the hidden state", "c": "the cell state"}


def where_handed(handed: Handed, replay: Replay, tape: Tape) -> Iterator[str]:
    """Say where the claimed gradients are wrong."""
    wrong = [place for place in range(len(handed.names)) if handed.is_wrong(place)]
    if not wrong:
        return
    yield from right_and_wrong(
        [handed.names[k] for k in wrong], [handed.names[k] for k in handed.given if k not in wrong]
    )
    left = []
    sizes = {size for one in tape.recurrences for size in _sizes(tape, one)}
    for place in wrong:
        sentence = _mistake(handed, place, sizes)
        if sentence:
            yield f"{handed.names[place]}: {sentence}."
        else:
            left.append(place)
    yield from _by_changes(handed, replay, tape, left) if left else ()


def _sizes(tape: Tape, one: Recurrence) -> Iterable[int]:
    if one.block is not None:
        return (one.block.value.shape[-1],)
    return tape.entry(one.states["h"][0]).value.shape if "h" in one.states else ()


def _mistake(handed: Handed, place: int, sizes: Collection[int]) -> str:
    """Name what was done to the right gradient."""
    claimed, right = handed.claimed[place], handed.right[place]
    factor = float((claimed * right).sum() / max((right * right).sum(), 1e-300))
    named = mistake(claimed, factor, lambda mended: not same(mended, right), None, sizes)
    bound = float(np.abs(claimed).max())
    if not named and same(claimed, np.clip(right, -bound, bound)):
        return f"it is clipped at {bound:.6g}; check it before it is clipped"
    found = blocks_wrong(claimed.shape, sizes, partial(handed.is_wrong, place))
    return named or next((sentence for sentence, _ in found), "")


def _by_changes(handed: Handed, replay: Replay, tape: Tape, left: list[int]) -> Iterator[str]:
    """Find the change of a right backward that would give the claimed gradients: of all at once, or of each."""
    for sentence, change in (*_carried(replay, tape), *_transposed(replay, tape)):
        found = replay.gradients_with(change)
        if all(same(found[place], handed.claimed[place]) for place in left):
            yield f"{', '.join(handed.names[place] for place in left)}: {sentence}."
            return
    for place in left:
        for sentence, change in _uses(replay, tape, replay.leaves[place].id):
            if same(replay.gradients_with(change)[place], handed.claimed[place]):
                yield f"{handed.names[place]}: {sentence}."
                break


def _carried(replay: Replay, tape: Tape) -> Iterator[tuple[str, Change]]:
    """Give the cuts between steps: all of them, those of one state, one of them, and those between windows."""
    edges: dict[tuple[str, int], set[Edge]] = {}
    blocks = {entry.id: list(range(1, entry.steps)) for entry in replay.nodes if isinstance(entry, Block)}
    for one in tape.recurrences if not blocks else ():
        order = -1 if one.reverse else 1
        for kind, ids in one.states.items():
            at = {node: step for step, node in enumerate(ids)}
            for entry, position, source in _edges(replay):
                step = at.get(source)
                if step is not None and entry.timestep >= 0 and (entry.timestep - step) * order > 0:
                    edges.setdefault((kind, step), set()).add((entry.id, position))
    steps = sorted({step for _, step in edges}) or sorted({p - 1 for some in blocks.values() for p in some})
    kinds = sorted({kind for kind, _ in edges})

    def cut(at: Collection[int], wanted: Collection[str] = kinds) -> Change:
        without = {edge for kind in wanted for step in at for edge in edges.get((kind, step), ())}
        return Change(without, {i: [p for p in some if p - 1 in at] for i, some in blocks.items()})

    yield "what is carried from step t+1 to t is not added", cut(steps)
    for kind in kinds if len(kinds) > 1 else ():
        by = WORDS.get(kind, f"the state {kind}")
        yield f"what is carried from step t+1 to t by {by} is not added", cut(steps, [kind])
    for step in steps[:MOST]:
        yield f"nothing passes from step {step + 1} to {step}", cut([step])
    for every in range(2, min(len(steps), MOST)):
        ends = [step for step in steps if (step + 1) % every == 0]
        yield f"nothing passes over the ends of windows of {every} steps", cut(ends)


def _edges(replay: Replay) -> Iterator[tuple[Entry, int, int]]:
    return ((entry, position, source) for entry in replay.nodes for position, source in enumerate(entry.inputs))


def _transposed(replay: Replay, tape: Tape) -> Iterator[tuple[str, Change]]:
    """Give the change of recurrent weights that are not transposed on the way back."""
    weights = {one.weight for one in tape.recurrences}
    found = {leaf.id for leaf in replay.leaves if str(leaf.name) in weights}
    instead: dict[Edge, Array] = {}
    for entry, position, source in _edges(replay):
        if source in found and entry.op is TRANSPOSE:
            found.add(entry.id)
        elif source in found and entry.op in (MATMUL, DOT):
            value = entry.arguments[position]
            if value.shape == value.shape[::-1]:
                instead[entry.id, position] = value.T
    if instead:
        yield "the recurrent weight is not transposed on the way back, or twice", Change(instead=instead)


def _uses(replay: Replay, tape: Tape, leaf: int) -> Iterator[tuple[str, Change]]:
    """Give the changes of one weight's gradient: one step alone, all but one, and states of another step."""
    uses: dict[int, set[Edge]] = {}
    for entry, position, source in _edges(replay):
        if source == leaf and entry.timestep >= 0:
            uses.setdefault(entry.timestep, set()).add((entry.id, position))
    everywhere = {edge for some in uses.values() for edge in some}
    instead: dict[Edge, Array] = {}
    for one in tape.recurrences:
        for kind, ids in one.states.items():
            order = [one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)]
            before = dict(pairwise(order))
            for entry, position, source in _edges(replay):
                after = tape.entry(before[source]) if source in before else None
                if after is not None and entry.op in (MATMUL, DOT) and entry.timestep == after.timestep:
                    instead[entry.id, position] = after.value
    yield "it is formed with the state after the step, not with the one before it", Change(instead=instead)
    for step in sorted(uses)[:MOST] if len(uses) > 1 else ():
        yield (
            f"it is that of step {step} alone: it is overwritten (=), not added to (+=)",
            Change(everywhere - uses[step]),
        )
        yield f"step {step} is missing from it", Change(uses[step])
