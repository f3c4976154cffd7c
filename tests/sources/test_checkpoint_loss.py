"""What is differentiated in a checkpoint: a reduction of the output, `output_grad`, or the loss of the targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnngraph
from rnngraph import nn
from tests.sources.small_checkpoints import Array, X, loaded, our_arrays, our_layer, saved


def reduction(name: str, hidden: Array, mask: Array) -> float:
    """What `--loss` is documented to mean, sample by sample."""
    total = 0.0
    for rows, keep in zip(hidden, mask, strict=True):
        valid = rows[keep]
        total += {
            "last": valid[-1].sum(),
            "sum": valid.sum(),
            "mean": valid.sum() / len(valid),
            "every": (valid**2).sum() / 2,
        }[name]
    return total / len(hidden)


@pytest.mark.parametrize("name", ["last", "sum", "mean", "every"])
@pytest.mark.parametrize("lengths", [None, (4, 6)])
def test_losses_and_lengths(tmp_path: Path, name: str, lengths: tuple[int, ...] | None) -> None:
    layer = our_layer()
    more = {} if lengths is None else {"lengths": np.array(lengths)}
    mask = np.arange(6) < np.array(lengths or (6, 6))[:, None]
    found = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), saved(tmp_path / "d.npz", x=X, **more), loss=name)
    hidden = layer(rnngraph.Tape().input(X)).value
    np.testing.assert_allclose(found.loss.value, reduction(name, hidden, mask), rtol=1e-13)
    trace = rnngraph.record(found.loss)
    assert trace.valid.sum(axis=1).tolist() == list(lengths or (6, 6))
    if lengths:
        masked = saved(tmp_path / "e.npz", x=X, mask=mask)
        same = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), masked, loss=name)
        assert same.loss.value == found.loss.value


def test_output_grad_is_where_the_walk_starts(tmp_path: Path) -> None:
    layer = our_layer()
    upstream = np.random.default_rng(1).normal(size=(2, 6, 4))
    data = saved(tmp_path / "d.npz", x=X, output_grad=upstream)
    found = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), data)
    _, cache = nn.functional.lstm_forward(
        X, np.zeros((2, 4)), *(layer.parameter(key).value for key in ("Wx", "Wh", "b"))
    )
    expected = nn.functional.lstm_backward(upstream, cache)
    gradients = rnngraph.gradients(found.loss)
    for name, value in zip(("x", "lstm.Wx", "lstm.Wh", "lstm.b"), (expected[0], *expected[2:]), strict=True):
        np.testing.assert_allclose(gradients[name], value, rtol=1e-12, atol=1e-14)


def test_a_class_a_sample_is_read_at_its_last_step(tmp_path: Path) -> None:
    layer, scores = our_layer(), nn.Linear(4, 3, seed=4)
    weights = saved(tmp_path / "w.npz", **our_arrays(layer, "lstm."), **our_arrays(scores, "head."))
    data = saved(tmp_path / "d.npz", x=X, targets=np.array([2, 0]), lengths=np.array([3, 6]))
    hidden = layer(rnngraph.Tape().input(X)).value[[0, 1], [2, 5]]
    logits = hidden @ scores.parameter("W").value + scores.parameter("b").value
    expected = (np.log(np.exp(logits).sum(axis=1)) - logits[[0, 1], [2, 0]]).mean()
    np.testing.assert_allclose(loaded(weights, data).loss.value, expected, rtol=1e-13)
