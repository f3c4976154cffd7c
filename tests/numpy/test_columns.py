"""Column-vector networks, states of one axis and joined states measure as their row-vector twins do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from tests.draws import draw

N, T, D, H = 3, 7, 2, 4


SQUARE = draw(H, T, D)
X, WX, WH, B = draw(N, T, D), draw(D, H), draw(H, H), draw(H)


def rows(x: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    h = np.zeros((len(x), len(b)))
    total = 0.0
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        total += (h**2).sum()
    return total


def columns(x: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    h = np.zeros((len(b), x.shape[2]))
    total = 0.0
    for t in range(len(x)):
        h = np.tanh(Wx @ x[t] + Wh @ h + b)
        total += (h**2).sum()
    return total


def turned(x: Any, h: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Columns that rows are made of; with as many samples as units, only the product tells them apart."""
    total = 0.0
    for t in range(len(x)):
        h = np.tanh((x[t].T @ Wx + h.T @ Wh).T + b)
        total += (h**2).sum()
    return total


def joined(x: Any, W: Any, b: Any) -> Any:
    h = np.zeros((len(b), x.shape[2]))
    total = 0.0
    for t in range(len(x)):
        h = np.tanh(W @ np.vstack([h, x[t]]) + b)
        total += (h**2).sum()
    return total


def vector(x: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    h = np.zeros(len(b))
    total = 0.0
    for now in x:
        h = np.tanh(now @ Wx + h @ Wh + b)
        total += (h**2).sum()
    return total


def layer(x: Any) -> Any:
    """The same as a layer of the package."""
    rnn = rg.nn.RNN(D, H)
    for name, value in (("Wx", WX), ("Wh", WH), ("b", B)):
        rnn.parameter(name).value[...] = value
    h = rnn(rg.Tape().input(x))
    return (h * h).sum()


AS_COLUMNS = X.transpose(1, 2, 0), WX.T.copy(), WH.T.copy(), B[:, None]
TWINS = {
    "rows": (rows, (X, WX, WH, B), X),
    "columns": (columns, AS_COLUMNS, X),
    "turned columns": (turned, (SQUARE.transpose(1, 2, 0), np.zeros((H, H)), WX, WH, B[:, None]), SQUARE),
    "joined columns": (joined, (AS_COLUMNS[0], np.hstack([WH.T, WX.T]), B[:, None]), X),
    "one axis": (vector, (X[0], WX, WH, B), X[:1]),
    "one column": (columns, (AS_COLUMNS[0][:, :, :1], *AS_COLUMNS[1:]), X[:1]),
}


@pytest.mark.parametrize("name", list(TWINS))
def test_norms_lags_and_exponents_are_those_of_the_layer(name: str) -> None:
    function, arrays, x = TWINS[name]
    assert callable(function)
    options = rg.LagOptions(losses="all", samples="all")
    trace = rg.record(rg.trace_function(function, *arrays), lags=options, spectrum=3)
    twin = rg.record(layer(x), lags=options, spectrum=3)
    (mine,), (its,) = trace.states, twin.states
    for column in ("grad", "immediate", "carried"):
        np.testing.assert_allclose(getattr(mine, column).value, getattr(its, column).value, rtol=1e-13, err_msg=column)
    np.testing.assert_allclose(mine.quantiles.value, its.quantiles.value, rtol=1e-13)
    np.testing.assert_allclose(mine.gain, its.gain, rtol=1e-13)
    np.testing.assert_allclose(mine.activation, its.activation, rtol=1e-13)
    np.testing.assert_allclose(trace.lags[0].log, twin.lags[0].log, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(trace.spectrum[0].lyapunov, twin.spectrum[0].lyapunov, rtol=1e-9)
