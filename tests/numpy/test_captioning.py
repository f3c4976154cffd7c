"""The nine functions of a captioning model, unchanged, against the functional interface."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.nn import functional as F  # noqa: N812
from tests.draws import draw
from tests.numpy.captioning import CaptioningRNN

N, T, D, W, H, V = 3, 5, 6, 4, 3, 7


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4)])
def test_a_captioning_model_is_traced_whole(cell: str, gates: int) -> None:
    params = {
        "W_proj": draw(D, H), "b_proj": draw(H), "W_embed": draw(V, W), "Wx": draw(W, gates * H),
        "Wh": draw(H, gates * H), "b": draw(gates * H), "W_vocab": draw(H, V), "b_vocab": draw(V),
    }  # fmt: skip
    features, captions = draw(N, D), np.random.default_rng(0).integers(0, V, (N, T + 1))
    traced = rg.trace_function(CaptioningRNN(params, cell).loss, features, captions)
    h0, of_h0 = F.affine_forward(features, params["W_proj"], params["b_proj"])
    x, of_x = F.word_embedding_forward(captions[:, :-1], params["W_embed"])
    h, of_h = getattr(F, f"{cell}_forward")(x, h0, params["Wx"], params["Wh"], params["b"])
    scores, of_scores = F.temporal_affine_forward(h, params["W_vocab"], params["b_vocab"])
    loss, dscores = F.temporal_softmax_loss(scores, captions[:, 1:], captions[:, 1:] != 0)
    dh, *vocabulary = F.temporal_affine_backward(dscores, of_scores)
    dx, dh0, *recurrent = getattr(F, f"{cell}_backward")(dh, of_h)
    expected = dict(zip(("W_vocab", "b_vocab", "Wx", "Wh", "b"), (*vocabulary, *recurrent), strict=True))
    expected["W_embed"] = F.word_embedding_backward(dx, of_x)
    expected["features"], expected["W_proj"], expected["b_proj"] = F.affine_backward(dh0, of_h0)
    assert float(traced.value) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(traced.outputs[1], dscores, rtol=1e-9, atol=1e-15)
    for name, gradient in expected.items():
        key = name if name == "features" else f"params.{name}"
        np.testing.assert_allclose(traced.gradients[key], gradient, rtol=1e-9, atol=1e-14, err_msg=name)
    (recurrence,) = traced.tape.recurrences
    assert (recurrence.stem, recurrence.kinds, recurrence.timesteps) == ("Wh", ("h", "c")[: 1 + (gates > 1)], T)
    trace, layer = rg.record(traced, lags=True), rg.record(of_h)
    for mine, its in zip(trace.states, layer.states, strict=True):
        np.testing.assert_allclose(mine.grad.value, its.grad.value, rtol=1e-9)
        np.testing.assert_allclose(mine.carried.value, its.carried.value, rtol=1e-9)
    own, other = (next(one for one in found.parameters if one.name.endswith("Wh")) for found in (trace, layer))
    np.testing.assert_allclose(own.steps.value, other.steps.value, rtol=1e-9)
