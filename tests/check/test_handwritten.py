"""A backward written by hand, right and wrong in the ways in which people get it wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnngraph.autodiff.check.front import check
from rnngraph.errors import InputError
from rnngraph.nn import functional as F  # noqa: N812
from tests.check.hand_written import rnn_forward as forward
from tests.check.hand_written import verdicts

N, T, D, H = 2, 4, 3, 5


def arrays() -> list[Any]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape) * 0.5 for shape in ((N, T, D), (N, H), (D, H), (H, H), (H,))]


def backward(dh: Any, cache: Any, *, forgets_carry: bool = False, forgets_slope: bool = False) -> Any:
    x, h, Wx, Wh = cache
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(len(Wh))
    carried = np.zeros_like(h[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t] if forgets_carry else dh[:, t] + carried
        da = total if forgets_slope else total * (1 - h[t + 1] ** 2)
        dx[:, t], carried = da @ Wx.T, da @ Wh.T
        dWx += x[:, t].T @ da
        dWh += h[t].T @ da
        db += da.sum(axis=0)
    return dx, carried, dWx, dWh, db


def test_a_right_backward_passes() -> None:
    report = check(forward, backward, *arrays())
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["x", "h0", "Wx", "Wh", "b"]


@pytest.mark.parametrize("mistake", ["forgets_carry", "forgets_slope"])
def test_a_wrong_backward_fails_in_every_argument(mistake: str) -> None:
    report = check(forward, lambda dh, cache: backward(dh, cache, **{mistake: True}), *arrays())
    assert [row.passed for row in report.rows] == [False] * 5
    assert verdicts(report) == ["WRONG"] * 5


def test_a_mistake_that_one_timestep_hides_is_seen_with_two() -> None:
    def careless(dh: Any, cache: Any) -> Any:
        return backward(dh, cache, forgets_carry=True)

    x, *rest = arrays()
    assert check(forward, careless, x[:, :1], *rest).passed
    assert not check(forward, careless, x[:, :2], *rest).passed


def test_the_functional_interface_itself_passes() -> None:
    assert check(F.rnn_forward, F.rnn_backward, *arrays()).passed
    words, table = np.array([[0, 2, 2]]), np.random.default_rng(1).normal(size=(4, 3))
    report = check(F.word_embedding_forward, F.word_embedding_backward, words, table)
    assert [row.name for row in report.rows] == ["W"]
    assert report.passed


def test_functions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="gave 4 gradients; there are 5"):
        check(forward, lambda dh, cache: backward(dh, cache)[1:], *arrays())
    with pytest.raises(InputError, match=r"gradient of x has shape \(3, 5\); the argument has \(2, 4, 3\)"):
        check(forward, lambda dh, cache: [np.zeros((3, 5))] * 5, *arrays())
    with pytest.raises(InputError, match="ndarray; it must give its outputs and a cache"):
        check(lambda x: x, backward, np.ones(3))


@pytest.mark.parametrize(("option", "words"), [({"directions": 0}, "directions is 0"), ({"seed": -1}, "seed is -1")])
def test_options_that_cannot_be_used_are_refused(option: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check(forward, backward, *arrays(), **option)
