"""Layers that are called many times: decoders step by step, chunks of a text, cells, and modules seen through hooks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError
from rnngraph.trace.magnitudes import Status
from tests.sources.torch_reference import unroll

torch = pytest.importorskip("torch")

CLASSES = ("RNN", "LSTM", "GRU")


def detached(state: Any) -> Any:
    return tuple(one.detach() for one in state) if isinstance(state, tuple) else state.detach()


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("length", [1, 4])
def test_chunks_are_one_sequence(kind: str, length: int) -> None:
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind)(3, 5, 2).double()
    x = torch.randn(9, 2, 3).double()
    weight = torch.randn(9, 2, 5).double()
    expected = unroll(layer, x.transpose(0, 1))
    (expected.output.transpose(0, 1) * weight).sum().backward()
    layer.zero_grad()
    with rnngraph.torch.watch(layer) as watch:
        state, outputs = None, []
        for start in range(0, 9, length):
            output, state = layer(x[start : start + length], state)
            outputs.append(output)
        (torch.cat(outputs) * weight).sum().backward()
    trace = watch.trace(tolerance=1e-12)
    assert trace.timesteps == 9
    for state in trace.states:
        np.testing.assert_allclose(state.grad.value, expected.norms(state.kind, state.layer, False), rtol=1e-10)
        assert not state.cut.any()


@pytest.mark.parametrize("kind", CLASSES)
def test_detached_chunks_are_cut(kind: str) -> None:
    layer = getattr(torch.nn, kind)(3, 5).double()
    x = torch.randn(9, 2, 3).double()
    with rnngraph.torch.watch(layer) as watch:
        state, loss = None, torch.zeros(())
        for start in (0, 4, 6):
            stop = {0: 4, 4: 6, 6: 9}[start]
            output, state = layer(x[start:stop], None if state is None else detached(state))
            loss = loss + output[-1].square().sum()
        loss.backward()
    trace = watch.trace(tolerance=1e-12)
    assert np.flatnonzero(trace.states[0].cut).tolist() == [4, 6]
    assert trace.states[0].carried.status[[3, 5]].tolist() == [Status.ZERO] * 2


def test_only_the_last_step_bears_a_loss() -> None:
    layer = torch.nn.GRU(3, 5).double()
    with rnngraph.torch.watch(layer) as watch:
        state: Any = None
        for x in torch.randn(7, 1, 2, 3).double():
            _, state = layer(x, state)
        state.square().sum().backward()
    immediate = watch.trace(tolerance=1e-12).states[0].immediate
    assert immediate.status.tolist() == [Status.ZERO] * 6 + [Status.OK]  # no rounding is taken for a loss


def test_calls_that_are_no_sequence_ask_for_a_choice() -> None:
    layer = torch.nn.GRU(3, 5).double()
    with rnngraph.torch.watch(layer) as watch:
        (layer(torch.randn(4, 2, 3).double())[0].sum() + 2 * layer(torch.randn(6, 2, 3).double())[0].sum()).backward()
    with pytest.raises(InputError, match=r"called 2 times .*began without the state.*trace\(call=0\)"):
        watch.trace()
    assert [watch.trace(call=call).timesteps for call in (0, 1, -1)] == [4, 6, 6]
    assert "not compared" in watch.trace(call=0).notes[0]
    with pytest.raises(InputError, match="call is 2"):
        watch.trace(call=2)


@pytest.mark.parametrize("kind", CLASSES)
def test_cells_are_walked_again(kind: str) -> None:
    torch.manual_seed(1)
    cell = getattr(torch.nn, f"{kind}Cell")(3, 5).double()
    layer = getattr(torch.nn, kind)(3, 5).double()
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = torch.randn(8, 2, 3).double()
    expected = unroll(layer, x.transpose(0, 1))
    (expected.output[:, ::3].square().sum() + expected.final["h"].sum()).backward()
    model = torch.nn.ModuleDict({"cell": cell, "other": torch.nn.GRUCell(3, 5)})
    with rnngraph.torch.watch(model, steps="cell") as watch:
        state, loss = None, 0
        for t, one in enumerate(x):
            state = cell(one, state)
            h = state[0] if kind == "LSTM" else state
            loss = loss + (h.square().sum() if t % 3 == 0 else 0)
        (loss + h.sum()).backward()
    trace = watch.trace(tolerance=1e-12)
    for state in trace.states:
        assert state.name.startswith("cell.")
        np.testing.assert_allclose(state.grad.value, expected.norms(state.kind, 0, False), rtol=1e-10)
        expected_zero = [t % 3 != 0 and t != 7 for t in range(8)]
        if state.kind == "h":
            assert (state.immediate.status == Status.ZERO).tolist() == expected_zero


def test_a_cell_whose_state_is_changed_outside_is_seen_through_hooks() -> None:
    cell = torch.nn.LSTMCell(3, 5).double()
    x = torch.randn(6, 2, 3).double()
    states: list[Any] = []
    with rnngraph.torch.watch(cell) as watch:
        state = None
        for one in x:
            h, c = cell(one, state)
            for tensor in (h, c):
                tensor.retain_grad()
            states.append((h, c))
            state = torch.nn.functional.layer_norm(h, (5,)), c
        h.square().sum().backward()
    trace = watch.trace()
    for place, kind in enumerate("hc"):
        found = next(one for one in trace.states if one.kind == kind)
        np.testing.assert_allclose(found.grad.value, [float(pair[place].grad.norm()) for pair in states], rtol=1e-12)
        assert (found.carried.status == Status.UNOBSERVED).all()
        assert (found.immediate.status == Status.UNOBSERVED).all()
        assert np.isnan(found.gain).all()
    assert "not observed" in trace.notes[0]
    weight = next(one for one in trace.parameters if one.name == "lstmcell.weight_hh")
    np.testing.assert_allclose(weight.grad.value, float(cell.weight_hh.grad.norm()), rtol=1e-12)
    assert (weight.steps.status == Status.UNOBSERVED).all()


class Decoder(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())

    def forward(self, h: Any, steps: int) -> list[Any]:
        found = []
        for _ in range(steps):
            h = self.cell(h)
            found.append(h)
        return found


def test_any_module_that_is_called_once_a_step() -> None:
    decoder = Decoder().double()
    with rnngraph.torch.watch(decoder, steps="cell") as watch:
        states = decoder(torch.randn(2, 4).double(), 5)
        for state in states:
            state.retain_grad()
        states[-1].square().sum().backward()
    trace = watch.trace()
    assert (trace.timesteps, trace.batch, trace.states[0].name) == (5, 2, "cell.h")
    np.testing.assert_allclose(trace.states[0].grad.value, [float(one.grad.norm()) for one in states], rtol=1e-12)
    np.testing.assert_allclose(
        trace.states[0].activation, [float(one.detach().square().mean().sqrt()) for one in states], rtol=1e-12
    )
    assert trace.parameters[0].name == "cell.0.weight"
    for judge in (rnngraph.diagnose, reports):
        with pytest.raises(InputError, match="seen only through hooks, which show no lags"):
            judge(trace)


def test_hooks_tell_the_precision_of_the_run() -> None:
    for dtype in ("float32", "float64"):
        decoder = Decoder().to(getattr(torch, dtype))
        with rnngraph.torch.watch(decoder, steps="cell") as watch:
            decoder(torch.randn(2, 4).to(getattr(torch, dtype)), 3)[-1].sum().backward()
        assert watch.trace().dtype == dtype


def test_hooks_say_what_is_missing() -> None:
    decoder = Decoder()
    with pytest.raises(InputError, match=r"no module 'decoder.cell'; it has cell, cell.0, cell.1"):
        rnngraph.torch.watch(decoder, steps="decoder.cell")
    with rnngraph.torch.watch(decoder, steps="cell") as watch:
        pass
    with pytest.raises(InputError, match="cell was not called with gradients inside the watch"):
        watch.trace()
    with rnngraph.torch.watch(decoder, steps="cell") as watch:
        decoder(torch.randn(2, 4), 3)
    with pytest.raises(InputError, match="no gradient reached cell"):
        watch.trace()


class Scored(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A cell whose output, before its state, has the shape of the state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.Linear(4, 4)

    def forward(self, x: Any, *, h: Any) -> Any:
        h = torch.tanh(self.cell(x) + h)
        return 2 * h, h


def test_what_is_passed_back_is_the_state() -> None:
    model = torch.nn.ModuleDict({"c": Scored()}).double()
    with rnngraph.torch.watch(model, steps="c") as watch:
        h, states, loss = torch.zeros(2, 4).double(), [], torch.zeros(())
        for one in torch.randn(5, 2, 4).double():
            y, h = model["c"](one, h=h)
            h.retain_grad()
            states.append(h)
            loss = loss + y.sum()
        loss.backward()
    trace = watch.trace()
    assert [state.name for state in trace.states] == ["c.h", "c.output0"]
    np.testing.assert_allclose(trace.states[0].grad.value, [float(one.grad.norm()) for one in states], rtol=1e-12)


def test_the_reason_for_seeing_no_lags_is_told() -> None:
    cell = torch.nn.GRUCell(3, 5)
    with rnngraph.torch.watch(cell) as watch:
        h = torch.zeros(2, 5)
        for one in torch.randn(4, 2, 3):
            h = cell(one, torch.tanh(h))
        h.sum().backward()
    trace = watch.trace()
    reason = "seen only through hooks, because a call began with another state than the call before ended with"
    assert reason in trace.notes[-1]
    for judge in (rnngraph.diagnose, reports):
        with pytest.raises(InputError, match=reason):
            judge(trace)
