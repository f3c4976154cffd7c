"""A captioning model of the functional interface as one graph, and `affine_forward`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.nn import functional as F  # noqa: N812
from tests.draws import draw

N, T, D, W, H, V = 2, 5, 6, 4, 3, 7


class Captions:
    """A captioning model in its well-known form: forward and backward by the functions, its own flow between them."""

    def __init__(self, cell: str) -> None:
        gates = 4 if cell == "lstm" else 1
        self.cell = cell
        self.params = {
            "W_proj": draw(D, H), "b_proj": draw(H), "W_embed": draw(V, W), "Wx": draw(W, gates * H),
            "Wh": draw(H, gates * H), "b": draw(gates * H), "W_vocab": draw(H, V), "b_vocab": draw(V),
        }  # fmt: skip

    def loss(self, features: Any, captions: Any) -> tuple[Any, dict[str, Any]]:
        p, grads = self.params, {}
        words, targets = captions[:, :-1], captions[:, 1:]
        forward, backward = (getattr(F, f"{self.cell}_{way}") for way in ("forward", "backward"))
        h0, of_h0 = F.affine_forward(features, p["W_proj"], p["b_proj"])
        x, of_x = F.word_embedding_forward(words, p["W_embed"])
        h, of_h = forward(x, h0, p["Wx"], p["Wh"], p["b"])
        doubled = 2.0 * h  # a flow of its own
        scores, of_scores = F.temporal_affine_forward(doubled, p["W_vocab"], p["b_vocab"])
        loss, dscores = F.temporal_softmax_loss(scores, targets, targets != 0)
        dh, grads["W_vocab"], grads["b_vocab"] = F.temporal_affine_backward(dscores, of_scores)
        dx, dh0, grads["Wx"], grads["Wh"], grads["b"] = backward(2.0 * dh, of_h)
        grads["W_embed"] = F.word_embedding_backward(dx, of_x)
        _, grads["W_proj"], grads["b_proj"] = F.affine_backward(dh0, of_h0)
        return loss, grads


NAMES = {
    "W_proj": "affine.w", "b_proj": "affine.b", "W_embed": "embedding.W", "W_vocab": "affine_1.w",
    "b_vocab": "affine_1.b",
}  # fmt: skip


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_captioning_model_is_one_graph(cell: str) -> None:
    model, features = Captions(cell), draw(N, D)
    captions = np.random.default_rng(0).integers(1, V, (N, T + 1))
    plain_loss, plain = model.loss(features, captions)
    assert isinstance(plain_loss, float)
    with F.watch() as watching:
        loss, grads = model.loss(features, captions)
    assert float(loss) == pytest.approx(plain_loss, rel=1e-12)
    found = rg.gradients(watching.loss)
    for name, gradient in grads.items():
        np.testing.assert_array_equal(gradient, plain[name])
        key = NAMES.get(name, f"{cell}.{name}")
        np.testing.assert_allclose(found[key], gradient, rtol=1e-10, atol=1e-13, err_msg=name)
    trace = rg.record(watching.loss, lags=True)
    assert trace.timesteps == T
    assert {one.name for one in trace.parameters} == set(found) - {"x"}
    assert rg.check(watching.loss).passed
    assert rg.check(watching.loss, grads, model.params).passed
    assert rg.diagnose(trace)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_wrong_gradient_of_a_captioning_model_is_named(cell: str) -> None:
    model, features = Captions(cell), draw(N, D)
    captions = np.random.default_rng(0).integers(1, V, (N, T + 1))
    for name in model.params:
        with F.watch() as watching:
            _, grads = model.loss(features, captions)
        wrong = {**grads, name: 1.01 * grads[name]}
        report = rg.check(watching.loss, wrong, model.params)
        assert report.differs
        assert [row.name for row in report.rows if not row.passed] == [name], str(report)


def test_gradients_by_hand_are_found_by_name_where_that_is_one() -> None:
    def forward(x: Any, W: Any, b: Any) -> Any:
        return (np.tanh(x @ W + b) ** 2).sum()

    x, W, b = draw(3, 4), draw(4, 2), np.zeros(2)
    traced = rg.trace_function(forward, x, W, b)
    a = np.tanh(x @ W + b)
    da = 2 * a * (1 - a**2)
    grads = {"dW": x.T @ da, "db": da.sum(axis=0), "dx": da @ W.T}
    assert rg.check(traced, grads).passed
    assert [one.name for one in rg.check(traced, {**grads, "db": -grads["db"]}).rows if not one.passed] == ["db"]


@pytest.mark.parametrize(
    ("rest", "message"),
    [(({"b": draw(H)},), r"'b' could belong to any of the recorded arrays affine.b, affine_1.b; pass the arrays"),
     (({"W_other": draw(2)},), r"'W_other' could belong to none of the recorded arrays"),
     (({"x": draw(2)},), r"'x' is float64 of shape \(2,\); its array has shape \(2, 6\)"),
     (({"x": draw(N, D), "dx": draw(N, D)},), "x and dx are gradients of the same array"),
     ((draw(2),), "beside a recorded loss there is ndarray"),
     (({},), "the gradients that were handed over are an empty dict")],
)  # fmt: skip
def test_gradients_by_hand_that_do_not_fit_are_refused(rest: Any, message: str) -> None:
    with F.watch() as watching:
        out, _ = F.affine_forward(draw(N, D), draw(D, H), draw(H))
        scores, _ = F.affine_forward(out, draw(H, V), draw(V))
        watching.loss = (scores * scores).sum()
    with pytest.raises(InputError, match=message):
        rg.check(watching.loss, *rest)


@pytest.mark.parametrize(("cell", "gates", "kinds"), [("rnn", 1, 1), ("lstm", 4, 2)])
def test_steps_that_are_called_one_by_one_are_one_recurrence(cell: str, gates: int, kinds: int) -> None:
    x, h, Wx, Wh, b = draw(N, T, D), draw(N, H), draw(D, gates * H), draw(H, gates * H), draw(gates * H)
    with F.watch() as watching:
        states: Any = [h, np.zeros((N, H))][:kinds]
        for t in range(T):
            *states, _ = getattr(F, cell + "_step_forward")(x[:, t], *states, Wx, Wh, b)
        watching.loss = (states[0] ** 2).sum()
    (recurrence,) = watching.tape.recurrences
    assert recurrence.timesteps == T
    out, cache = getattr(F, cell + "_forward")(x, h, Wx, Wh, b)
    upstream = np.zeros_like(out)
    upstream[:, -1] = 2 * out[:, -1]
    gradients = rg.gradients(watching.loss)
    for name, expected in zip(("Wx", "Wh", "b"), getattr(F, cell + "_backward")(upstream, cache)[2:], strict=True):
        np.testing.assert_allclose(gradients[f"{cell}.{name}"], expected, rtol=1e-12)


def test_a_watch_without_a_loss_and_a_loss_of_another_watch_are_refused() -> None:
    with F.watch() as first:
        out, _ = F.affine_forward(draw(N, D), draw(D, H), draw(H))
    with pytest.raises(InputError, match="no loss was computed"):
        first.loss  # noqa: B018
    with F.watch() as second, pytest.raises(InputError, match="computed under this watch"):
        second.loss = out  # type: ignore[assignment]


def test_nothing_is_watched_afterwards_nor_after_an_exception() -> None:
    with pytest.raises(KeyError), F.watch():
        raise KeyError
    out, _ = F.affine_forward(draw(N, D), draw(D, H), draw(H))
    assert type(out) is np.ndarray


def test_functions_of_the_interface_inside_a_traced_function() -> None:
    def forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        h, _ = F.rnn_forward(x, h0, Wx, Wh, b)
        return (h * h).sum()

    arrays = draw(N, T, D), draw(N, H), draw(D, H), draw(H, H), draw(H)
    traced = rg.trace_function(forward, *arrays)
    out, cache = F.rnn_forward(*arrays)
    for name, expected in zip(("x", "h0", "Wx", "Wh", "b"), F.rnn_backward(2 * out, cache), strict=True):
        np.testing.assert_allclose(traced.gradients[name], expected, rtol=1e-12)
    assert [one.timesteps for one in traced.tape.recurrences] == [T]


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 2)])
def test_affine_agrees_with_differences(shape: tuple[int, ...]) -> None:
    assert rg.check(F.affine_forward, F.affine_backward, draw(*shape), draw(4, 5), draw(5)).passed
    out, _ = F.affine_forward(draw(*shape), draw(4, 5), draw(5))
    np.testing.assert_allclose(out, draw(*shape).reshape(3, 4) @ draw(4, 5) + draw(5), rtol=1e-13)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [((draw(3), draw(3, 2), draw(2)), r"x has shape \(3,\)"), ((draw(3, 4), draw(3, 2), draw(2)), r"needs \(4, M\)"),
     ((draw(3, 4), draw(4, 2), draw(3)), r"b has shape \(3,\)")],
)  # fmt: skip
def test_affine_refuses_shapes_that_do_not_agree(arrays: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        F.affine_forward(*arrays)


def test_a_star_import_brings_the_functions_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec("from rnngraph.nn.functional import *", names)
    assert set(names) - {"__builtins__"} == set(F.__all__)
    assert all(callable(names[name]) for name in F.__all__)
