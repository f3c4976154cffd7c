"""A backward written by hand where differences are hard, or the functions wrong: NaN, rounding, kinks, random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnngraph.errors import InputError
from rnngraph.gradcheck.front import check
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.slopes import STEPS, Line, worst_of
from rnngraph.gradcheck.subject import Subject
from tests.check.hand_written import verdicts

RANDOM = np.random.default_rng(0)
X, W = RANDOM.normal(size=(3, 4)), RANDOM.normal(size=(4, 5))


def square(x: Any) -> Any:
    return x**2, x


def product(x: Any, w: Any) -> Any:
    return x @ w, (x, w)


def product_back(d: Any, cache: Any) -> Any:
    return d @ cache[1].T, cache[0].T @ d


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("places", [slice(None), slice(1, 2)])
def test_a_gradient_that_is_not_finite_is_wrong(bad: float, places: slice) -> None:
    def backward(d: Any, x: Any) -> Any:
        gradient = 2 * d * x
        gradient[places] = bad
        return gradient

    report = check(square, backward, np.full(3, 2.0))
    assert not report.passed
    assert report.differs
    assert verdicts(report) == ["WRONG"]


def test_a_forward_that_is_not_finite_cannot_be_told_and_does_not_pass() -> None:
    report = check(lambda x: (x * np.nan, x), lambda d, x: d, np.full(3, 2.0))
    assert (report.passed, report.differs) == (False, False)
    assert str(report).startswith("gradients CANNOT all be compared with central differences")
    assert report.note == "x: differences cannot tell, because the forward gives NaN or infinity there."


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_slope_that_rounding_hides_does_not_pass_whatever_is_claimed(factor: float) -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    report = check(lambda x: (1e12 + x, x), lambda d, x: factor * d, x)
    assert (report.passed, report.differs) == (False, False)
    assert "cannot tell" in str(report)
    assert "x: differences cannot tell, because the slope is too small, or the forward too steep" in report.note
    assert report.where == (("x: it is 3 times the right one.",) if factor == 3.0 else ())


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "tell"), (3.0, "WRONG"), (-1.0, "WRONG")])
def test_what_rounding_leaves_is_enough_for_a_mistake_that_is_large(factor: float, verdict: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    assert verdicts(check(lambda x: (1e9 + x, x), lambda d, x: factor * d, x)) == [verdict]


def test_a_claim_that_rounding_happens_to_give_is_no_proof() -> None:
    def run(points: Any) -> Any:
        return [1e9 + points[0]]

    point, one = np.array([0.3]), [np.ones(1)]
    subject = Subject(["x"], [point], run, lambda points, upstream: list(upstream), one, run([point]), [*one])
    line = Line(subject, {0: np.ones(1)})
    slope, noise, _ = line.estimate(STEPS[0])
    assert 1e-6 < abs(slope - 1) < noise
    subject.claimed[0] = np.array([slope * (1 + 1e-9)])
    row = line.compare()
    assert not (row.passed and row.resolved)


def test_slopes_that_are_alike_by_chance_are_no_proof() -> None:
    """As in a chaotic network: the slopes over two steps, of which each estimate is made, contradict those over one."""

    def run(points: Any) -> Any:
        offset = float(points[0][0])
        own = next((step for step in STEPS if abs(abs(offset) / step - 1) < 1e-6), 0.0)
        return [np.array([0.75 * np.sign(offset) * own])]

    point, one = np.zeros(1), [np.ones(1)]
    subject = Subject(["x"], [point], run, lambda points, upstream: list(upstream), one, run([point]), [*one])
    line = Line(subject, {0: np.ones(1)})
    np.testing.assert_allclose([line.estimate(step)[0] for step in STEPS], 1.0)
    subject.claimed[0] = np.array([-5.0])
    assert not line.compare().resolved


def test_a_small_error_is_no_factor_of_one() -> None:
    report = check(square, lambda d, x: 2 * d * x * (1 + 3e-6), np.full(3, 2.0))
    assert report.differs
    assert report.where == ()


def test_a_wrong_direction_is_reported_before_one_that_cannot_be_told() -> None:
    unsure = CheckRow("x", 1.0, np.nan, 9.0, passed=False, resolved=False)
    wrong = CheckRow("x", 1.0, 2.0, 0.5, passed=False, resolved=True)
    right = CheckRow("x", 1.0, 1.0, 0.0, passed=True, resolved=True)
    vouched = CheckRow("x", 1.0, 5.0, 0.8, passed=True, resolved=False)
    assert worst_of([right, unsure, wrong, vouched]) is wrong
    assert worst_of([right, vouched, unsure]) is unsure
    assert worst_of([right, vouched]) is vouched


def test_a_forward_that_draws_its_own_mask_is_refused() -> None:
    generator = np.random.default_rng(1)

    def forward(x: Any) -> Any:
        mask = generator.random(x.shape) > 0.5
        return x * mask, mask

    with pytest.raises(InputError, match="output 0 of the forward is another one when it is called again"):
        check(forward, lambda d, mask: d * mask, X)


def test_kinks_at_the_point_itself() -> None:
    def relu(x: Any) -> Any:
        return np.maximum(x, 0), x

    for zeros in (np.zeros((3, 3)), np.array([0.0, 0.0, 1.0, -2.0])):
        assert check(relu, lambda d, x: d * (x > 0), zeros).passed
        assert check(relu, lambda d, x: d * (x >= 0), zeros).passed
        wrong = check(relu, lambda d, x: d * (x < 0), zeros)
        assert verdicts(wrong) == ["WRONG"]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_a_forward_in_float32_is_held_to_its_own_precision(scale: float) -> None:
    def forward(x: Any, w: Any) -> Any:
        return (x @ w).astype(np.float32), (x, w)

    report = check(forward, product_back, X * scale, W)
    assert report.passed, str(report)
    assert verdicts(report) == ["ok", "ok"]
    assert (report.dtype, report.tolerance) == ("float32", 1e-3)
    wrong = check(forward, lambda d, cache: (1.01 * product_back(d, cache)[0], cache[0].T @ d), X, W)
    assert verdicts(wrong) == ["WRONG", "ok"]


def test_a_recurrence_in_float32_passes() -> None:
    def forward(x: Any, w: Any) -> Any:
        h = [np.zeros((len(x), len(w)), np.float32)]
        for t in range(x.shape[1]):
            h.append(np.tanh(x[:, t].astype(np.float32) + h[-1] @ w.astype(np.float32)))
        return h[-1], (h, w, x)

    def backward(d: Any, cache: Any, *, slip: float = 1.0) -> Any:
        h, w, x = cache
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for t in reversed(range(x.shape[1])):
            da = d * (1 - h[t + 1] ** 2)
            dx[:, t], dw, d = da, dw + slip * h[t].T @ da, da @ w.T
        return dx, dw

    arguments = RANDOM.normal(size=(2, 10, 4)), RANDOM.normal(size=(4, 4)) * 0.5
    assert verdicts(check(forward, backward, *arguments)) == ["ok", "ok"]
    slipped = check(forward, lambda d, cache: backward(d, cache, slip=1.02), *arguments)
    assert verdicts(slipped) == ["ok", "WRONG"]


REFUSED: list[tuple[Any, Any, tuple[Any, ...], str]] = [
    (None, product_back, (X, W), "the forward is of type NoneType; pass a function"),
    (product, X, (X, W), "the backward is of type ndarray; pass a function"),
    (product_back, product, (X, W), "the forward, which is the first function, raised ValueError: matmul"),
    (
        lambda d, cache: d,
        square,
        (X,),
        "first function, raised TypeError: .*missing 1 required positional argument: 'cache'",
    ),
    (product, lambda d: d, (X, W), "the backward, the second function, called with 1 upstream gradients and the cache"),
    (lambda x: None, product_back, (X,), "the forward gave a NoneType; it must give its outputs and a cache"),
    (lambda x: (None, x), product_back, (X,), "output 0 of the forward is None"),
    (lambda x: (x * 1j, x), product_back, (X,), "output 0 of the forward has dtype complex128"),
    (square, lambda d, x: 2 * d * x * (1 + 1j), (X,), "the gradient of x has dtype complex128; real numbers"),
    (square, lambda d, x: None, (X,), "the backward gave None; it must return 1 gradients"),
    (product, lambda d, cache: (None, cache[0].T @ d), (X, W), "the gradient of x is None; return an array"),
    (square, lambda d, x: d, (np.arange(3),), "no argument holds floating point numbers"),
    (lambda: (1.0, None), lambda d, cache: (), (), "no argument holds floating point numbers"),
]


@pytest.mark.parametrize(("forward", "backward", "arguments", "message"), REFUSED)
def test_what_does_not_fit_is_one_sentence(forward: Any, backward: Any, arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(forward, backward, *arguments)


@pytest.mark.parametrize("option", [{"directions": value} for value in (0, -1, 2.5, "3")] + [{"seed": "a"}])
def test_options_of_another_kind(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be a whole number of at least"):
        check(product, product_back, X, W, **option)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.05, "WRONG")])
@pytest.mark.parametrize("recorded", [False, True])
def test_float32_on_the_way_to_outputs_in_float64(factor: float, verdict: str, recorded: bool) -> None:
    """It is replayed in float64 where it can be recorded, and else known by how its values jitter."""

    def forward(x: Any, w: Any) -> Any:
        y = x.astype(np.float32) @ w.astype(np.float32)
        y = y if recorded else np.array([[np.float32(one) for one in row] for row in y])
        return np.maximum(y, 0).astype(np.float64) if recorded else np.tanh(y).astype(np.float64), (x, w, y)

    def backward(d: Any, cache: Any) -> Any:
        x, w, y = cache
        d = d * (y > 0) if recorded else d * (1 - np.tanh(y) ** 2)
        return d @ w.T, factor * x.T @ d

    for seed in range(4):
        generator = np.random.default_rng(seed)
        arguments = generator.normal(size=(4, 5)), generator.normal(size=(5, 3))
        report = check(forward, backward, *arguments, seed=seed)
        assert verdicts(report) == ["ok", verdict], str(report)
        assert report.note.startswith("It computes in float32 on the way")


@pytest.mark.parametrize("seed", range(3))
def test_a_slope_below_the_last_place_of_float32_is_not_zero(seed: int) -> None:
    report = check(lambda x: (np.float32(1e8 + x.sum()), x), lambda d, x: d * np.ones_like(x), X, seed=seed)
    assert not report.differs, str(report)
