"""Gradients that a model computes by hand beside its loss: right ones pass, and of wrong ones the mistake is named."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from tests.check import hand_written
from tests.check.test_mutants import mutant
from tests.draws import draw
from tests.numpy.styles import holt

N, T, D, H = 3, 5, 2, 4


def traced(layer: str, gates: int, backward: Any = None) -> tuple[Any, dict[str, Any]]:
    """Trace the loss of a layer of `hand_written`, and compute its gradients with a backward of that layer."""
    names = "x", "h0", "Wx", "Wh", "b"
    shapes = (N, T, D), (N, H), (D, gates * H), (H, gates * H), (gates * H,)
    arrays = dict(zip(names, [draw(*shape) for shape in shapes], strict=True))
    weights = draw(N, T, H)
    forward = getattr(hand_written, f"{layer}_forward")

    def loss(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        return (forward(x, h0, Wx, Wh, b)[0] * weights).sum()

    found = (backward or getattr(hand_written, f"{layer}_backward"))(weights, forward(*arrays.values())[1])
    return rg.trace_function(loss, **arrays), dict(zip(("d" + name for name in names), found, strict=True))


@pytest.mark.parametrize(("layer", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_right_ones_pass(layer: str, gates: int) -> None:
    report = rg.check(*traced(layer, gates))
    assert report.passed, str(report)
    assert report.where == ()


MISTAKES: tuple[tuple[str, str, str, str], ...] = (
    ("rnn", "dh[:, t] + carried", "dh[:, t]", "dx, dh0, dWx, dWh, db: what is carried from step t.1 to t is not added"),
    ("rnn", "dh[:, t] + carried", "dh[:, t] + (carried if t != 1 else 0)", "db: nothing passes from step 2 to 1"),
    ("rnn", "dh[:, t] + carried", "dh[:, t] + (carried if t % 2 == 0 else 0)", "over the ends of windows of 2 steps"),
    ("rnn", "da @ Wh.T", "da @ Wh", "db: Wh is not transposed on the way back"),
    ("rnn", "dWh += h[t].T @ da", "dWh += h[t + 1].T @ da", "dWh: it is formed with the state after the step"),
    ("rnn", "dWx += x[:, t].T @ da", "dWx = x[:, t].T @ da", r"dWx: it is that of step 0 alone: .*\(\+=\)"),
    ("rnn", "dWx += x[:, t].T @ da", "dWx += x[:, t].T @ da if t else 0", "dWx: step 0 is missing from it"),
    ("rnn", "db += da.sum(axis=0)", "db += da.mean(axis=0)", "db: it is 0.3333 times the right one"),
    ("rnn", "dWh += h[t].T @ da", "dWh -= h[t].T @ da", "wrong: dWh; right: dx, dh0, dWx, db.* dWh: the sign is wrong"),
    ("rnn", "dWh += h[t].T @ da", "dWh += (h[t].T @ da).T", "dWh: it is transposed"),
    ("rnn", "return dx, ", "return np.clip(dx, -0.1, 0.1), ", "dx: it is clipped at 0.1"),
    ("rnn", "dWx += x[:, t].T @ da", "pass", "dWx: the gradient is zero throughout"),
    ("rnn", "(1 - h[t + 1] ** 2)", "1", "dx, dh0, dWx, dWh, db: the slope of tanh is left out on the way back"),
    ("lstm", "dh[:, t] + dnext", "dh[:, t]", "carried from step t.1 to t by the hidden state is not added"),
    ("lstm", "dcell + total", "total", "carried from step t.1 to t by the cell state is not added"),
    ("lstm", "da @ Wh.T", "da @ Wh.T * 0", "carried from step t.1 to t by the hidden state is not added"),
    ("lstm", "return dx, dnext, dWx, dWh, db", "return dx, dnext, dWx, dWh, db[::-1].copy()",
     "wrong: db;.* db: it is reversed along axis 0"),
    ("lstm", "db += da.sum(axis=0)", "db += np.hstack([af, ai, ao, ag]).sum(axis=0)", "db: the gate blocks 0 .*swap"),
    ("lstm", "db += da.sum(axis=0)", "db += np.hstack([ai, af, ao, dg]).sum(axis=0)", "db: gate block 3 .g of"),
    ("gru", "dh[:, t] + carried", "dh[:, t]", "what is carried from step t.1 to t is not added"),
)  # fmt: skip


@pytest.mark.parametrize(("layer", "line", "other", "says"), MISTAKES, ids=[f"{m[0]}: {m[2]}" for m in MISTAKES])
def test_a_mistake_is_named(layer: str, line: str, other: str, says: str) -> None:
    loss, gradients = traced(layer, {"rnn": 1, "lstm": 4, "gru": 3}[layer], mutant(layer, line, other))
    report = rg.check(loss, gradients)
    assert report.differs, str(report)
    assert re.search(says, " ".join(report.where)), report.where


@pytest.mark.parametrize(
    ("detail", "says"),
    [("op", "rnn.Wx, rnn.b, rnn.Wh: what is carried from step t+1 to t is not added."), ("step", 'detail="op"')],
)
def test_gradients_beside_a_layer_of_the_package(detail: str, says: str) -> None:
    layer, x, weights = rg.nn.RNN(D, H, seed=1, detail=detail), draw(N, T, D), draw(N, T, H)
    loss = (layer(rg.Tape().input(x, "x")) * weights).sum()
    right = {name: np.array(one) for name, one in rg.gradients(loss).items() if name != "x"}
    assert rg.check(loss, right).passed
    tape, h = rg.Tape(), np.zeros((N, H))
    local: Any = 0.0
    for t in range(T):  # every step starts from numbers, through which nothing passes
        out = layer(tape.input(x[:, t : t + 1]), h)
        local = local + (out * weights[:, t : t + 1]).sum()
        h = out.value[:, 0]
    found = rg.gradients(local)
    report = rg.check(loss, {name: np.array(found[name]) for name in right})
    assert report.differs
    assert says in " ".join(report.where), report.where


class Stacked:
    """Layers that keep their weights in lists, and the gradients in lists of the same order."""

    def __init__(self, T: int = 6) -> None:
        self.params = [[draw(D, H), draw(H, H), draw(H)], [draw(H, H, seed=1), draw(H, H, seed=2), draw(H, seed=3)]]
        self.x = draw(N, T, D)

    def forward(self) -> Any:
        below = list(np.moveaxis(self.x, 1, 0))
        for Wx, Wh, b in self.params:
            h: Any = np.zeros((N, H))
            for t, one in enumerate(below):
                h = below[t] = np.tanh(one @ Wx + h @ Wh + b)
        return sum((h**2).sum() for h in below)


def right_of(params: list[list[Any]], x: Any) -> list[list[Any]]:
    torch = pytest.importorskip("torch")
    leaves = [[torch.tensor(one, requires_grad=True) for one in layer] for layer in params]
    below = list(torch.tensor(x).unbind(1))
    for Wx, Wh, b in leaves:
        h = torch.zeros(N, H, dtype=torch.float64)
        for t, one in enumerate(below):
            h = below[t] = torch.tanh(one @ Wx + h @ Wh + b)
    sum((h**2).sum() for h in below).backward()
    return [[one.grad.numpy() for one in layer] for layer in leaves]


def test_lists_of_gradients_belong_to_lists_of_arrays() -> None:
    model = Stacked()
    grads = right_of(model.params, model.x)
    traced = rg.trace_function(model.forward)
    flat, arrays = [one for some in grads for one in some], [one for some in model.params for one in some]
    for given in ((flat, arrays), (grads, model.params), (dict(enumerate(flat)), dict(enumerate(arrays)))):
        assert rg.check(traced, *given).passed
    names = [row.name for row in rg.check(traced, grads, model.params).rows]
    wrong = rg.check(traced, [*flat[:4], 3 * flat[4], flat[5]], arrays)
    assert [row.name for row in wrong.rows if not row.passed] == [names[4]]
    with pytest.raises(InputError, match=r"the gradient '0' could belong to none of .*: check\(loss, grads, params\)"):
        rg.check(traced, flat)


def test_names_of_gradients_in_lists_and_in_dicts() -> None:
    params: dict[str, Any] = {"Wx": [draw(2), draw(2, seed=1)], "b": {"low": draw(3)}}
    loss = rg.trace_function(lambda params: sum((one**3).sum() for one in [*params["Wx"], params["b"]["low"]]), params)
    right: dict[str, Any] = {"dWx": [3 * one**2 for one in params["Wx"]], "b": {"dlow": 3 * params["b"]["low"] ** 2}}
    assert rg.check(loss, right).passed
    assert rg.check(loss, right | {"b": {"dlow": right["b"]["dlow"].tolist()}}).passed
    report = rg.check(loss, right | {"dWx": [right["dWx"][0], -right["dWx"][1]]})
    assert [row.name for row in report.rows if not row.passed] == ["dWx.1"]


@pytest.mark.parametrize("named", [True, False])
def test_lists_of_gradients_that_a_function_returns_are_handed_over(named: bool) -> None:
    def loss(params: list[Any]) -> Any:
        dparams = [3 * params[0] ** 2, 2 * params[1] ** 2]
        total = sum((one**3).sum() for one in params)
        params = [2 * one for one in params]
        if named:
            return total, {"dparams": dparams}
        return total, dparams, params

    traced = rg.trace_function(loss, [draw(2), draw(2, seed=1)])
    assert [*traced.handed] == ["dparams.0", "dparams.1"]
    report = rg.check(traced, traced.handed)
    assert [row.name for row in report.rows if not row.passed] == ["dparams.1"]


def test_nothing_handed_over_is_said() -> None:
    names: dict[str, Any] = {"np": np, "__name__": "__main__"}
    exec("def loss(W, x):\n    h = np.tanh(W @ x)\n    return (h**2).sum(), np.outer(2 * h * (1 - h**2), x)", names)
    traced = rg.trace_function(names["loss"], draw(3, 2), draw(2))
    with pytest.raises(InputError, match=r"empty dict: .* its source cannot be read, .*; pass them by name, check\("):
        rg.check(traced, traced.handed)
    assert rg.check(traced, {"dW": traced.outputs[1]}).passed


def test_two_gradients_of_one_array_and_one_of_another_shape_are_refused() -> None:
    loss, gradients = traced("rnn", 1)
    with pytest.raises(InputError, match=r"'dWh' is float64 of shape \(2, 4\); its array has shape \(4, 4\)"):
        rg.check(loss, {"dWh": gradients["dWh"][:2]})
    with pytest.raises(InputError, match="dWh and grad_Wh are gradients of the same array; hand over one of them"):
        rg.check(loss, {**gradients, "grad_Wh": gradients["dWh"]})


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "tell"), (3.0, "cannot tell")])
def test_what_differences_cannot_tell_passes_where_it_is_what_the_rules_give(factor: float, verdict: str) -> None:
    x, w = draw(3), draw(3) + 1.0
    loss = rg.trace_function(lambda x, w: np.sum(x * 1e-30) + np.sum(w * w), x=x, w=w, check=False)
    report = rg.check(loss, {"dx": factor * np.full(3, 1e-30), "dw": 2 * w})
    assert (report.passed, report.differs) == (factor == 1.0, False)
    assert next(row for row in report.rows if row.name == "dx").verdict.endswith(verdict)
    assert ("dx: it is 3 times the right one." in report.where) == (factor == 3.0)


@pytest.mark.parametrize(("beside", "named"), [(0.0, True), (0.05, False)])
def test_a_factor_beside_another_mistake_is_not_all(beside: float, named: bool) -> None:
    w = draw(4, 3)
    report = rg.check(
        rg.trace_function(lambda w: (w**3).sum(), w=w), {"dw": 12 * 3 * w**2 + beside * draw(4, 3, seed=1)}
    )
    assert report.differs
    assert ("dw: it is 12 times the right one." in report.where) == named
    assert ("times" in " ".join(report.where)) == named


def test_a_state_of_one_number_is_located() -> None:
    traced = rg.trace_function(holt, draw(8), draw(2))
    handed = {"dx": 3 * traced.gradients["x"], "dab": traced.gradients["ab"]}
    assert rg.check(traced, handed).where[-1] == "dx: it is 3 times the right one."


def test_constants_in_float32_make_no_tape_of_float32() -> None:
    def loss(W: Any) -> Any:
        return (np.tanh(W) * np.ones(W.shape, np.float32)).sum()

    report = rg.check(rg.trace_function(loss, draw(3, 2)))
    assert (report.passed, report.dtype) == (True, "float64")


def test_a_wrong_one_of_very_many_has_a_row_of_its_own() -> None:
    params = {f"w{k}": draw(3, seed=k) + 1 for k in range(70)}
    loss = rg.trace_function(lambda given: sum((one**2).sum() for one in given.values()), params)
    gradients = {f"d{name}": 2 * one for name, one in params.items()}
    assert rg.check(loss, gradients).passed
    report = rg.check(loss, gradients | {"dw68": 4 * params["w68"]})
    assert [row.name for row in report.rows if not row.passed] == ["dw68"]
    assert report.where[-1] == "dw68: it is 2 times the right one."


def test_a_rule_that_holds_for_one_loss_alone_is_walked_one_by_one() -> None:
    product = rg.Op(
        "product", "x·w", np.matmul,
        lambda g, node: ((node.arguments[1] @ g.T).T, (g.T @ node.arguments[0]).T), "y = x w",
    )  # fmt: skip
    tape, x, w = rg.Tape(), draw(3, 4), draw(4, 2)
    out = tape.apply(product, tape.input(x, name="x"), tape.input(w, name="w"))
    right = {"x": 2 * (x @ w) @ w.T, "w": 2 * x.T @ (x @ w)}  # of Σ (x w)²
    assert rg.check((out * out).sum(), right).passed
    report = rg.check((out * out).sum(), {**right, "w": 1.25 * right["w"]})
    assert [row.name for row in report.rows if not row.passed] == ["w"]
    assert report.where[-1] == "w: it is 1.25 times the right one."
