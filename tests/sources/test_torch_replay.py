"""The replay against PyTorch's recurrent layers written out step by step, in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import StateTrace, Trace
from tests.sources.torch_reference import Unrolled, unroll

torch = pytest.importorskip("torch")

MODES = ("tanh", "relu", "lstm", "gru")
LENGTHS = (3, 6, 1, 4)
TABLE = list(itertools.product(MODES, (1, 2, 3), (False, True), (True, False), (False, True), (False, True)))


def module_of(mode: str, **options: Any) -> Any:
    if mode in ("tanh", "relu"):
        return torch.nn.RNN(3, 5, nonlinearity=mode, **options).double()
    return (torch.nn.LSTM if mode == "lstm" else torch.nn.GRU)(3, 5, **options).double()


def state_of(trace: Trace, kind: str, layer: int, reverse: bool) -> StateTrace:
    direction = "reverse" if reverse else "forward"
    return next(one for one in trace.states if (one.kind, one.layer, one.direction) == (kind, layer, direction))


def assert_same_states(trace: Trace, expected: Unrolled, *, tolerance: float = 1e-12) -> None:
    for kind, layer, reverse in expected.states:
        state = state_of(trace, kind, layer, reverse)
        norms = expected.norms(kind, layer, reverse)
        np.testing.assert_allclose(state.grad.value, norms, rtol=tolerance, atol=1e-14)
        values = torch.stack(expected.states[kind, layer, reverse]).detach().numpy()
        np.testing.assert_allclose(state.activation, np.sqrt((values**2).mean(axis=(1, 2))), rtol=1e-12)


def packed(x: Any, batch_first: bool) -> Any:
    return torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.tensor(LENGTHS), batch_first=batch_first, enforce_sorted=False
    )


@pytest.mark.parametrize(("mode", "layers", "both", "bias", "batch_first", "pack"), TABLE)
def test_every_combination(mode: str, layers: int, both: bool, bias: bool, batch_first: bool, pack: bool) -> None:
    torch.manual_seed(layers)
    module = module_of(mode, num_layers=layers, bidirectional=both, bias=bias, batch_first=batch_first)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    weight = torch.randn(4, 6, 5 * (1 + both), dtype=torch.float64)

    def loss_of(output: Any, final: dict[str, Any]) -> Any:
        scaled = [(1 + place) * state.sin() for place, state in enumerate(final.values())]
        return (output * weight).sum() + sum(one.sum() for one in scaled)

    expected = unroll(module, x, torch.tensor(LENGTHS) if pack else None)
    final = {kind: expected.final[kind] for kind in ("hc" if mode == "lstm" else "h")}
    loss_of(expected.output, final).backward()
    wanted = {name: parameter.grad.clone() for name, parameter in module.named_parameters()}
    module.zero_grad()

    given = x if batch_first else x.transpose(0, 1)
    with rnngraph.torch.watch(module) as watch:
        output, states = module(packed(given, batch_first) if pack else given)
        if pack:
            output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=batch_first)
        output = output if batch_first else output.transpose(0, 1)
        loss_of(output, dict(zip("hc", states if mode == "lstm" else (states,), strict=False))).backward()
    trace = watch.trace(tolerance=1e-12)
    assert_same_states(trace, expected)
    assert (trace.batch, trace.timesteps, trace.dtype) == (4, 6, "float64")
    layer = mode if mode in ("lstm", "gru") else "rnn"
    for name, ours in (("weight_ih", "Wx"), ("weight_hh", "Wh"), ("bias_ih", "b"))[: 2 + bias]:
        found = next(one for one in trace.parameters if one.name == f"{layer}.{ours}")
        np.testing.assert_allclose(found.grad.value, float(wanted[name + "_l0"].norm()), rtol=1e-12)
    assert any(one.name.endswith((".b", ".bh")) for one in trace.parameters) == bias
    if pack:
        assert trace.valid.sum(axis=1).tolist() == list(LENGTHS)


@pytest.mark.parametrize("both", [False, True])
def test_projection(both: bool) -> None:
    torch.manual_seed(1)
    module = torch.nn.LSTM(3, 6, 2, proj_size=4, bidirectional=both).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    expected = unroll(module, x.transpose(0, 1))
    (expected.output.square().sum() + expected.final["c"].sin().sum()).backward()
    module.zero_grad()
    with rnngraph.torch.watch(module) as watch:
        output, (_, c) = module(x)
        (output.square().sum() + c.sin().sum()).backward()
    trace = watch.trace(tolerance=1e-12)
    assert_same_states(trace, expected)
    assert next(one for one in trace.parameters if one.name == "lstm.Wr").shape == (6, 4)


@pytest.mark.parametrize("mode", MODES)
def test_initial_state_and_unbatched_input(mode: str) -> None:
    torch.manual_seed(2)
    module = module_of(mode)
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    initial = {kind: torch.randn(1, 5, dtype=torch.float64, requires_grad=True) for kind in "hc"}
    expected = unroll(module, x[None], initial={kind: [state] for kind, state in initial.items()})
    expected.output[:, -1].square().sum().backward()
    norms = {kind: state.grad.norm() for kind, state in initial.items() if state.grad is not None}
    gradient = x.grad.norm(dim=1).numpy()
    with rnngraph.torch.watch(module) as watch:
        output, _ = module(x, (initial["h"], initial["c"]) if mode == "lstm" else initial["h"])
        output[-1].square().sum().backward()
    trace = watch.trace(tolerance=1e-12)
    assert_same_states(trace, expected)
    for state in trace.states:
        np.testing.assert_allclose(state.initial.value, float(norms[state.kind]), rtol=1e-12)
    np.testing.assert_allclose(trace.inputs[0].steps.value, gradient, rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pack", [False, True])
def test_dropout_between_layers_in_train_mode(mode: str, pack: bool) -> None:
    torch.manual_seed(3)
    module = module_of(mode, num_layers=3, dropout=0.4, bidirectional=True, batch_first=True)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    with rnngraph.torch.watch(module) as watch:
        output, _ = module(packed(x, True) if pack else x)
        (output.data if pack else output).square().sum().backward()
    trace = watch.trace(tolerance=1e-12)  # compares outputs and weight gradients with PyTorch's
    assert state_of(trace, "h", 0, True).grad.status.tolist() == [Status.OK] * 6


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("bfloat16", 0.1), ("float16", 0.01)])
@pytest.mark.parametrize("mode", ["tanh", "gru"])
def test_narrow_dtypes(mode: str, dtype: str, bound: float) -> None:
    torch.manual_seed(4)
    module = module_of(mode, num_layers=2).to(getattr(torch, dtype))
    x = torch.randn(9, 2, 3).to(getattr(torch, dtype))
    with rnngraph.torch.watch(module) as watch:
        module(x)[0].float().square().sum().backward()
    trace = watch.trace(tolerance=bound)
    assert trace.dtype == ("float32" if dtype == "float32" else "float64")
    assert dtype in trace.notes[0]


@pytest.mark.parametrize("mode", ["tanh", "lstm", "gru"])
def test_autocast(mode: str) -> None:
    torch.manual_seed(5)
    module = module_of(mode).float()
    with rnngraph.torch.watch(module) as watch:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output, _ = module(torch.randn(9, 2, 3))
        output.float().square().sum().backward()
    assert "bfloat16" in watch.trace().notes[0]
