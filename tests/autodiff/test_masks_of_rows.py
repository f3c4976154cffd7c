"""Parts that boolean masks pick, for many cotangents at once: each row is what it is alone, by a formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.ops import INDEX
from tests.draws import draw

ROWS = 5


def node_of(op: Any, arrays: Any, **options: Any) -> Any:
    tape = rg.Tape()
    return tape.apply(op, *[tape.input(array) for array in arrays], **options).node


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_a_mask_picks_goes_back_to_its_places(shape: tuple[int, ...], dtype: Any) -> None:
    x, mask = draw(*shape).astype(dtype), draw(*shape, 1)[..., 0] > 0
    g = draw(ROWS, int(mask.sum())).astype(dtype)
    g[1, 0], g[2, -1] = np.inf, np.nan
    (found,) = node_of(INDEX, [x], index=(mask,)).op.vjp(g, node_of(INDEX, [x], index=(mask,)))
    total = np.ones((ROWS, *shape), dtype)
    found.add_to(total, 1)
    expected = np.ones((ROWS, *shape), dtype)
    for row, part in enumerate(g):
        for place, one in zip(np.argwhere(mask), part, strict=True):
            expected[(row, *place)] += one
    np.testing.assert_array_equal(total, expected)
    assert total.dtype == dtype


MASK = draw(3, 4) > 0
CASES = {
    "two that cover all": (MASK, ~MASK),
    "one": (MASK,),
    "two that leave some": (MASK & (draw(4, 3).T > 0), ~MASK),
    "two that overlap": (MASK, MASK | (draw(4, 3).T > 0)),
    "rows alone": (MASK[:, 0],),
    "a mask and an integer": (MASK, 1),
}


@pytest.mark.parametrize("case", list(CASES))
def test_parts_put_by_masks_take_what_is_seen_of_them(case: str) -> None:
    base, indices = draw(3, 4), tuple([(one,) for one in CASES[case]])
    parts = [draw(*base[index].shape) for index in indices]
    node = node_of(ASSEMBLE, [base, *parts], indices=indices)
    g = draw(ROWS, 3, 4)
    g[1] = np.inf  # what is hidden gets zero all the same
    owner = np.zeros((3, 4), int)  # which part, counted from 1, is seen at a place
    for number, index in enumerate(indices, 1):
        owner[index] = number
    found = node.op.vjp(g, node)
    to_base = np.zeros_like(g) if found[0] is None else found[0]
    np.testing.assert_array_equal(to_base, np.where(owner == 0, g, 0))
    for number, (index, one) in enumerate(zip(indices, found[1:], strict=True), 1):
        seen = np.where(owner == number, g, 0)
        np.testing.assert_array_equal(one, np.stack([row[index] for row in seen]))
