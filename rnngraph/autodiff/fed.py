"""Rows of losses at what a network is fed: the norm at every timestep, sample by sample.

In: what reached the input (N, T, D), band by band, whole or a timestep at a time. Out: ln of norms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rnngraph.autodiff.block.carry import BAND, LOG_BAND
from rnngraph.autodiff.block.given import single_state
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents, SeeFed, Walk
from rnngraph.norms import row_norms

if TYPE_CHECKING:
    from rnngraph.autodiff.banding import Groups
    from rnngraph.autodiff.node import Node

Piece: TypeAlias = tuple[int, int, Array]  # band, first row, rows (count, N, ..., D)


def logs_of(pieces: list[Piece]) -> tuple[int, Array]:
    """Give the first row, and ln of the norms over the last axis of the sum of some pieces, whatever their bands."""
    if len(pieces) == 1:
        ((band, low, value),) = pieces
        return low, np.log(row_norms(value)) + band * LOG_BAND
    low = min(first for _, first, _ in pieces)
    count = max(first + len(value) for _, first, value in pieces) - low
    shape = pieces[0][2].shape[1:]
    top = np.full((count, *shape[:-1]), np.iinfo(np.int64).min // 2)
    for band, first, value in pieces:
        part = top[first - low : first - low + len(value)]
        np.maximum(part, np.where(value.any(axis=-1), band, part), out=part)
    total = np.zeros((count, *shape))
    for band, first, value in pieces:
        rows = slice(first - low, first - low + len(value))
        shift = np.clip((band - top[rows]) * BAND, -4096, 0).astype(np.int32)
        total[rows] += np.ldexp(value, shift[..., None])
    norms = row_norms(total)
    return low, np.log(norms) + np.where(norms != 0, top, 0) * LOG_BAND


def told_by_timestep(walk: Walk, node: Node, some: list[Cotangents], see: SeeFed) -> bool:
    """Tell of an input that nothing lies behind and that is read a timestep at a time, without the whole of it."""
    if not walk.leads.isdisjoint(node.inputs) or any(one.narrow for one in some):
        return False
    samples, steps = walk.samples[node.value.shape[0]], dict[int, list[Piece]]()
    for one in some:
        state = single_state(one.value)
        if state is None:
            return False
        steps.setdefault(state[1], []).append((one.band, one.low, state[2][:, samples]))
    for t, pieces in steps.items():
        low, logs = logs_of(pieces)
        see(node.id, t, low, logs[None])
    return True


def tell_fed(walk: Walk, node: Node, groups: Groups, see: SeeFed) -> None:
    """Tell of an input that was summed whole."""
    narrow = node.id in walk.narrow
    first = walk.window[0] if narrow and walk.window is not None else 0
    samples = slice(None) if narrow else walk.samples[node.value.shape[0]]
    pieces: list[Piece] = [(band, low, value[:, samples]) for band, (low, value) in groups.items()]
    if pieces:
        low, logs = logs_of(pieces)
        see(node.id, first, low, logs.transpose(2, 0, 1))
