"""Rows of losses at what a network is fed: the norm at every timestep, sample by sample.

In: what reached the input (N, T, D), band by band, whole or a timestep at a time. Out: ln of norms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.banding import Groups
from rnngraph.autodiff.block.carry import BAND, LOG_BAND
from rnngraph.autodiff.block.given import single_state
from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.norms import row_norms

Piece: TypeAlias = tuple[int, int, Array]  # band, first row, rows (count, N, ..., D)
SeeFed: TypeAlias = Callable[[int, int, int, Array], None]  # (node, timestep, first row, logs of norms (rows, N))


def by_timestep(values: Iterable[tuple[int, int, Contribution]]) -> dict[int, list[Piece]] | None:
    """Sort contributions to single timesteps, (band, first row, value); None where one is to all of them."""
    found: dict[int, list[Piece]] = {}
    for band, low, value in values:
        state = single_state(value)
        if state is None:
            return None
        found.setdefault(state[1], []).append((band, low, state[2]))
    return found


def logs_of(pieces: list[Piece]) -> Iterator[tuple[int, Array]]:
    """Give the first row, and ln of the norms over the last axis of the sum of some pieces, whatever their bands."""
    if len(pieces) == 1:
        ((band, low, value),) = pieces
        yield low, np.log(row_norms(value)) + band * LOG_BAND
        return
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
    yield low, np.log(norms) + np.where(norms != 0, top, 0) * LOG_BAND


def tell_steps(node_id: int, steps: Mapping[int, list[Piece]], samples: Array, see: SeeFed) -> None:
    """Tell of an input a timestep at a time."""
    for t, pieces in steps.items():
        for low, logs in logs_of([(band, first, rows[:, samples]) for band, first, rows in pieces]):
            see(node_id, t, low, logs)


def tell_whole(node_id: int, groups: Groups, samples: Any, first: int, see: SeeFed) -> None:
    """Tell of all timesteps of an input from one on."""
    pieces: list[Piece] = [(band, low, value[:, samples]) for band, (low, value) in groups.items()]
    for low, logs in logs_of(pieces) if pieces else ():
        for k in range(logs.shape[2]):
            see(node_id, first + k, low, logs[:, :, k])
