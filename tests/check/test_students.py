"""Mistakes of a first backward pass, in networks with a loss: the sentence names the mistake, or what is wrong."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from tests.check import students
from tests.check.test_mutants import mutant
from tests.draws import draw

N, T, D, H, V = 3, 5, 2, 4, 6
CARRIED = r"what is carried from step t\+1 to t"
SEQUENCE = draw(N, T, D, scale=1.0)
WORDS = np.array([[5, 5, 5, 0, 0], [4, 4, 2, 3, 1], [0, 2, 1, 5, 0]])
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "characters": (
        draw(H, V), draw(H, H), draw(V, H), draw(H, 1), draw(V, 1), draw(H, 1, seed=4), np.array([0, 3, 1, 1, 5]),
        np.array([3, 1, 1, 5, 2]),
    ),
    "gates": (SEQUENCE, *[draw(H + D, H, seed=k) for k in range(4)], *[draw(H, seed=k) for k in range(4)]),
    "coupled": (SEQUENCE, *[draw(H + D, H, seed=k) for k in range(3)]),
    "update": (SEQUENCE, draw(N, H), *[draw(*shape, seed=k) for k in range(3) for shape in ((D, H), (H, H))]),
    "stack": (
        SEQUENCE, draw(D, H), draw(H, H), draw(H, H, seed=1), draw(H, H, seed=2), draw(H, 2),
        np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 1, 1, 1, 0]]), WORDS[:, :, None] - [1, 2],
    ),
    "attended": (draw(V, D, scale=1.0), draw(D, H), draw(H, H), draw(H), draw(H, 3), WORDS, np.array([0, 2, 1])),
}  # fmt: skip
# (network, line, its mutant, what the report says)
MUTANTS: tuple[tuple[str, str, str, str], ...] = (
    ("characters", "Why.T @ dy + dhnext", "Why.T @ dy", f"Wxh, Whh, bh, h0: {CARRIED} is not added"),
    ("characters", "(1 - hs[t] * hs[t]) * dh", "(1 - np.tanh(hs[t]) ** 2) * dh",
     "Wxh, Whh, bh, h0: the slope of tanh is taken at its value, 1 - tanh²"),
    ("characters", "(1 - hs[t] * hs[t]) * dh", "(1 - hs[t - 1] ** 2) * dh",
     "Wxh, Whh, bh, h0: the slope of tanh is that of the state before"),
    ("characters", "Whh.T @ draw", "Whh @ draw", "h0: Whh is not transposed"),
    ("characters", "Whh.T @ draw", "Whh.T @ dh", f"h0: {CARRIED} through Whh is taken before the slope of tanh"),
    ("characters", "dy[targets[t]] -= 1", "pass",
     "h0: what comes back to .* through 'exp' and 'divide' with sum is not"),
    ("characters", "dy[targets[t]] -= 1", "dy[targets[t]] -= t != 2",
     "h0: what comes back to .* through 'exp' and 'divide' with sum is not added at step 2"),
    ("characters", "dWhh += draw @ hs[t - 1].T", "dWhh += draw @ hs[t].T",
     "Whh: it is formed with the state after the step"),
    ("characters", "dWhy += dy @ hs[t].T", "dWhy += dy @ hs[t - 1].T",
     "Why: it is formed with the state before the step"),
    ("characters", "dWhy += dy @ hs[t].T", "dWhy = dy @ hs[t].T", "Why: it is that of step 0 alone"),
    ("characters", "dbh += draw", "dbh += dh", "right: .*bh: it is taken before the slope of tanh"),
    ("characters", "dWxh += draw @ xs[t].T", "dWxh += dh @ xs[t].T",
     "right: .*Wxh: it is taken before the slope of tanh"),
    ("characters", "reversed(range(len(targets)))", "range(len(targets))",
     "Wxh, Whh, bh, h0: the steps are walked in the order of the f"),
    ("characters", "reversed(range(len(targets)))", "reversed(range(len(targets) - 1))",
     "Wxh, Whh, Why, bh, by, h0: step 4 is missing from it"),
    ("characters", "dWhy, dbh, dby, dhnext", "dWhy, dbh, dby, dh", "wrong: h0; right: Wxh, Whh, Why, bh, by.$"),
    ("characters", "dy = dy * dloss", "dy = dy * dloss / len(targets)",
     "h0: it is 0.2 times the right one: divided by the 5 steps"),
    ("characters", "return dWxh, dWhh, dWhy,",
     "dWxh, dWhh, dWhy = (np.clip(one, -0.02, 0.02) for one in (dWxh, dWhh, dWhy))\n    return dWxh, dWhh, dWhy,",
     "Wxh, Whh, Why: it is clipped at 0.02"),
    ("characters", "xs, hs, ps, targets, Wxh, Whh, Why = cache",
     "xs, hs, ps, targets, Wxh, Whh, Why = cache\n    hs = dict.fromkeys(hs, hs[len(targets) - 1])",
     "h0: every step sees the last state"),
    ("gates", "+ dc_next", "", f"bg: {CARRIED} by the cell state is not added"),
    ("gates", "dh * o * (1 - np.tanh(c) ** 2) + dc_next", "dc_next + dh * (1 - np.tanh(c) ** 2)",
     "bg: what comes back to tanh of the cell state through 'multiply' with sigmoid of Wo, bo lacks"),
    ("gates", "dh * o * (1 - np.tanh(c) ** 2) + dc_next", "dc_next",
     "bg: what comes back to the cell state through 'tanh' and .* is not added"),
    ("gates", "dh * o * (1 - np.tanh(c) ** 2)", "dh * o * (1 - c ** 2)",
     "bg: the slope of tanh of the cell state is taken to be 1 - x²"),
    ("gates", "dh * o * (1 - np.tanh(c) ** 2)", "dh * o", "bg: the slope of tanh of the cell state is left out"),
    ("gates", "dc * g * i * (1 - i)", "dc * g * i", "bg: the slope of sigmoid of Wi, bi is taken to be y"),
    ("gates", "dc * g * i * (1 - i)", "dc * g * sigmoid(i) * (1 - sigmoid(i))",
     "bg: the slope of sigmoid of Wi, bi is taken at its value"),
    ("gates", "dc * i * (1 - g**2)", "dc * i * (1 - np.tanh(g) ** 2)",
     "bg: the slope of tanh of Wg, bg is taken at its value"),
    ("gates", "dc * i * (1 - g**2)", "dc * i * (1 - g)", "bg: the slope of tanh of Wg, bg is taken to be 1 - y"),
    ("gates", "do = dh * np.tanh(c)", "do = dh * c",
     "bg: what comes back to sigmoid of Wo, bo is formed with the cell state, not with tanh of the cell state"),
    ("gates", "df = dc * before", "df = dc * c",
     "bg: what comes back to sigmoid of Wf, bf is formed with the state after"),
    ("gates", " + do @ Wo.T", "", "bg: what comes back to .* through Wo is not added"),
    ("gates", "df @ Wf.T + di @ Wi.T", "df @ Wi.T + di @ Wf.T", "bg: Wf and Wi are swapped on the way back"),
    ("gates", "dc_next = dc * f", "dc_next = dc",
     f"bg: {CARRIED} through 'multiply' with sigmoid of Wf, bf lacks its factor"),
    ("gates", "dc_next = dc * f", "dc_next = dc_next * f", f"bg: {CARRIED} by the cell state is not added"),
    ("gates", "dWf += z.T @ df", "dWf += z.T @ di", "right: .*Wf: it is the gradient of Wi"),
    ("gates", "dbo += do.sum(axis=0)", "dbo += do.sum(axis=1).mean()",
     "wrong: bo; right: .*bo: wrong for a loss at any step"),
    ("coupled", "(before - g)", "before",
     "Wg: what comes back to sigmoid of Wf through 'subtract' with 1 and 'multiply' with tanh of Wg is not added"),
    ("coupled", "(before - g)", "(before + g)", "sigmoid of Wf through 'subtract' .* has the wrong sign"),
    ("coupled", "(before - g)", "(-g)",
     "Wg: what comes back to sigmoid of Wf through 'multiply' with the cell state is not added"),
    ("update", "(h - n)", "h",
     "to sigmoid of Whz, Wxz through 'subtract' with 1 and 'multiply' with tanh of Whn, Wxn is not added"),
    ("update", "(h - n)", "(-n)", "to sigmoid of Whz, Wxz through 'multiply' with the hidden state is not added"),
    ("update", "(h - n)", "(n - h)", "Whn: the slope of sigmoid of Whz, Wxz has the wrong sign"),
    ("update", "(h - n)", "(h + n)", "to sigmoid of Whz, Wxz through 'subtract' .* has the wrong sign"),
    ("update", "dh * (1 - z)", "dh * z",
     "Whn: what comes back to tanh of Whn, Wxn is formed with sigmoid of Whz, Wxz, not with 1 - sigmoid of Whz"),
    ("update", "dh * (1 - z)", "dh",
     "to tanh of Whn, Wxn through 'multiply' with 1 - sigmoid of Whz, Wxz lacks its factor"),
    ("update", "drh = dn @ Whn.T", "drh = dn @ Whn", "Whn: Whn is not transposed"),
    ("update", "dWhn += (r * h).T @ dn", "dWhn += h.T @ dn",
     "right: .*Whn: it is formed with the hidden state before the step, not with multiply of the hidden state"),
    ("update", "+ drh * r ", "+ drh ", f"{CARRIED} through 'multiply' with sigmoid of Whr, Wxr lacks its factor"),
    ("update", "+ drh * r ", "", f"{CARRIED} through 'multiply' with sigmoid of Whr, Wxr is not added"),
    ("update", " + dr @ Whr.T", "", f"{CARRIED} through Whr is not added"),
    ("update", "drh * h * r * (1 - r)", "drh * r * (1 - r)",
     "to sigmoid of Whr, Wxr through 'multiply' with the hidden state lacks its factor"),
    ("update", "drh * h * r", "drh * n * r",
     "Whn: what .* sigmoid of Whr, Wxr is formed with tanh of Whn, Wxn, not with the hidden state"),
    ("update", "dh_next = dh * z", "dh_next += dh * z",
     f"x, h0, Wxz, Whz, Wxr, Whr, Wxn, Whn: {CARRIED} is added .[+]=. to what was, not set"),
    ("update", "dr @ Whr.T", "dr @ Whz.T", "Whn: what comes back to the hidden state is formed with Whz, not with Whr"),
    ("update", " + dr @ Wxr.T", "", "right: .*x: what comes back to x through Wxr is not added"),
    ("update", "dh * z + ", "", f"{CARRIED} through 'multiply' with sigmoid of Whz, Wxz is not added"),
    ("stack", "da2 = dh2 * m *", "da2 = dh2 *",
     "Wh2: what comes back to tanh of Wh2, Wx2 through 'multiply' with a constant lacks its factor"),
    ("stack", " + dh2 * (1 - m)", "", f"{CARRIED} through 'multiply' with a constant is not added"),
    ("stack", "dh2 * (1 - m)", "dh2", f"{CARRIED} through 'multiply' with a constant lacks"),
    ("stack", "da2 @ Wx2.T + dnext1", "da2 @ Wh2.T + dnext1",
     "x, Wx1, Wh1: what comes back to the hidden state along Wh1 is formed with Wh2, not with Wx2"),
    ("stack", "da2 @ Wx2.T + dnext1", "da2 @ Wx2.T", f"x, Wx1, Wh1: {CARRIED} along Wh1 is not added"),
    ("stack", "reversed(range(len(cache)))", "range(len(cache))",
     "x, Wx1, Wh1, Wx2, Wh2: the steps are walked in the order of the forward"),
    ("stack", "dloss * 2 * error * m / mask.sum()", "dloss * error * m / mask.sum()",
     "Wy: it is 0.5 times the right one.$"),
    ("stack", "error * m / mask.sum()", "error * m",
     "Wy: it is 10 times the right one: not divided by 10, as the forward is"),
    ("stack", "dWh2 += old2.T", "dWh2 += old1.T",
     "Wh2: it is formed with the hidden state along Wh1 before the step, not with the hidden state along Wh2"),
    ("stack", "dWx2 += h1.T", "dWx2 += old1.T", "Wx2: it is formed with the state before the step"),
    ("stack", "dWx2 += h1.T @ da2", "dWx2 += h2.T @ da2",
     "Wx2: it is formed with the hidden state along Wh2, not with .* Wh1"),
    ("stack", "dWh1 += old1.T @ da1", "dWh1 += da1.T @ old1", "Wh1: it is transposed"),
    ("attended", "ds = ds / len(p) * dloss", "ds = ds * dloss",
     "Wy: it is 3 times the right one: not divided by the 3 samples[?]$"),
    ("attended", "ds[np.arange(len(p)), labels] -= 1", "ds[:, labels] -= 1", "^$"),
    ("attended", "(dalpha - np.sum(alpha * dalpha, axis=1, keepdims=True))", "dalpha",
     "q: what comes back to exp through 'sum' is not added"),
    ("attended", " / scale\n", "\n", "to matmul of q through 'divide' with 2 lacks its factor"),
    ("attended", " + dscores[:, :, None] * q", "", "right: q, Wy.*to stack of the hidden state through q is not added"),
    ("attended", "alpha[:, :, None] * dcontext[:, None, :] + ", "",
     "right: q, Wy.*to stack of the hidden state through 'multiply' .* is not added"),
    ("attended", "np.add.at(dtable, words, dx)", "dtable[words] += dx", "right: .*table: .* it takes np.add.at"),
    ("attended", "(dstates[:, t] + dh_next)", "dstates[:, t]", f"table, Wx, Wh: {CARRIED} is not added"),
    ("attended", "dh_next = da @ Wh.T", "dh_next = dstates[:, t] @ Wh.T", "wrong: table, Wx, Wh; right: q, Wy.$"),
    ("attended", "x[:, t].T @ da", "x[:, t - 1].T @ da",
     "right: .*Wx: it is formed with table of the step before, not with table"),
    ("attended", "reversed(range(words.shape[1]))", "reversed(range(1, words.shape[1]))",
     "table, Wx: step 0 is missing from it"),
)  # fmt: skip


def checked(network: str, backward: Any = None) -> Any:
    """Check a pair; a mistake must show along any one direction, and what is said of it does not come from more."""
    named = {name: getattr(students, f"{network}_{name}") for name in ("forward", "backward")}
    directions = 3 if backward is None else 1
    return rg.check(named["forward"], backward or named["backward"], *ARGUMENTS[network], directions=directions)


@pytest.mark.parametrize("network", list(ARGUMENTS))
def test_the_right_ones_pass(network: str) -> None:
    assert checked(network).passed


@pytest.mark.parametrize(("network", "line", "other", "says"), MUTANTS, ids=[f"{m[0]}: {m[2]}" for m in MUTANTS])
def test_a_mistake_is_named(network: str, line: str, other: str, says: str) -> None:
    report = checked(network, mutant(network, line, other, students))
    assert report.differs
    assert re.search(says, " ".join(report.where)), report.where


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_walk_back_that_is_cut_short_is_named(steps: int) -> None:
    report = checked("characters", lambda dloss, cache: students.truncated_backward(dloss, cache, steps=steps))
    words = f"it goes {steps} step{'s' * (steps > 1)} back from a loss and no further."
    assert report.where == ("wrong: Wxh, Whh, bh, h0; right: Why, by.", f"Wxh, Whh, bh, h0: {words}")


@pytest.mark.parametrize(
    ("made", "words"),
    [(lambda one, norm: 0.1 / norm * one, "clipped to norm 0.1?"),
     (lambda one, norm: 0.37 * one, "it is 0.37 times the right one."),
     (lambda one, norm: np.clip(one, -0.02, 0.02), "it is clipped at 0.02; check it before it is clipped."),
     (lambda one, norm: 5 * one, "it is 5 times the right one: not divided by the 5 steps?")],
)  # fmt: skip
def test_what_is_done_to_all_gradients_is_named(made: Any, words: str) -> None:
    """Of a pair, and of gradients that are handed over beside a recorded loss."""

    def all_made(dloss: Any, cache: Any) -> Any:
        found = students.characters_backward(dloss, cache)
        norm = np.sqrt(sum((one**2).sum() for one in found))
        assert norm > 0.1
        return [made(one, norm) for one in found]

    *arrays, data, targets = ARGUMENTS["characters"]
    forward: Any = students.characters_forward
    names = "Wxh", "Whh", "Why", "bh", "by", "h0"
    loss = rg.trace_function(lambda *given: forward(*given, data, targets)[0], *arrays)
    gradients = all_made(1.0, forward(*arrays, data, targets)[1])
    handed = rg.check(loss, dict(zip(names, gradients, strict=True)), dict(zip(names, arrays, strict=True)))
    for report in (checked("characters", all_made), handed):
        assert report.differs
        assert report.where[-1].endswith(words), report.where


def perceptron(x: Any, W: Any, b: Any, V: Any) -> Any:
    h = np.maximum(x @ W + b, 0)
    return (h @ V).max(), (x, W, b, V, h)


def perceptron_backward(dloss: Any, cache: Any, *, slope: bool) -> Any:
    x, W, _, V, h = cache
    dout = dloss * (h @ V == (h @ V).max())
    dh = dout @ V.T * ((h > 0) if slope else 1)
    return dh @ W.T, x.T @ dh, dh.sum(axis=0), h.T @ dout


def test_a_maximum_with_zero_is_an_activation_and_the_largest_output_a_loss() -> None:
    given = draw(5, 3), draw(3, 6), draw(6), draw(6, 2)
    assert rg.check(perceptron, lambda d, cache: perceptron_backward(d, cache, slope=True), *given).passed
    report = rg.check(perceptron, lambda d, cache: perceptron_backward(d, cache, slope=False), *given)
    assert report.where == ("wrong: x, W, b; right: V.", "x, W, b: the slope of relu is left out on the way back.")


@pytest.mark.parametrize(
    ("power", "words"),
    [(0, "x, W: it is 10 times the right one: not divided by 10, as the forward is?"),
     (2, "x, W: it is 0.1 times the right one: divided by 10, as the forward is?")],
)  # fmt: skip
def test_a_mean_that_is_left_out_or_taken_twice_is_named(power: int, words: str) -> None:
    def forward(x: Any, W: Any) -> Any:
        return ((x @ W) ** 2).mean(), (x, W)

    def backward(dloss: Any, cache: Any) -> Any:
        x, W = cache
        d = 2 * dloss * (x @ W) / 10**power
        return d @ W.T, x.T @ d

    assert rg.check(forward, backward, draw(5, 3), draw(3, 2)).where == (words,)
