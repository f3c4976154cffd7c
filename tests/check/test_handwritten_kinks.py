"""A backward written by hand where the forward has kinks or a slope of zero, in float64 and in float32."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from rnngraph.gradcheck.front import check
from tests.check.hand_written import verdicts

DTYPES = [np.float64, np.float32]


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def rectified(dtype: Any = np.float32) -> Any:
    return lambda x: (np.maximum(0, x.astype(dtype)), x)


def pooled(x: Any) -> Any:
    groups = x.astype(np.float32).reshape(-1, 4)
    return groups.max(axis=1), (groups.argmax(axis=1), x.shape)


def pooled_back(d: Any, cache: Any) -> Any:
    places, shape = cache
    gradient = np.zeros((len(places), 4))
    gradient[np.arange(len(places)), places] = d
    return gradient.reshape(shape)


@pytest.mark.parametrize(("shape", "seeds"), [((5, 6), 30), ((64, 100), 8)])
def test_layers_in_float32_with_kinks_pass(shape: tuple[int, int], seeds: int) -> None:
    for seed in range(seeds):
        x = normal(seed, *shape)
        assert verdicts(check(rectified(), lambda d, x: d * (x > 0), x)) == ["ok"]
        if x.size % 4 == 0:
            assert verdicts(check(pooled, pooled_back, x)) == ["ok"]


@pytest.mark.parametrize("wrong", [lambda d, x: 1.01 * d * (x > 0), lambda d, x: d * (x > 0.1), lambda d, x: d])
def test_a_wrong_one_does_not(wrong: Any) -> None:
    for seed in range(8):
        assert verdicts(check(rectified(), wrong, normal(seed, 64, 100))) == ["WRONG"]


def network(x: Any, w: Any, b: Any, v: Any) -> Any:
    before = x.astype(np.float32) @ w.astype(np.float32) + b.astype(np.float32)
    return np.maximum(before, 0) @ v.astype(np.float32), (x, w, before, v)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.05, "WRONG")])
def test_a_layer_behind_the_kinks(factor: float, verdict: str) -> None:
    """Every output then depends on many kinks."""

    def back(d: Any, cache: Any) -> Any:
        x, w, before, v = cache
        carried = (d @ v.T) * (before > 0)
        return carried @ w.T, x.T @ carried, factor * carried.sum(axis=0), np.maximum(before, 0).T @ d

    for seed in range(8):
        arguments = normal(seed, 8, 5), normal(seed + 50, 5, 20), normal(seed + 100, 20), normal(seed + 150, 20, 4)
        assert verdicts(check(network, back, *arguments)) == ["ok", "ok", verdict, "ok"]


@pytest.mark.parametrize("seed", range(54, 60))
def test_a_mean_square_behind_kinks_is_no_false_alarm(seed: int) -> None:
    """Over steps that are long enough for float32, two slopes can agree by chance."""

    def loss(x: Any, w: Any, b: Any, v: Any) -> Any:
        out, cache = network(x, w, b, v)
        return np.float32((out**2).mean()), (out, *cache)

    def back(d: Any, cache: Any) -> Any:
        out, x, w, before, v = cache
        d = d * 2 * out / out.size
        carried = (d @ v.T) * (before > 0)
        return carried @ w.T, x.T @ carried, carried.sum(axis=0), np.maximum(before, 0).T @ d

    arguments = normal(seed, 8, 5), normal(seed + 50, 5, 20), normal(seed + 100, 20), normal(seed + 150, 20, 4)
    report = check(loss, back, *arguments, seed=seed)
    assert not report.differs, str(report)


@pytest.mark.parametrize("at_zero", [False, True])
def test_a_layer_of_which_every_kink_is_at_the_point(at_zero: bool) -> None:
    """Several kinks then meet in each output, and the gradient there need not lie between those beside it."""

    def back(d: Any, cache: Any) -> Any:
        x, w, before, v = cache
        carried = (d @ v.T) * (before >= 0 if at_zero else before > 0)
        return carried @ w.T, x.T @ carried, carried.sum(axis=0), np.maximum(before, 0).T @ d

    for seed in range(16, 28):
        for signed in (np.asarray, np.abs):
            w, v = signed(normal(seed, 5, 20)), signed(normal(seed + 50, 20, 4))
            report = check(network, back, np.zeros((8, 5)), w, np.zeros(20), v, seed=seed)
            assert not report.differs, str(report)


def test_kinks_everywhere_are_named() -> None:
    """One output of very many kinks: no step is both short enough for them and long enough for the rounding."""

    def total(x: Any) -> Any:
        return np.float32(np.abs(x.astype(np.float32)).sum()), x

    found = [check(total, lambda d, x: d * np.sign(x), normal(seed, 4000)) for seed in range(8)]
    assert not any(report.differs for report in found)
    told = [report.note for report in found if not report.passed]
    assert told
    assert all("the slope is too small, or the forward too steep or bent, beside the float32" in note for note in told)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("point", [np.zeros((3, 3)), np.zeros(400), np.array([0.0, 0.0, 1.0, -2.0])])
def test_a_gradient_at_a_kink_must_be_one_of_those_beside_it(point: Any, dtype: Any) -> None:
    def size(x: Any) -> Any:
        return np.abs(x.astype(dtype)), x

    for seed in range(3):
        for at_zero, verdict in ((-7.0, "WRONG"), (-1.0, "ok"), (0.0, "ok"), (1.0, "ok")):
            back = lambda d, x, at=at_zero: d * np.where(x == 0, at, np.sign(x))  # noqa: E731
            assert verdicts(check(size, back, point, seed=seed)) == [verdict]
        for at_zero, verdict in ((1000.0, "WRONG"), (0.0, "ok"), (1.0, "ok")):
            back = lambda d, x, at=at_zero: d * np.where(x == 0, at, x > 0)  # noqa: E731
            assert verdicts(check(rectified(dtype), back, point, seed=seed)) == [verdict]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bias_before_batch_norm_has_no_gradient(dtype: Any) -> None:
    def forward(x: Any, b: Any) -> Any:
        y = x.astype(dtype) + b.astype(dtype)
        y = y - y.mean(axis=0)
        deviation = np.sqrt((y * y).mean(axis=0) + dtype(1e-5))
        return y / deviation, (y / deviation, deviation)

    def back(d: Any, cache: Any) -> Any:
        y, deviation = cache
        gradient = (d - d.mean(axis=0) - y * (d * y).mean(axis=0)) / deviation
        return gradient, gradient.sum(axis=0)

    for seed in range(6):
        arguments = normal(seed, 8, 5), normal(seed + 50, 5)
        assert verdicts(check(forward, back, *arguments)) == ["ok", "ok"]
        wrong = check(forward, lambda d, cache: (back(d, cache)[0], d.sum(axis=0)), *arguments)
        assert verdicts(wrong) == ["ok", "WRONG"]
        forgotten = check(forward, lambda d, cache: (0 * d, back(d, cache)[1]), *arguments)
        assert verdicts(forgotten) == ["WRONG", "ok"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_loss_at_its_optimum_has_no_gradient(dtype: Any) -> None:
    x, y = normal(0, 20, 3), normal(1, 20)
    best = np.linalg.lstsq(x, y, rcond=None)[0]

    def forward(w: Any) -> Any:
        left = x.astype(dtype) @ w.astype(dtype) - y.astype(dtype)
        return dtype((left * left).mean()), left

    for seed in range(8):
        assert verdicts(check(forward, lambda d, left: d * x.T @ left / 10, best, seed=seed)) == ["ok"]
        away = best + 1.0
        assert verdicts(check(forward, lambda d, left: np.zeros(3), away, seed=seed)) == ["WRONG"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", [3, 8, 30])
def test_the_first_state_of_a_recurrence_that_forgets(steps: int, dtype: Any) -> None:
    def forward(x: Any, h0: Any, w: Any) -> Any:
        h = [h0.astype(dtype)]
        for t in range(x.shape[1]):
            h.append(np.tanh(x[:, t].astype(dtype) + h[-1] @ w.astype(dtype)))
        return h[-1], (h, w, x)

    def back(d: Any, cache: Any) -> Any:
        h, w, x = cache
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for t in reversed(range(x.shape[1])):
            dx[:, t] = d * (1 - h[t + 1] ** 2)
            dw, d = dw + h[t].T @ dx[:, t], dx[:, t] @ w.T
        return dx, d, dw

    for seed in range(6):
        arguments = normal(seed, 2, steps, 4), normal(seed + 50, 2, 4), normal(seed + 100, 4, 4) * 0.2
        assert verdicts(check(forward, back, *arguments)) == ["ok", "ok", "ok"]


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.01, "WRONG")])
def test_a_mean_cross_entropy_in_float32(factor: float, verdict: str) -> None:
    def forward(scores: Any) -> Any:
        scores = scores.astype(np.float32)
        rows, targets = np.arange(len(scores)), np.arange(len(scores)) % scores.shape[1]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        return np.float32(-np.log(shares[rows, targets]).mean()), (shares, rows, targets)

    def back(d: Any, cache: Any) -> Any:
        shares, rows, targets = cache
        gradient = shares.astype(float)
        gradient[rows, targets] -= 1
        return factor * d * gradient / len(rows)

    found = Counter(verdicts(check(forward, back, normal(seed, 64, 50)))[0] for seed in range(8))
    assert found == {verdict: 8}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("total", [lambda x: 1e12 + x, lambda x: np.asarray(1e12 + x.sum())])
def test_a_constant_beside_the_outputs_makes_no_slope_negligible(total: Any, seed: int) -> None:
    x = normal(0, 2, 4, 3)
    report = check(lambda x: (total(x), x), lambda d, x: 3 * d * np.ones_like(x), x, seed=seed)
    assert verdicts(report) in (["tell"], ["WRONG"])
