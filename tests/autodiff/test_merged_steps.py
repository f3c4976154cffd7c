"""Many rows are walked through one matrix a sample: what comes out is what the step itself hands back, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.block import Block, merged
from rnngraph.autodiff.block.merged import Merged
from rnngraph.measure.lag_options import LagOptions
from rnngraph.nn.cells import CELLS, Cell
from rnngraph.nn.recurrent import Recurrent

T, D, H = 6, 5, 7
DECLARED = [name for name, cell in CELLS.items() if cell.through]
RANDOM = np.random.default_rng(0)


def block(cell: str, samples: int, *, padded: bool) -> Block:
    x = RANDOM.normal(size=(samples, T, D))
    mask = np.arange(T) < np.arange(2, 2 + samples)[:, None] if padded else None
    tape = rg.Tape()
    Recurrent(cell, D, H, seed=1)(tape.input(x), mask=mask)
    found = tape.recurrences[0].block
    assert found is not None
    return found


def test_gated_cells_that_allow_it_say_through_which_state_each_block_is_reached() -> None:
    assert DECLARED == ["lstm", "gru"]
    for name in DECLARED:
        cell = CELLS[name]
        assert len(cell.through) == cell.blocks
        assert {*cell.through, *cell.passes} <= {*cell.facts.kinds}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("cell", DECLARED)
def test_a_merged_step_is_the_step(cell: str, samples: int, padded: bool) -> None:
    one, rows = block(cell, samples, padded=padded), 4
    alone = samples == 1
    factors = one.cell.factors(one.past(0, T, samples=0 if alone else slice(None)))
    weight, wx = (np.ascontiguousarray(one.weights[name].T) for name in ("Wh", "Wx"))
    step = Merged(one.cell, factors, weight, wx, rows=rows, alone=alone)
    shape = (rows, H) if alone else (rows, samples, H)
    for p in range(T):
        g = [RANDOM.normal(size=shape) for _ in one.columns]
        out, expected = ([np.full(shape, np.nan) for _ in one.columns] for _ in range(2))
        to_input = np.full((*shape[:-1], D), np.nan)
        step.back(p, g, out, to_input)
        for row in range(rows):
            some = [state[row] for state in g]
            da = np.empty((*shape[1:-1], len(weight)))
            one.cell.back(factors, p, some, da, weight, [state[row] for state in expected])
            handed = one.cell.to_input(factors, p, da, some[0]) @ wx
            np.testing.assert_allclose(to_input[row], handed, rtol=1e-12, atol=1e-14)
        for found, wanted in zip(out, expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"truncate": 21}])
@pytest.mark.parametrize("cell", DECLARED)
def test_lags_of_many_losses_are_those_of_the_operations(
    cell: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[int] = []
    back = Merged.back

    def counted(self: Merged, p: int, g: Any, out: Any, to_input: Any) -> None:
        walked.append(len(g[0]))
        back(self, p, g, out, to_input)

    monkeypatch.setattr(Merged, "back", counted)
    monkeypatch.setattr(merged, "_START", 0)  # else it would take large networks to pay,
    monkeypatch.setattr(merged, "_THIN", 1)  # and more losses
    x = RANDOM.normal(size=(4, 24, 3))
    traces = []
    for detail in ("step", "op"):
        output = Recurrent(cell, 3, 12, seed=2, detail=detail, **options)(rg.Tape().input(x))
        traces.append(rg.record((output * output).sum(), lags=LagOptions("all", "all")))
    assert max(walked) == options.get("truncate", 24)  # all losses at once, at the first step
    logs, expected = (
        [*(one.log for one in trace.lags), *(one.log for one in trace.input_lags)] for trace in traces
    )  # fmt: skip
    for found, wanted in zip(logs, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_few_rows_are_walked_step_by_step() -> None:
    one = block("lstm", 3, padded=False)
    factors = one.cell.factors(one.past(0, T))
    weight, wx = (np.ascontiguousarray(one.weights[name].T) for name in ("Wh", "Wx"))
    step = Merged(one.cell, factors, weight, wx, rows=2000, alone=False)
    assert [step.pays(rows) for rows in (1, 16, 2000)] == [False, False, True]


def test_a_cell_of_ones_own_is_not_merged_unless_it_says_so() -> None:
    assert Cell.through == ()
    assert CELLS["lstm_projected"].through == CELLS["gru_reset_before"].through == ()
