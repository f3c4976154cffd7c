"""What the weights get from losses so many steps away: closed forms, and runs that begin where the lag ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.block import weight_lags
from rnngraph.measure.lag_options import LagOptions
from rnngraph.nn.cells.gru import GruResetBefore
from rnngraph.nn.cells.lstm import ProjectedLstm
from rnngraph.nn.recurrent import Recurrent
from rnngraph.nn.unroll import Layer, unroll
from rnngraph.sources.tape import plan
from rnngraph.trace.model import UpdateTrace
from tests.linear_cells import linear_loss

T = 18
FULL = LagOptions("all", "all")


def one_unit(
    w: float,
    inputs: Any,
    weights: Any,
    *,
    mask: Any = None,
    options: LagOptions = FULL,
    truncate: int | None = None,
) -> UpdateTrace:
    """Record `h = w h + x`, which ReLU is while all is positive, with the loss `Σ weights h`; what its weights get."""
    layer = nn.RNN(1, 1, nonlinearity="relu", truncate=truncate)
    for name, value in (("Wx", 1.0), ("b", 0.0), ("Wh", w)):
        layer.parameter(name).value[...] = value
    inputs = np.atleast_2d(inputs)
    tape = rg.Tape()
    hidden = layer(tape.input(inputs[..., None]), mask=mask)
    (found,) = rg.record((hidden * np.atleast_2d(weights)[..., None]).sum(), lags=options).updates
    return found


def by_formula(w: float, inputs: Any, weights: Any, lag: int) -> float:
    """The norm over Wx, b and Wh of `Σ c_s w^(s-k) (x_k, 1, h_(k-1))` over all pairs with s - k of `lag` or more."""
    before = [0.0]
    for x in inputs:
        before.append(w * before[-1] + x)
    total = np.zeros(3)
    for s, c in enumerate(weights):
        for k in range(s - lag + 1):
            total += c * w ** (s - k) * np.array([inputs[k], 1.0, before[k]])
    return float(np.linalg.norm(total))


@pytest.mark.parametrize("w", [0.5, 0.95, 1.2])
def test_one_linear_unit(w: float) -> None:
    rng = np.random.default_rng(0)
    inputs, weights = rng.uniform(0.1, 1.0, T), rng.normal(size=T)
    found = one_unit(w, inputs, weights)
    assert found.lags.tolist() == [0, 1, 2, 4, 8, 16]
    for lag, log in zip(found.lags, found.log, strict=True):
        assert math.exp(log) == pytest.approx(by_formula(w, inputs, weights, int(lag)), rel=1e-12)


def test_of_some_losses_only_theirs() -> None:
    rng = np.random.default_rng(1)
    inputs, weights = rng.uniform(0.1, 1.0, T), rng.normal(size=T)
    found = one_unit(0.9, inputs, weights, options=LagOptions([4, 11], "all"))
    theirs = np.where(np.isin(np.arange(T), [4, 11]), weights, 0)
    for lag, log in zip(found.lags, found.log, strict=True):
        expected = by_formula(0.9, inputs, theirs, int(lag))
        assert math.exp(log) == pytest.approx(expected, rel=1e-12)
    assert found.log[-1] == -math.inf  # no loss of the two is 16 steps in


def test_a_copied_step_is_no_lag() -> None:
    # The middle of the second sample is padding: its steps are those of a shorter sample.
    rng = np.random.default_rng(2)
    inputs, weights = rng.uniform(0.1, 1.0, (2, T)), rng.normal(size=(2, T))
    mask = np.ones((2, T), bool)
    mask[1, 5:9] = False
    weights[1, 5:9] = 0
    found = one_unit(0.9, inputs, weights, mask=mask)
    for lag, log in zip(found.lags, found.log, strict=True):
        parts = []
        for real, row, c in zip(mask, inputs, weights, strict=True):
            parts.append(vector(0.9, row[real], c[real], int(lag)))
        assert math.exp(log) == pytest.approx(float(np.linalg.norm(sum(parts))), rel=1e-12)


def vector(w: float, inputs: Any, weights: Any, lag: int) -> Any:
    before, total = 0.0, np.zeros(3)
    for k, x in enumerate(inputs):
        later = sum(weights[s] * w ** (s - k) for s in range(k + lag, len(weights)))
        total += later * np.array([x, 1.0, before])
        before = w * before + x
    return total


def test_nothing_comes_over_a_cut() -> None:
    found = one_unit(0.9, np.ones(T), np.ones(T), truncate=4)
    shares = dict(zip(found.lags.tolist(), np.exp(found.log - found.log[0]).tolist(), strict=True))
    assert shares[2] > 0.1
    assert found.log[found.lags == 4] == -math.inf


def test_far_below_a_float() -> None:
    # 1e-20 a step: from lag 16 on it is 1e-320 and less, at lag 32 1e-640.
    time, w = 40, 1e-20
    found = one_unit(w, np.ones(time), np.eye(time)[-1])
    before = 1.0  # of every step but the first, to 20 digits
    for lag, log in zip(found.lags.tolist(), found.log, strict=True):
        # The first pair is all but alone: x = 1, b = 1 and h = 1.
        assert log == pytest.approx(lag * math.log(w) + math.log(math.sqrt(2 + before**2)), rel=1e-9)


def test_far_below_a_float_beside_a_sample_whose_gradient_ended() -> None:
    time, w = 60, 1e-20
    inputs = np.ones((2, time))
    inputs[0, 40] = -10.0  # its unit is off there: nothing of the first sample is left beyond lag 18
    found = one_unit(w, inputs, np.tile(np.eye(time)[-1], (2, 1)))
    assert found.lags[-1] == 32
    assert found.log[-1] == pytest.approx(32 * math.log(w) + math.log(math.sqrt(3)), rel=1e-9)


def test_it_is_not_known_where_one_row_is_in_parts() -> None:
    found = one_unit(1e-130, np.ones(6), np.ones(6))
    assert np.isnan(found.log).all()


CELLS: dict[str, Any] = {
    "rnn": lambda **options: nn.RNN(3, 4, **options),
    "lstm": lambda **options: nn.LSTM(3, 4, **options),
    "gru": lambda **options: nn.GRU(3, 4, **options),
    "gru, reset before": lambda **options: Recurrent(GruResetBefore(), 3, 4, **options),
    "lstm, two layers": lambda **options: nn.LSTM(3, 4, num_layers=2, **options),
    "gru, two layers": lambda **options: nn.GRU(3, 4, num_layers=2, **options),
}


def loss_of(layer: Any, x: Any, weights: Any, starts: dict[str, Any] | None = None) -> rg.Tensor:
    tape = rg.Tape()
    weighted: rg.Tensor = layer(tape.input(x), **(starts or {})) * weights
    return weighted.sum()


def weights_gradient(layer: Any, loss: rg.Tensor, ending: str) -> dict[str, Any]:
    found = rg.gradients(loss)
    names = [one.name for one in layer.parameters() if one.name.endswith("_l1") == (ending == "_l1")]
    return {name: found[name] for name in names}


@pytest.mark.parametrize("name", CELLS)
def test_runs_that_begin_where_the_lag_ends(name: str) -> None:
    # What is nearer than a lag is the gradient of a run of its own, from the states that were there, for every loss.
    layer, rng, time = CELLS[name](seed=3), np.random.default_rng(3), 9
    x, weights = rng.normal(size=(2, time, 3)), rng.normal(size=(2, time, 4))
    loss = loss_of(layer, x, weights)
    trace = rg.record(loss, lags=FULL)
    blocks = [one.block for one in loss.tape.recurrences if one.block is not None]
    for update, block, ending in zip(trace.updates, blocks, ("", "_l1"), strict=False):
        assert block is not None
        for lag, log in zip(update.lags.tolist(), update.log, strict=True):
            total = weights_gradient(layer, loss_of(layer, x, weights), ending)
            for s in range(time):
                first = max(s - lag + 1, 0)
                starts = {
                    f"{kind}0": np.stack([one.columns[kind][first] for one in blocks if one is not None])
                    for kind in block.columns
                }
                alone = np.zeros_like(weights[:, first : s + 1])
                if lag:
                    alone[:, -1] = weights[:, s]
                    near = weights_gradient(layer, loss_of(layer, x[:, first : s + 1], alone, starts), ending)
                    total = {key: one - near[key] for key, one in total.items()}
            size = math.sqrt(sum(float((one**2).sum()) for one in total.values()))
            assert math.exp(log) == pytest.approx(size, rel=1e-9, abs=1e-14)


def test_the_whole_is_the_gradient() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(5, 7, 3))
    both = nn.LSTM(3, 4, bidirectional=True)(rg.Tape().input(x))
    tape = rg.Tape()
    shapes = {"Wx": (3, 16), "b": (16,), "Wh": (2, 16), "Wr": (4, 2)}  # the projection's own weight counts too
    weights = {key: tape.parameter(nn.Parameter(f"p.{key}", rng.normal(size=one))) for key, one in shapes.items()}
    initial = {kind: tape.constant(np.zeros((5, width))) for kind, width in (("h", 2), ("c", 4))}
    projected = unroll(Layer("p", ProjectedLstm(), weights, initial), tape.input(x)).output
    for hidden in (both, projected):
        trace = rg.record((hidden * hidden).sum(), lags=FULL)
        for update in trace.updates:
            reverse = update.recurrence.endswith("_reverse")
            own = [one for one in trace.parameters if one.name.endswith("_reverse") == reverse]
            assert math.exp(update.log[0]) == pytest.approx(math.hypot(*[float(one.grad.value) for one in own]))


def test_both_directions_are_mirrors() -> None:
    rng = np.random.default_rng(5)
    x, weights = rng.normal(size=(2, 9, 3)), rng.normal(size=(2, 9, 8))
    both, alone = nn.LSTM(3, 4, bidirectional=True), nn.LSTM(3, 4)
    for name in ("Wx", "b", "Wh"):
        alone.parameter(name).value[...] = both.parameter(f"{name}_l0_reverse").value
    _, mirrored = rg.record(loss_of(both, x, weights), lags=FULL).updates
    (expected,) = rg.record(loss_of(alone, x[:, ::-1], weights[:, ::-1, 4:]), lags=FULL).updates
    np.testing.assert_allclose(mirrored.log, expected.log, rtol=1e-10)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm, two layers"])
def test_the_pieces_of_a_walk_do_not_matter(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    layer, x, weights = CELLS[cell](seed=6), rng.normal(size=(2, T, 3)), rng.normal(size=(2, T, 4))
    whole = rg.record(loss_of(layer, x, weights), lags=FULL).updates
    monkeypatch.setattr(weight_lags, "_BYTES", 7000)  # a few steps wait together
    monkeypatch.setattr(plan, "_CACHE", 8 * 4 * 8 * 64)  # and a few losses are walked together
    for one, other in zip(whole, rg.record(loss_of(layer, x, weights), lags=FULL).updates, strict=True):
        np.testing.assert_allclose(one.log, other.log, rtol=1e-10)


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.parametrize("cell", CELLS)
def test_nor_do_the_windows_that_a_long_walk_is_taken_in(
    cell: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(6)
    layer, x, weights = CELLS[cell](seed=6), rng.normal(size=(2, T, 3)), rng.normal(size=(2, T, 4))
    whole = rg.record(loss_of(layer, x, weights), lags=FULL).updates
    monkeypatch.setattr(plan, "_SHORTEST", steps)
    monkeypatch.setattr(plan, "_LONGEST", steps)
    for one, other in zip(whole, rg.record(loss_of(layer, x, weights), lags=FULL).updates, strict=True):
        np.testing.assert_allclose(one.log, other.log, rtol=1e-10)


def test_a_trace_keeps_it(tmp_path: Any) -> None:
    rng = np.random.default_rng(7)
    trace = rg.record(loss_of(nn.GRU(3, 4), rng.normal(size=(2, 9, 3)), np.ones((2, 9, 4))), lags=True)
    trace.save(tmp_path / "run.npz")
    (kept,) = rg.Trace.load(tmp_path / "run.npz").updates
    np.testing.assert_array_equal(kept.log, trace.updates[0].log)
    assert kept.recurrence == "gru"


def test_a_cell_of_nodes_is_not_known() -> None:
    assert rg.record(linear_loss(np.eye(2), np.ones((1, 2)), np.ones(2), 4), lags=FULL).updates == ()
