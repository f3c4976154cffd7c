"""Mutants of hand-written backward passes: every one is reported, and the step, the way or the gate is named."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from tests.check import hand_written
from tests.draws import draw

N, T, D, H, V = 3, 4, 2, 3, 5


def recurrent(gates: int) -> tuple[Any, ...]:
    return draw(N, T, D, scale=1.0), draw(N, H), draw(D, gates * H), draw(H, gates * H), draw(gates * H)


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "rnn": recurrent(1), "lstm": recurrent(4), "gru": recurrent(3), "affine": (draw(N, T, D), draw(D, V), draw(V)),
    "softmax": (draw(N, T, V, scale=1.0), np.arange(N * T).reshape(N, T) % V),
    "joined": (draw(N, T, D, scale=1.0), draw(N, H), draw(N, H) + 0.3, draw(H + D, 4 * H), draw(4 * H)),
    "both": (draw(N, T, D), draw(D, H), draw(H, H), draw(D, H, seed=1), draw(H, H, seed=1), draw(H, H, seed=2)),
}  # fmt: skip

WITHIN, BACK = "wrong within every single step", "right within a step, wrong over every step back"
ALL, CARRIED = "x, h0, Wx, Wh, b", r"what is carried from step t\+1 to t"
# (layer, line, its mutant, what the report says)
MUTANTS: tuple[tuple[str, str, str, str], ...] = (
    ("rnn", "dh[:, t] + carried", "dh[:, t]", f"{ALL}: {CARRIED} is not added"),
    ("rnn", "dh[:, t] + carried", "dh[:, t] + (carried if t != 1 else 0)",
     f"{ALL}: nothing passes from step 2 to 1\\."),
    ("rnn", "dh[:, t] + carried", "dh[:, t] + (carried if t != 2 else 0)",
     f"{ALL}: nothing passes from step 3 to 2\\."),
    ("rnn", "dh[:, t] + carried", "dh[:, t] - carried", f"{ALL}: {CARRIED} has the wrong sign"),
    ("rnn", "dh[:, t] + carried", "dh[:, t] + 2 * carried", f"{ALL}: {CARRIED} is added twice"),
    ("rnn", "dh[:, t] + carried", "dh[:, t] + carried.mean(axis=0)", f"x: {BACK}"),
    ("rnn", "(1 - h[t + 1] ** 2)", "1", f"{ALL}: the slope of tanh is left out on the way back"),
    ("rnn", "(1 - h[t + 1] ** 2)", "(1 - h[t] ** 2)", f"{ALL}: the slope of tanh is that of the state before the step"),
    ("rnn", "(1 - h[t + 1] ** 2)", "(1 - h[t + 1])", f"{ALL}: the slope of tanh is taken to be 1 - y\\."),
    ("rnn", "(1 - h[t + 1] ** 2)", "(1 + h[t + 1] ** 2)", f"x: {WITHIN}"),
    ("rnn", "(1 - h[t + 1] ** 2)", "(1 - h[3 if t == 1 else t + 1] ** 2)", "x: wrong within step 1 .*another step's"),
    ("rnn", "dx[:, t] = da @ Wx.T", "dx[:, t] = -da @ Wx.T", "x: the sign is wrong"),
    ("rnn", "dx[:, t] = da @ Wx.T", "dx[:, -1 - t] = da @ Wx.T", "x: it is reversed over time"),
    ("rnn", "dx[:, t] = da @ Wx.T", "dx[:, t] = da @ Wx.T / len(x)", "x: it is 0.3333 times the right one"),
    ("rnn", "dx[:, t] = da @ Wx.T", "dx[:, t - 1] = da @ Wx.T", "x: it stands one place too early over time"),
    ("rnn", "dx[:, t] = da @ Wx.T", "dx[:, (t + 1) % 4] = da @ Wx.T", "x: it stands one place too late over time"),
    ("rnn", "dx[:, t] = da @ Wx.T", "dx[:, t] = total @ Wx.T", "x: it is taken before the slope of tanh of Wh, Wx, b"),
    ("rnn", "dx[:, t] = da @ Wx.T", "dx[:, 0] = da @ Wx.T", "x: it is that of step 0 alone"),
    ("rnn", "dx[:, t] = da", "dx[:, t + 1 - t // 3] += dh[:, t] @ Wx.T; dx[:, t] = da", "passes from step 0 to 1"),
    ("rnn", "da @ Wh.T", "da @ Wh", f"{ALL}: Wh is not transposed on the way back"),
    ("rnn", "da @ Wh.T", "total @ Wh.T", f"{ALL}: {CARRIED} through Wh is taken before the slope of tanh of Wh, Wx, b"),
    ("rnn", "da @ Wh.T", "0.5 * da @ Wh.T", f"x: {BACK}"),
    ("rnn", "dWx += x[:, t].T @ da", "dWx = x[:, t].T @ da",
     "wrong: Wx; right: x, h0, Wh, b.*Wx: it is that of step 0 alone: .*=."),
    ("rnn", "dWh += h[t].T @ da", "dWh = h[t].T @ da",
     "wrong: Wh; right: .*Wh: it is that of step 0 alone: it is overwritten"),
    ("rnn", "db += da.sum(axis=0)", "db = da.sum(axis=0)",
     "wrong: b; right: .*b: it is that of step 0 alone: it is overwritten"),
    ("rnn", "db += da.sum(axis=0)", "db += da.mean(axis=0)", "b: it is 0.3333 times the right one"),
    ("rnn", "dWh += h[t].T @ da", "dWh += h[t + 1].T @ da", "wrong: Wh; right: x, h0, Wx, b"),
    ("rnn", "dWh += h[t].T @ da", "dWh += (h[t].T @ da).T", "Wh: it is transposed"),
    ("rnn", "dWx += x[:, t].T @ da", "dWx += x[:, 0].T @ da", "Wx: wrong for a loss at steps 1, 2, 3 alone"),
    ("rnn", "dWx += x[:, t].T @ da", "dWx += x[:, t].T @ total", "right: .*Wx: it is taken before the slope of tanh"),
    ("rnn", "dWx += x[:, t].T @ da", "pass", "Wx: the gradient is zero throughout"),
    ("rnn", "dx, carried, dWx, dWh, db", "dx, 0 * carried, dWx, dWh, db", "h0: the gradient is zero throughout"),
    ("rnn", "dx, carried, dWx, dWh, db", "dx, dh[:, 0], dWx, dWh, db", "wrong: h0; right: x, Wx, Wh, b"),
    ("lstm", "dh[:, t] + dnext", "dh[:, t]", f"{ALL}: {CARRIED} by the hidden state is not added"),
    ("lstm", "dh[:, t] + dnext", "dh[:, t] + (dnext if t != 0 else 0)",
     f"{ALL}: nothing passes from step 1 to 0 by the h"),
    ("lstm", "dcell + total", "total", f"{ALL}: {CARRIED} by the cell state is not added"),
    ("lstm", "dcell + total", "(dcell if t != 1 else 0) + total",
     f"{ALL}: nothing passes from step 2 to 1 by the cell state"),
    ("lstm", "dcell = dnew * f", "dcell = dnew",
     f"{ALL}: {CARRIED} through 'multiply' with sigmoid of Wh, Wx, b, gate block 1 .f .* lacks its factor"),
    ("lstm", "dcell = dnew * f", "dcell = dnew * i",
     f"{ALL}: what comes back to the cell state is formed with .* block 0 .i .*, not with .* block 1 .f "),
    ("lstm", "dcell = dnew * f", "dcell += dnew * f",
     rf"{ALL}: {CARRIED} by the cell state is added .\+=. to what was, not set"),
    ("lstm", "dcell + total * o * (1 - squashed**2)", "dcell",
     f"{ALL}: what comes back to the cell state through 'tanh' .* gate block 2 .o .* is not added"),
    ("lstm", "* o * (1 - squashed**2)", "* o * (1 - squashed**3)",  # at the first step c is 0: f has none to judge
     f"x: {WITHIN}.*b: gate blocks 0 .i of i, f, o, g., 3 .g of i, f, o, g. wrong, 2 .o of i, f, o, g. right"),
    ("lstm", "* o * (1 - squashed**2)", "* (1 - squashed**2)",
     f"{ALL}: what comes back to tanh of the cell state .* gate block 2 .o .* lacks its factor"),
    ("lstm", "* o * (1 - squashed**2)", "* o", f"{ALL}: the slope of tanh of the cell state is left out"),
    ("lstm", "di * i * (1 - i)", "di", f"{ALL}: the slope of sigmoid .* gate block 0 .i .* is left out"),
    ("lstm", "df * f * (1 - f)", "df", f"{ALL}: the slope of sigmoid .* gate block 1 .f .* is left out"),
    ("lstm", "do * o * (1 - o)", "do * o", f"{ALL}: the slope of sigmoid .* gate block 2 .o .* is taken to be y"),
    ("lstm", "dg * (1 - g**2)", "dg * g * (1 - g)",
     f"{ALL}: the slope of tanh .* gate block 3 .g .* is taken to be y .1 - y"),
    ("lstm", "dg * (1 - g**2)", "dg", f"{ALL}: the slope of tanh .* gate block 3 .g .* is left out"),
    ("lstm", "df = dnew * cell", "df = dnew * squashed",
     f"{ALL}: what .* block 1 .f .* is formed with tanh of the cell state, not with the cell state"),
    ("lstm", "di = dnew * g", "di = dnew * i",
     f"{ALL}: what .* block 0 .i .* is formed with sigmoid .* block 0 .i .*, not with tanh .* block 3 .g "),
    ("lstm", "dg = dnew * i", "dg = dnew * g",
     f"{ALL}: what .* block 3 .g .* is formed with tanh .* block 3 .g .*, not with sigmoid .* block 0 .i "),
    ("lstm", "do = total * squashed", "do = total * cell",
     f"{ALL}: what .* block 2 .o .* is formed with the cell state before the step, not with tanh of the cell"),
    ("lstm", "[ai, af, ao, ag]", "[af, ai, ao, ag]", "b: the gate blocks 0 .i .* and 1 .f .* are swapped"),
    ("lstm", "[ai, af, ao, ag]", "[ai, ao, af, ag]", "b: the gate blocks 1 .f .* and 2 .o .* are swapped"),
    ("lstm", "[ai, af, ao, ag]", "[ai, af, ag, ao]", "b: the gate blocks 2 .o .* and 3 .g .* are swapped"),
    ("lstm", "cache[t]", "cache[2 if t == 3 else t]", "x: wrong within step 3 .*another step's cache"),
    ("lstm", "cache[t]", "cache[max(t - 1, 0)]", "x: wrong within steps 1, 2, 3"),
    ("lstm", "dnext = da @ Wh.T", "dnext = 2 * da @ Wh.T", f"{ALL}: {CARRIED} by the hidden state is added twice"),
    ("lstm", "dWh += before.T @ da", "dWh = before.T @ da", "wrong: Wh; right: x, h0, Wx, b"),
    ("lstm", "dWx += x.T @ da", "dWx += x.T @ da / 2", "Wx: it is 0.5 times the right one"),
    ("gru", "dh[:, t] + carried", "dh[:, t]", f"{ALL}: {CARRIED} is not added"),
    ("gru", "+ total * z", "", f"{ALL}: {CARRIED} through 'multiply' with sigmoid .* gate block 1 .z .* is not added"),
    ("gru", "dp @ Wh.T", "da @ Wh.T", "b: .* to matmul of Wh through .* gate block 0 .r .* lacks its factor"),
    ("gru", "an * p * r * (1 - r)", "an * p", f"{ALL}: the slope of sigmoid .* gate block 0 .r .* is left out"),
    ("gru", "dz * z * (1 - z)", "dz", f"{ALL}: the slope of sigmoid .* gate block 1 .z .* is left out"),
    ("gru", "total * (before - n)", "total * (n - before)",
     f"{ALL}: the slope of sigmoid .* gate block 1 .z .* has the wrong sign"),
    ("gru", "total * (1 - z)", "total * z",
     f"{ALL}: what .* block 2 .n .* is formed with sigmoid .* block 1 .z .*, not with 1 - sigmoid .* block 1 .z "),
    ("gru", "[ar, az, an])\n        dp", "[az, ar, an])\n        dp", f"x: {WITHIN}"),
    ("gru", "before.T @ dp", "before.T @ da", "wrong: Wh; right: x, h0, Wx, b"),
    ("gru", "[ar, az, an * r]", "[az, ar, an * r]", "wrong"),
    ("affine", "dout.sum(axis=(0, 1))", "dout.mean(axis=(0, 1))", "b: it is 0.08333 times the right one"),
    ("affine", "dout @ w.T", "-dout @ w.T", "x: the sign is wrong"),
    ("affine", '"ntd,ntm->dm", x, dout', '"ntd,ntm->dm", x, dout[::-1]', "wrong: w; right: x, b"),
    ("softmax", "d = d / len(d)", "pass", "scores: it is 3 times the right one: not divided by 3, as the forward is"),
    ("softmax", "d = d / len(d)", "d = d / len(d) / len(d)", "it is 0.3333 times .*: divided by 3, as the forward is"),
    ("softmax", "-= 1", "-= 0", "scores: what comes back to .* through 'exp' and 'divide' with sum is not added"),
    ("rnn", "reversed(range(x.shape[1]))", "range(x.shape[1])",
     f"{ALL}: the steps are walked in the order of the f"),
    ("lstm", "reversed(range(time))", "range(time)", f"{ALL}: the steps are walked in the order of the f"),
    ("both", "in range(x.shape[1])", "in reversed(range(x.shape[1]))",
     "x, Wxb, Whb: the steps are walked in the order of the f"),
    ("rnn", "reversed(range(x.shape[1]))", "reversed(range(1, x.shape[1]))",
     "x, Wx, Wh, b: step 0 is missing from it"),
    ("gru", "+ total * z", "+ total * (1 - z)",
     f"{ALL}: what comes back to the hidden state is formed with 1 - sigmoid .*, not with sigmoid"),
    ("both", "dx[:, t] += da @ Wxb.T", "dx[:, t] = da @ Wxb.T", "right: .*back to x through Wxa is not added"),
    ("both", "dx[:, t] += da @ Wxa.T", "pass", "right: .*x: what comes back to x through Wxa is not added"),
    ("both", "carried = dlast", "carried = 0", "x, Wxa, Wha: the gradient that comes in at output 1 .* is not"),
    ("both", "dWy += ahead[t].T", "dWy += ahead[t - 1].T", "right: .*Wy: it is formed with the state before the step"),
    ("both", "dWhb += back[t + 1].T", "dWhb += back[t].T", "right: .*Whb: it is formed with the state after the step"),
    ("joined", "dh[:, t] + dnext", "dh[:, t]", f"x, h0, c0, W, b: {CARRIED} by the hidden state is not added"),
    ("joined", "dnew * cell * f * (1 - f)", "dnew * cell * f",
     "x, h0, c0, W, b: the slope of sigmoid of W, b, gate block 1 .f .* is taken to be y"),
    ("joined", "dnew * g * i * (1 - i)", "dnew * i * i * (1 - i)",
     "x, h0, c0, W, b: what .* block 0 .i .* is formed with sigmoid .* block 0 .i .*, not with tanh"),
    ("joined", "dW += z.T @ da", "dW = z.T @ da",
     "wrong: W; right: x, h0, c0, b.*W: it is that of step 0 alone: it is overwritten"),
)  # fmt: skip


def mutant(layer: str, line: str, other: str, written: Any = hand_written) -> Any:
    """Compile a backward of which one line is another."""
    source = textwrap.dedent(inspect.getsource(getattr(written, f"{layer}_backward")))
    assert source.count(line) == 1, (line, source.count(line))
    names = dict(vars(written))
    exec(compile("from __future__ import annotations\n" + source.replace(line, other), "mutant", "exec"), names)
    return names[f"{layer}_backward"]


@pytest.mark.parametrize("layer", list(ARGUMENTS))
def test_the_right_ones_pass_whatever_the_seed(layer: str) -> None:
    forward, backward = (getattr(hand_written, f"{layer}_{one}") for one in ("forward", "backward"))
    for seed in range(5):
        report = rg.check(forward, backward, *ARGUMENTS[layer], seed=seed)
        assert report.passed, str(report)
        assert report.where == ()


@pytest.mark.parametrize(("layer", "line", "other", "says"), MUTANTS, ids=[f"{m[0]}: {m[2]}" for m in MUTANTS])
def test_every_mutant_is_reported_and_located(layer: str, line: str, other: str, says: str) -> None:
    assert len(MUTANTS) >= 60
    forward, wrong = getattr(hand_written, f"{layer}_forward"), mutant(layer, line, other)
    report = rg.check(forward, wrong, *ARGUMENTS[layer], directions=1)  # along any one it must show
    assert report.differs, str(report)
    said = " ".join(report.where) or "wrong"
    assert re.search(says, said), said


def test_steps_in_the_order_of_the_way_back_where_the_last_one_alone_has_a_loss() -> None:
    """The outputs have no steps then, which would tell the axis of those of the input."""

    def forward(*arrays: Any) -> Any:
        out, cache = hand_written.rnn_forward(*arrays)
        return out[:, -1], cache

    def backward(dlast: Any, cache: Any) -> Any:
        dh = np.zeros((N, T, H))
        dh[:, -1] = dlast
        dx, *others = hand_written.rnn_backward(dh, cache)
        return (dx[:, ::-1], *others)

    report = rg.check(forward, backward, *ARGUMENTS["rnn"])
    assert report.where[1:] == ("arrays.0: it is reversed along axis 1.",)


def test_nothing_is_said_of_steps_where_there_are_none() -> None:
    backward = mutant("affine", '"ntd,ntm->dm", x, dout', '"ntd,ntm->dm", x, dout[::-1]')
    report = rg.check(hand_written.affine_forward, backward, *ARGUMENTS["affine"])
    assert report.where == ("wrong: w; right: x, b.",)


def in_float32(forward: Any) -> Any:
    """Let a forward compute in float32; an LSTM's buffers then still make its outputs float64."""

    def narrow(*arrays: Any) -> Any:
        *outputs, cache = forward(*[one.astype(np.float32) if one.dtype.kind == "f" else one for one in arrays])
        return (*map(np.asarray, outputs), cache)

    return narrow


@pytest.mark.parametrize("layer", ["rnn", "lstm", "gru", "affine"])
def test_right_ones_in_float32_are_no_false_alarm(layer: str) -> None:
    forward, backward = (getattr(hand_written, f"{layer}_{one}") for one in ("forward", "backward"))
    for seed in range(8):
        report = rg.check(in_float32(forward), backward, *ARGUMENTS[layer], seed=seed)
        assert report.passed, str(report)
        assert report.dtype == "float32"


@pytest.mark.parametrize(("layer", "line", "other"), [row[:3] for row in MUTANTS[::10]])
def test_mutants_in_float32_are_reported(layer: str, line: str, other: str) -> None:
    forward = in_float32(getattr(hand_written, f"{layer}_forward"))
    assert rg.check(forward, mutant(layer, line, other), *ARGUMENTS[layer]).differs
