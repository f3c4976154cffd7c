"""Remedies on a hand-written function: what its state is multiplied with is changed, and all is computed again.

What comes out is held to the function itself, called with a changed weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.nn import init
from rnngraph.sources.tape.changed import SEED, changed_tape
from rnngraph.trace.change import BIAS, ORTHOGONAL, SCALE, TRUNCATE, Change
from tests.numpy import plain_networks as plain

T, N, D, H = 12, 3, 2, 4


def draw(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape) * 0.4


def rows(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(x[:, t] @ Wx + h @ Wh)
        total += (h**2).sum()
    return total


def columns(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros((H, 1)), 0.0
    for t in range(T):
        h = np.tanh(np.dot(Wx, x[t]) + np.dot(Wh, h))
        total += (h**2).sum()
    return total


def single(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for t in range(T):
        h = np.tanh(Wx @ x[t] + Wh @ h)
        total += (h**2).sum()
    return total


def turned(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(x[:, t] @ Wx + h @ Wh.T)
        total += (h**2).sum()
    return total


def letters(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(np.einsum("nd,dh->nh", x[:, t], Wx) + np.einsum("nh,hk->nk", h, Wh))
        total += (h**2).sum()
    return total


def turned_letters(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(np.einsum("nd,dh->nh", x[:, t], Wx) + np.einsum("kh,nh->nk", Wh, h))
        total += (h**2).sum()
    return total


def one_letter(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for t in range(T):
        h = np.tanh(np.einsum("hd,d->h", Wx, x[t]) + np.einsum("h,kh->k", h, Wh))
        total += (h**2).sum()
    return total


def joined(x: Any, W: Any) -> Any:
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(np.concatenate([x[:, t], h], axis=1) @ W)
        total += (h**2).sum()
    return total


def buffered(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    return np.sum(plain.course_rnn(x, h0, Wx, Wh, b)[0] ** 2)


def gru(x: Any, h: Any, *weights: Any) -> Any:
    return np.sum(np.asarray(plain.gru(x, h, *weights)) ** 2)


X, WX, WH = draw(N, T, D), draw(D, H), draw(H, H)
FORMS: dict[str, tuple[Callable[..., Any], list[Any], dict[int, Any]]] = {
    "rows": (rows, [X, WX, WH], {2: np.s_[:]}),
    "columns": (columns, [draw(T, D, 1), WX.T, WH], {2: np.s_[:]}),
    "single": (single, [draw(T, D), WX.T, WH], {2: np.s_[:]}),
    "turned": (turned, [X, WX, WH], {2: np.s_[:]}),
    "letters": (letters, [X, WX, WH], {2: np.s_[:]}),
    "turned letters": (turned_letters, [X, WX, WH], {2: np.s_[:]}),
    "one letter": (one_letter, [draw(T, D), WX.T, WH], {2: np.s_[:]}),
    "joined": (joined, [X, draw(D + H, H)], {1: np.s_[D:]}),
    "buffered": (buffered, [X, draw(N, H), WX, WH, draw(H)], {3: np.s_[:]}),
}


def changed(form: str, change: Change, weight: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Give the function traced with weights that were changed by hand, and its tape with the change."""
    function, arrays, parts = FORMS[form]
    tape = changed_tape(rg.trace_function(function, *arrays).tape, [change])
    for place, part in parts.items():
        arrays = [one.copy() for one in arrays]
        arrays[place][part] = weight(arrays[place][part])
    return rg.trace_function(function, *arrays), tape


@pytest.mark.parametrize("form", FORMS)
def test_a_scaled_weight(form: str) -> None:
    expected, tape = changed(form, Change(SCALE, 2.5), lambda weight: 2.5 * weight)
    np.testing.assert_allclose(tape.entry(expected.id).value, expected.value, rtol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_an_orthogonal_weight(form: str) -> None:
    drawn = 1.5 * init.orthogonal(np.random.default_rng(SEED), (H, H))
    other = form in ("columns", "single", "turned", "turned letters", "one letter")  # they hold (out, in)
    expected, tape = changed(form, Change(ORTHOGONAL, 1.5), lambda weight: drawn.T if other else drawn)
    np.testing.assert_allclose(tape.entry(expected.id).value, expected.value, rtol=1e-12)


def test_all_weights_of_a_state_that_has_several() -> None:
    arrays = [draw(T, N, D), draw(N, H), *(draw(*shape) for shape in ((D, H), (H, H)) * 3)]
    tape = changed_tape(rg.trace_function(gru, *arrays).tape, [Change(SCALE, 0.5)])
    assert tape is not None
    larger = [0.5 * one if k in (3, 5, 7) else one for k, one in enumerate(arrays)]
    expected = rg.trace_function(gru, *larger)
    np.testing.assert_allclose(tape.entry(expected.id).value, expected.value, rtol=1e-12)


def test_what_means_nothing_there() -> None:
    tape = rg.trace_function(rows, X, WX, WH).tape
    assert changed_tape(tape, [Change(BIAS, 1.0)]) is None
    assert changed_tape(tape, [Change(TRUNCATE, 4)]) is None
    wide = rg.trace_function(lambda x, wx, wh: rows(x, wx, wh[:, :H]), X, WX, draw(H, 2 * H)).tape
    assert changed_tape(wide, [Change(SCALE, 2.0)]) is None  # a part that is cut out before

    def two(x: Any, wx: Any, wh: Any, v: Any) -> Any:
        h, total = np.zeros((N, H)), 0.0
        for t in range(T):
            h = np.tanh(x[:, t] @ wx + h @ wh + h @ v[:, :H])
            total += (h**2).sum()
        return total

    half = rg.trace_function(two, X, WX, WH, draw(H, 2 * H)).tape
    assert changed_tape(half, [Change(SCALE, 2.0)]) is None  # nor one of two weights alone


def test_the_advice_holds_when_it_is_taken_literally() -> None:
    traced = rg.trace_function(rows, X, WX, 0.3 * WH)
    diagnosis = rg.diagnose(rg.record(traced, lags=True), trial=rg.trial(traced))
    (finding,) = [one for one in diagnosis.findings if one.rule == "vanishing"]
    assert finding.evidence["remedy"] == "start the recurrent weight orthogonal"
    better = rg.trace_function(rows, X, WX, init.orthogonal(np.random.default_rng(SEED), (H, H)))
    as_tried = rg.record(better, lags=rg.LagOptions(losses=8, samples=8))
    again = rg.diagnose(as_tried, horizon=diagnosis.horizon)
    assert again.verdict == "healthy"
    assert finding.evidence["after_decades"] == pytest.approx(again.decades, abs=1e-9)
