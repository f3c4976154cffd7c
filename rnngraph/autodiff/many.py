"""The reverse sweep for many cotangents at once: every row is a loss of its own, and all are walked back together.

In: a tape, what enters it, and which entries lead anywhere. Out: norms of states, told to whoever measures. Numbers are kept
in bands of powers of two (see `block/carry.py`), so that a gradient of 1e-2000 is still a number. Through nodes bands are
walked one by one; at states, rows are brought into the band of their norm.

Between blocks, and through ops that act step by step, only the chosen samples and a window of timesteps are walked; such
entries are called narrow. Everything else takes whole values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.backward import unbroadcast
from rnngraph.autodiff.banding import Groups, settled
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.carry import Carry
from rnngraph.autodiff.block.given import single_state
from rnngraph.autodiff.block.rows import Entry, Feel, Field, See, pull_rows
from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.autodiff.fed import SeeFed, by_timestep, tell_steps, tell_whole
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.tape import Tape


@dataclass(frozen=True, slots=True)
class Cotangents:
    """Some rows of one band at a node: an array (count, ...) or a contribution with such an axis in front."""

    value: Contribution
    low: int
    count: int
    band: int = 0
    narrow: bool = False
    first: int = 0  # the first timestep of a narrow value
    by: int = -1  # the entry that handed it back


SeeNode: TypeAlias = Callable[[int, int, Array], None]  # (node, first row, logs of norms (rows, N))
FeelNode: TypeAlias = Callable[[int, list[Cotangents]], None]  # (entry, what reached it)


@dataclass(slots=True)
class Walk:
    """What one walk needs: which entries to pass on to, which states to tell of, and the carries of blocks."""

    tape: Tape
    leads: frozenset[int]  # ids of the entries behind which there is a state
    states: Mapping[int, int | None]  # node id of a state -> the axis of its samples
    narrow: frozenset[int]
    see_node: SeeNode
    see_block: See | None
    samples: Mapping[int, Array]  # of a batch size: the samples that are chosen
    window: tuple[int, int] | None = None  # places of every block; None for all
    carries: dict[int, Carry] = field(default_factory=dict)
    until: frozenset[int] = frozenset()  # states that are told of but not walked past
    unrounded: bool = False
    feel_block: Feel | None = None
    feel_node: FeelNode | None = None
    see_fed: SeeFed | None = None
    fed: frozenset[int] = frozenset()  # inputs over time that are told of


def walk_rows(walk: Walk, starts: Mapping[int, Iterable[Cotangents]], rows: int) -> None:
    """Walk from what enters, by entry id, to the start of the tape; `rows` is their number."""
    pending: dict[int, list[Cotangents]] = {}
    order: list[int] = []

    def push(node_id: int, one: Cotangents) -> None:
        waiting = pending.get(node_id)
        if waiting is None:
            pending[node_id] = [one]
            heappush(order, -node_id)
        else:
            waiting.append(one)

    for node_id, some in starts.items():
        for one in some:
            push(node_id, one)
    if walk.window is not None or walk.carries:
        for node_id in walk.carries:  # a block goes on with what it carries, whether anything enters or not
            if node_id not in pending:
                pending[node_id] = []
                heappush(order, -node_id)
    while order:
        node_id = -heappop(order)
        entry = walk.tape.entry(node_id)
        some = pending.pop(node_id)
        if walk.feel_node is not None:
            walk.feel_node(node_id, some)
        if isinstance(entry, Block):
            for source, one in _through_block(walk, entry, some, rows):
                push(source, one)
            continue
        if node_id in walk.fed and walk.see_fed is not None:
            # Nothing lies behind it, and it is read a timestep at a time: it need not be told of as a whole.
            alone = walk.leads.isdisjoint(entry.inputs) and not any(one.narrow for one in some)
            steps = by_timestep((one.band, one.low, one.value) for one in some) if alone else None
            if steps is not None:
                tell_steps(node_id, steps, walk.samples[entry.value.shape[0]], walk.see_fed)
                continue
        groups = _joined(walk, entry, some)
        if node_id in walk.fed and walk.see_fed is not None:
            narrow = node_id in walk.narrow
            first = walk.window[0] if narrow and walk.window is not None else 0
            tell_whole(
                node_id, groups, slice(None) if narrow else walk.samples[entry.value.shape[0]], first, walk.see_fed
            )
        if node_id in walk.states:
            groups = settled(groups, walk.states[node_id], lambda low, logs: walk.see_node(entry.id, low, logs))
            if node_id in walk.until:
                continue
        for band, (low, value) in groups.items():
            for source, one in _through_node(walk, entry, value, low, band):
                push(source, one)


def _through_block(walk: Walk, block: Block, some: list[Cotangents], rows: int) -> Iterable[tuple[int, Cotangents]]:
    samples = walk.samples[block.sample_count]
    carry = walk.carries.get(block.id)
    if carry is None:
        carry = Carry.empty(rows, len(samples), [column.shape[-1] for column in block.columns.values()])
    kinds = list(block.columns)
    entering: list[Field | Entry] = []
    for one in some:
        state = single_state(one.value)
        if state is not None:
            kind, t, array = state
            array = array if one.narrow else array[:, samples]
            entering.append(Entry(kinds.index(kind), t, array, one.low, one.band))
            continue
        value = _dense(one, block.value.shape)
        entering.append(Field(value if one.narrow else value[:, samples], one.low, one.first, one.band))
    source, window = block.sources["x"], walk.window or (0, block.steps)
    emitted = pull_rows(
        block, entering, carry, window=window, see=walk.see_block, to_input=source in walk.leads, samples=samples,
        unrounded=walk.unrounded, feel=walk.feel_block,
    )  # fmt: skip
    for one in emitted:
        found = Cotangents(one.rows, one.low, len(one.rows), one.band, True, one.first, block.id)
        yield source, found if source in walk.narrow else _widened(walk, found, block.x.swapaxes(0, 1).shape)
    if window[0] == 0:
        yield from _to_initial(walk, block, carry)


def _to_initial(walk: Walk, block: Block, carry: Carry) -> Iterable[tuple[int, Cotangents]]:
    """Hand what is left behind the first step to the initial states, band by band."""
    run = slice(carry.low, carry.high)
    for kind, state in zip(block.columns, carry.states, strict=True):
        source = block.sources[kind + "0"]
        if source not in walk.leads or carry.low >= carry.high:
            continue
        for band in [0] if carry.band is None else np.unique(carry.band[run]).tolist():
            rows = state[run] if carry.band is None else np.where((carry.band[run] == band)[..., None], state[run], 0)
            value = np.zeros((len(rows), block.sample_count, rows.shape[-1]))
            value[:, walk.samples[block.sample_count]] = rows
            yield source, Cotangents(value, carry.low, len(rows), band, by=block.id)


def _joined(walk: Walk, node: Node, some: list[Cotangents]) -> Groups:
    """Sum what reached a node, band by band: the first row and the rows."""
    found: Groups = {}
    for one in some:
        value = _dense(one, node.value.shape)
        if one.narrow and node.id not in walk.narrow:
            value = np.asarray(_widened(walk, one, node.value.shape).value)
        elif node.id in walk.narrow and not one.narrow:
            value = value[:, walk.samples[node.value.shape[0]]]
        known = found.get(one.band)
        if known is None:
            found[one.band] = one.low, value
            continue
        low, high = min(known[0], one.low), max(known[0] + len(known[1]), one.low + len(value))
        if low == known[0] == one.low and len(value) == len(known[1]):
            found[one.band] = low, known[1] + value
            continue
        total = np.zeros((high - low, *value.shape[1:]))
        total[known[0] - low : known[0] - low + len(known[1])] += known[1]
        total[one.low - low : one.low - low + len(value)] += value
        found[one.band] = low, total
    return found


def _dense(one: Cotangents, shape: tuple[int, ...]) -> Array:
    if isinstance(one.value, np.ndarray):
        return one.value
    total = np.zeros((one.count, *shape))
    one.value.add_to(total, 1)
    return total


def _widened(walk: Walk, one: Cotangents, shape: tuple[int, ...]) -> Cotangents:
    """Put the chosen samples back among all, with zeros between them."""
    value = np.zeros((one.count, *shape))
    rows = np.asarray(one.value)
    value[:, walk.samples[shape[0]], one.first : one.first + rows.shape[2]] = rows
    return Cotangents(value, one.low, one.count, one.band)


def _through_node(walk: Walk, node: Node, value: Array, low: int, band: int) -> Iterable[tuple[int, Cotangents]]:
    if node.op.vjp is None:
        return
    seen: Any = node
    if node.id in walk.narrow:
        seen = _narrowed(walk, node, value)
    first = 0 if walk.window is None else walk.window[0]
    for source, contribution in zip(node.inputs, node.op.vjp(value, seen), strict=False):
        if contribution is None or source not in walk.leads:
            continue
        narrow = node.id in walk.narrow
        if isinstance(contribution, np.ndarray) and not narrow:
            shape = (len(value), *walk.tape.entry(source).value.shape)
            if contribution.shape != shape:
                contribution = unbroadcast(contribution, shape, lead=1, node=node, source=source)
        yield source, Cotangents(contribution, low, len(value), band, narrow, first if narrow else 0, node.id)


def _narrowed(walk: Walk, node: Node, value: Array) -> Node:
    """Show a node with the chosen samples and the window of its arguments that is walked."""
    batch, time = node.value.shape[:2]
    samples, first = walk.samples[batch], 0 if walk.window is None else walk.window[0]
    steps = slice(first, first + value.shape[2])

    def of(array: Array) -> Array:
        if array.ndim >= 2 and array.shape[-2] == time:
            array = array[..., steps, :]
        return array[samples] if array.ndim == 3 and array.shape[0] == batch else array

    count = 1 if node.op.stepwise == "first" else len(node.arguments)
    arguments = tuple([of(one) if k < count else one for k, one in enumerate(node.arguments)])
    return Node(
        node.id, node.op, node.inputs, of(node.value), arguments, node.place, node.timestep, node.requires, node.options
    )
