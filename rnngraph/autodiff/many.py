"""The reverse sweep for many cotangents at once: every row is a loss of its own, and all are walked back together.

In: a tape, what enters it, and which entries lead anywhere. Out: norms of states, told to whoever measures. Numbers are
kept in bands of powers of two (see `block/carry.py`), so that a gradient of 1e-2000 is still a number. Through nodes
bands are walked one by one; at states, rows are brought into the band of their norm.

Between blocks, and through ops that act step by step, only the chosen samples and a window of timesteps are walked;
such entries are called narrow. Everything else takes whole values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

import numpy as np

from rnngraph.autodiff.backward import unbroadcast
from rnngraph.autodiff.banding import Groups, added, settled
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.carry import Carry, by_band
from rnngraph.autodiff.block.runs import Runs
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents, Walk
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.through import through_node


def walk_rows(walk: Walk, starts: Mapping[int, Sequence[Cotangents]], rows: int) -> None:
    """Walk from what enters, by entry id, to the start of the tape; `rows` is their number."""
    pending = {entry_id: list(some) for entry_id, some in starts.items() if some}
    for block_id in walk.carries:  # a block goes on with what it carries, whether anything enters or not
        pending.setdefault(block_id, [])
    order = [-entry_id for entry_id in pending]
    heapify(order)
    with np.errstate(all="ignore", under="call", call=lambda kind, flag: walk.underflows.add(kind)):
        while order:
            entry_id = -heappop(order)
            entry, some = walk.tape.entry(entry_id), pending.pop(entry_id)
            if walk.feel_node is not None:
                walk.feel_node(entry_id, some)
            passed = _through_block(walk, entry, some, rows) if isinstance(entry, Block) else _told(walk, entry, some)
            for source, one in passed:
                if source not in pending:
                    pending[source] = []
                    heappush(order, -source)
                pending[source].append(one)


def _told(walk: Walk, node: Node, some: list[Cotangents]) -> Iterable[tuple[int, Cotangents]]:
    """Tell of what reached an input or a state, and walk through the node."""
    groups = _joined(walk, node, some)
    if node.id in walk.fed:
        _tell_fed(walk, node, groups)
    if node.id in walk.states:
        groups, low, logs = settled(groups, walk.states[node.id])
        walk.see_node(node.id, low, logs)
        if node.id in walk.until:
            return ()
    return through_node(walk, node, groups)


def _tell_fed(walk: Walk, node: Node, groups: Groups) -> None:
    narrow = node.id in walk.narrow
    first = walk.window[0] if narrow and walk.window is not None else 0
    samples = slice(None) if narrow else walk.samples[node.value.shape[0]]
    chosen = {band: (low, value[:, samples]) for band, (low, value) in groups.items()}
    _, batch, steps, width = next(iter(chosen.values()))[1].shape
    low, carry = added({band: (low, rows.reshape(len(rows), -1, width)) for band, (low, rows) in chosen.items()})
    (logs,) = carry.measure()
    walk.see_fed(node.id, first, low, logs.reshape(len(logs), batch, steps).transpose(2, 0, 1))


def _through_block(walk: Walk, block: Block, some: list[Cotangents], rows: int) -> Iterable[tuple[int, Cotangents]]:
    carry, source = walk.carries.get(block.id), block.sources["x"]
    if carry is None:
        count = len(walk.samples[block.sample_count])
        carry = Carry.empty(rows, count, block.widths.values())
    if some or carry.low < carry.high:
        for found in Runs(walk, block, some, carry).walk():
            yield source, found if source in walk.narrow else _widened(walk, found, block.x.swapaxes(0, 1).shape)
    if walk.window is None or walk.window[0] == 0:
        yield from _to_initial(walk, block, carry)


def _to_initial(walk: Walk, block: Block, carry: Carry) -> Iterable[tuple[int, Cotangents]]:
    """Hand what is left behind the first step to the initial states, band by band."""
    run = slice(carry.low, carry.high)
    for kind, state, bands in zip(block.columns, carry.states, carry.bands, strict=True):
        source = block.sources[kind + "0"]
        if source not in walk.leads or carry.low >= carry.high:
            continue
        for band, rows in by_band(state[run], None if bands is None else bands[run]):
            value = np.zeros((len(rows), block.sample_count, rows.shape[-1]))
            value[:, walk.samples[block.sample_count]] = rows
            yield source, Cotangents(value, carry.low, len(rows), band, by=block.id)


def _joined(walk: Walk, node: Node, some: list[Cotangents]) -> Groups:
    """Sum what reached a node, band by band: the first row and the rows."""
    shape, narrow = node.value.shape, node.id in walk.narrow
    bands: dict[int, list[Cotangents]] = {}
    for one in some:
        if one.narrow and not narrow:
            one = _widened(walk, one, shape)
        elif narrow and not one.narrow:
            one = replace(one, value=one.dense(shape)[:, walk.samples[shape[0]]])
        bands.setdefault(one.band, []).append(one)
    return {band: _sum(parts, shape) for band, parts in bands.items()}


def _sum(some: list[Cotangents], shape: tuple[int, ...]) -> tuple[int, Array]:
    """Sum rows of one band, each in its own form, into one array: its first row and the array."""
    first = some[0]
    if len(some) == 1:
        return first.low, first.dense(shape)
    low, high = min(one.low for one in some), max(one.low + one.count for one in some)
    known = next((one.value.shape[1:] for one in some if isinstance(one.value, np.ndarray)), shape)
    total = np.zeros((high - low, *known))
    for one in some:
        part = total[one.low - low : one.low - low + one.count]
        if isinstance(one.value, np.ndarray):
            part += one.value
        else:
            one.value.add_to(part, 1)
    return low, total


def _widened(walk: Walk, one: Cotangents, shape: tuple[int, ...]) -> Cotangents:
    """Put the chosen samples back among all, with zeros between them."""
    rows, by = np.asarray(one.value), walk.tape.entry(one.by) if len(shape) < 3 else None
    value = np.zeros((one.count, *shape) if by is None else (one.count, *by.value.shape))
    value[:, walk.samples[value.shape[1]], one.first : one.first + rows.shape[2]] = rows
    if isinstance(by, Node):  # to all steps of which it was stretched
        source = next(i for i in by.inputs if walk.tape.entry(i).value.shape == shape)
        value = unbroadcast(value, (one.count, *shape), lead=1, node=by, source=source)
    return Cotangents(value, one.low, one.count, one.band)
