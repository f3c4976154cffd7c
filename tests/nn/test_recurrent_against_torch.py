"""Every recurrent layer against PyTorch in float64: values and all gradients, to 1e-12."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

torch = pytest.importorskip("torch")

N, T, D, H = 3, 7, 4, 5
CELLS = ("tanh", "relu", "lstm", "gru")
TIGHT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
Array = np.ndarray[Any, np.dtype[Any]]


def ours(cell: str, **options: Any) -> Any:
    kinds: dict[str, Any] = {"lstm": rg.nn.LSTM, "gru": rg.nn.GRU}
    layer = kinds[cell](D, H, **options) if cell in kinds else rg.nn.RNN(D, H, nonlinearity=cell, **options)
    generator = np.random.default_rng(11)
    for parameter in layer.parameters():  # biases that are not all alike
        parameter.value = generator.normal(size=parameter.value.shape) * 0.4
    return layer


def to_torch(cell: str, array: Array) -> Any:
    """Turn one of our weights or biases into PyTorch's layout: rows, and for an LSTM the gate order i, f, g, o."""
    if cell == "lstm":
        i, f, o, g = np.split(array, 4, axis=-1)
        array = np.concatenate([i, f, g, o], axis=-1)
    return torch.tensor(array.T.copy())


def theirs(cell: str, layer: Any) -> Any:
    """Make PyTorch's module with the same weights; our one bias is their input bias."""
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    options = {
        "num_layers": layer.num_layers,
        "bidirectional": len(layer.directions) == 2,
        "batch_first": True,
    }
    module = kinds[cell](D, H, **options) if cell in kinds else torch.nn.RNN(D, H, nonlinearity=cell, **options)
    module = module.double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.zeros_like(parameter) if (ours_of := our_name(cell, name)) is None else to_torch(
                cell, layer.state_dict()[ours_of]
            ))  # fmt: skip
    return module


def our_name(cell: str, name: str) -> str | None:
    key, _, ending = name.partition("_l0") if "_l0" in name else name.partition("_l")
    ending = ending if "_l0" in name else f"_l{ending}"
    ending = f"_l0{ending}" if ending == "_reverse" else ending
    short = {
        "weight_ih": "Wx",
        "weight_hh": "Wh",
        "bias_ih": "b",
        "bias_hh": "bh" if cell == "gru" else None,
    }[key]
    return None if short is None else short + ending


def start_states(cell: str, layer: Any) -> dict[str, Array]:
    generator = np.random.default_rng(5)
    count = layer.num_layers * len(layer.directions)
    return {key: generator.normal(size=(count, N, H)) for key in (("h0", "c0") if cell == "lstm" else ("h0",))}


def run_ours(
    layer: Any, x: Array, states: dict[str, Array], upstream: Array, mask: Array | None = None
) -> dict[str, Array]:
    tape = rg.Tape()
    recorded = {key: tape.input(state, key) for key, state in states.items()}
    out = layer(tape.input(x), **recorded, mask=mask)
    return {"out": out.value, **rg.gradients((out * upstream).sum())}


@pytest.mark.parametrize("detail", ["step", "op"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_layer_agrees_with_torch(cell: str, layers: int, bidirectional: bool, detail: str) -> None:
    generator = np.random.default_rng(0)
    layer = ours(cell, num_layers=layers, bidirectional=bidirectional, detail=detail)
    x, states = generator.normal(size=(N, T, D)), start_states(cell, layer)
    upstream = generator.normal(size=(N, T, H * len(layer.directions)))
    found = run_ours(layer, x, states, upstream)

    module = theirs(cell, layer)
    leaves = {key: torch.tensor(array, requires_grad=True) for key, array in {"x": x, **states}.items()}
    start = (leaves["h0"], leaves["c0"]) if cell == "lstm" else leaves["h0"]
    out, _ = module(leaves["x"], start)
    (out * torch.tensor(upstream)).sum().backward()

    np.testing.assert_allclose(found["out"], out.detach().numpy(), **TIGHT)
    for key, leaf in leaves.items():
        np.testing.assert_allclose(found[key], leaf.grad.numpy(), err_msg=key, **TIGHT)
    compared = 0
    for name, parameter in module.named_parameters():
        short = our_name(cell, name)
        if short is not None:
            gradient = to_torch(cell, found[f"{layer.name}.{short}"]).numpy()
            np.testing.assert_allclose(gradient, parameter.grad.numpy(), err_msg=name, **TIGHT)
            compared += 1
    assert compared == len(list(layer.parameters()))


@pytest.mark.parametrize("cell", CELLS)
def test_states_that_are_not_given_are_zero(cell: str) -> None:
    layer = ours(cell, num_layers=2)
    x = np.random.default_rng(0).normal(size=(N, T, D))
    with torch.no_grad():
        expected, _ = theirs(cell, layer)(torch.tensor(x))
    np.testing.assert_allclose(layer(rg.Tape().input(x)).value, expected.numpy(), **TIGHT)


def torch_step(cell: str, x: Any, h: Any, c: Any, weights: dict[str, Any]) -> tuple[Any, Any]:
    """Compute one step from our layout with PyTorch's operators."""
    hidden = h.shape[-1]
    a = x @ weights["Wx"] + weights["b"]
    u = h @ weights["Wh"]
    if cell in ("tanh", "relu"):
        return getattr(torch, cell)(a + u), c
    if cell == "lstm":
        i, f, o = (torch.sigmoid((a + u)[:, k * hidden : (k + 1) * hidden]) for k in range(3))
        c = f * c + i * torch.tanh((a + u)[:, 3 * hidden :])
        return o * torch.tanh(c), c
    u = u + weights["bh"]
    r, z = (torch.sigmoid((a + u)[:, k * hidden : (k + 1) * hidden]) for k in range(2))
    n = torch.tanh(a[:, 2 * hidden :] + r * u[:, 2 * hidden :])
    return (1 - z) * n + z * h, c


def torch_walk(
    cell: str,
    layer: Any,
    leaves: dict[str, Any],
    weights: dict[str, Any],
    mask: Array | None,
    truncate: int | None,
) -> Any:
    """Walk the layers by hand: a masked step keeps the state, and a cut detaches it."""
    x = leaves["x"]
    for number in range(layer.num_layers):
        outputs = []
        for place, direction in enumerate(layer.directions):
            ending = f"_l{number}" if number or direction == "reverse" else ""
            ending += "_reverse" if direction == "reverse" else ""
            own = {key: weights[key + ending] for key in ("Wx", "Wh", "b", "bh") if key + ending in weights}
            index = number * len(layer.directions) + place
            h, c = leaves["h0"][index], leaves["c0"][index] if "c0" in leaves else None
            states: dict[int, Any] = {}
            order = range(T) if direction == "forward" else range(T - 1, -1, -1)
            for position, t in enumerate(order):
                keep = h, c
                if truncate is not None and position and position % truncate == 0:
                    h, c = h.detach(), None if c is None else c.detach()
                h, c = torch_step(cell, x[:, t], h, c, own)
                if mask is not None:
                    chosen = torch.tensor(mask[:, t, None])
                    h = torch.where(chosen, h, keep[0])
                    c = None if c is None else torch.where(chosen, c, keep[1])
                states[t] = h
            outputs.append(torch.stack([states[t] for t in range(T)], dim=1))
        x = torch.cat(outputs, dim=-1)
    return x


@pytest.mark.parametrize("detail", ["step", "op"])
@pytest.mark.parametrize(("masked", "truncate"), [(True, None), (False, 1), (False, 3), (False, 7), (True, 2)])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_masks_and_cuts_agree_with_torch(
    cell: str, bidirectional: bool, masked: bool, truncate: int | None, detail: str
) -> None:
    generator = np.random.default_rng(1)
    layer = ours(cell, num_layers=2, bidirectional=bidirectional, detail=detail, truncate=truncate)
    x, states = generator.normal(size=(N, T, D)), start_states(cell, layer)
    mask = generator.random((N, T)) > 0.4 if masked else None
    if mask is not None:
        mask[:, 2] = True
        mask[1] = False
    upstream = generator.normal(size=(N, T, H * len(layer.directions)))
    found = run_ours(layer, x, states, upstream, mask)

    leaves = {key: torch.tensor(array, requires_grad=True) for key, array in {"x": x, **states}.items()}
    weights = {key: torch.tensor(value, requires_grad=True) for key, value in layer.state_dict().items()}
    out = torch_walk(cell, layer, leaves, weights, mask, truncate)
    (out * torch.tensor(upstream)).sum().backward()
    np.testing.assert_allclose(found["out"], out.detach().numpy(), **TIGHT)
    for key, leaf in leaves.items():
        np.testing.assert_allclose(found[key], leaf.grad.numpy(), err_msg=key, **TIGHT)
    for key, weight in weights.items():
        np.testing.assert_allclose(found[f"{layer.name}.{key}"], weight.grad.numpy(), err_msg=key, **TIGHT)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_on_the_right_is_a_packed_sequence(cell: str) -> None:
    lengths = [7, 4, 1]
    mask = np.arange(T) < np.array(lengths)[:, None]
    layer = ours(cell, bidirectional=True)
    x = np.random.default_rng(2).normal(size=(N, T, D))
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, batch_first=True)
    with torch.no_grad():
        out, _ = theirs(cell, layer)(packed)
        expected, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    actual = layer(rg.Tape().input(x), mask=mask).value
    np.testing.assert_allclose(actual[mask], expected.numpy()[mask], **TIGHT)


@pytest.mark.parametrize("detail", ["step", "op"])
@pytest.mark.parametrize("cell", CELLS)
def test_float32_stays_float32(cell: str, detail: str) -> None:
    layer = ours(cell, num_layers=2, bidirectional=True, detail=detail, dtype=np.float32)
    for parameter in layer.parameters():
        parameter.value = parameter.value.astype(np.float32)
    x = np.random.default_rng(0).normal(size=(N, T, D)).astype(np.float32)
    found = run_ours(layer, x, {}, np.ones((N, T, 2 * H), np.float32), np.arange(T) < np.array([[7], [3], [5]]))
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    module = theirs(cell, layer).float()
    with torch.no_grad():
        expected, _ = module(torch.tensor(x))
    np.testing.assert_allclose(found["out"][0], expected.numpy()[0], rtol=1e-4, atol=1e-5)
