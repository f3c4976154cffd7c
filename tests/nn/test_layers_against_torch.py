"""Embedding, Linear and the loss against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg

torch = pytest.importorskip("torch")

N, T, D, V = 3, 5, 4, 6


def test_embedding() -> None:
    layer = rg.nn.Embedding(V, D, seed=2)
    words = np.random.default_rng(0).integers(0, V, size=(N, T))
    upstream = np.random.default_rng(1).normal(size=(N, T, D))
    tape = rg.Tape()
    out = layer(tape.input(words, "words"))
    found = rg.gradients((out * upstream).sum())
    weight = torch.tensor(layer.parameter("W").value, requires_grad=True)
    expected = torch.nn.functional.embedding(torch.tensor(words), weight)
    (expected * torch.tensor(upstream)).sum().backward()
    np.testing.assert_array_equal(out.value, expected.detach().numpy())
    assert list(found) == ["embedding.W"]
    np.testing.assert_allclose(found["embedding.W"], weight.grad.numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shape", [(N, T, D), (N, D)])
def test_linear(shape: tuple[int, ...]) -> None:
    layer = rg.nn.Linear(D, V, seed=2)
    x = np.random.default_rng(0).normal(size=shape)
    upstream = np.random.default_rng(1).normal(size=(*shape[:-1], V))
    out = layer(rg.Tape().input(x))
    found = rg.gradients((out * upstream).sum())
    leaves = {"x": x, "linear.W": layer.parameter("W").value, "linear.b": layer.parameter("b").value}
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in leaves.items()}
    expected = tensors["x"] @ tensors["linear.W"] + tensors["linear.b"]
    (expected * torch.tensor(upstream)).sum().backward()
    np.testing.assert_allclose(out.value, expected.detach().numpy(), rtol=1e-13, atol=1e-13)
    assert set(found) == set(tensors)
    for key, tensor in tensors.items():
        np.testing.assert_allclose(found[key], tensor.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("masked", [False, True])
def test_loss(masked: bool) -> None:
    generator = np.random.default_rng(0)
    scores, words = generator.normal(size=(N, T, V)) * 4, generator.integers(0, V, size=(N, T))
    mask = generator.random((N, T)) > 0.4 if masked else None
    padded = words if mask is None else np.where(mask, words, -100)
    tape = rg.Tape()
    loss = rg.nn.temporal_softmax_loss(tape.input(scores), padded, mask)
    leaf = torch.tensor(scores, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        leaf.reshape(-1, V), torch.tensor(padded).reshape(-1), ignore_index=-100, reduction="sum"
    )
    (expected / N).backward()
    assert float(loss.value) == pytest.approx(float(expected.detach()) / N, rel=1e-13)
    np.testing.assert_allclose(rg.gradients(loss)["x"], leaf.grad.numpy(), rtol=1e-12, atol=1e-14)
