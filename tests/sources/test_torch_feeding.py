"""Recurrent layers that read one another: stacks are walked as one; where lags are not the network's there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError
from rnngraph.trace.model import Trace

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(("recurrent", "back"), [(0.99, 0.5), (0.1, 0.9), (0.5, 0.0)])
def test_output_fed_back_as_input_gives_norms_and_no_verdict(recurrent: float, back: float) -> None:
    n, steps = 3, 12
    cell = torch.nn.RNNCell(n, n, nonlinearity="relu", bias=False).double()
    out = torch.nn.Linear(n, n, bias=False).double()
    with torch.no_grad():
        cell.weight_hh.copy_(recurrent * torch.eye(n).double())
        cell.weight_ih.copy_(torch.eye(n).double())
        out.weight.copy_(back * torch.eye(n).double())
    with rnngraph.torch.watch(torch.nn.ModuleList([cell, out])) as watch:
        h = y = torch.rand(2, n).double()
        for _ in range(steps):
            h = cell(y, h)
            y = out(h)
        y.sum().backward()
    trace = watch.trace()
    # Everything is positive and diagonal, so h_{t+1} = (recurrent + back) h_t, and the first loss is back · h_T.
    expected = back * (recurrent + back) ** np.arange(steps - 1, -1, -1) * np.sqrt(2 * n)
    np.testing.assert_allclose(trace.states[0].grad.value, expected, rtol=1e-10)
    assert not trace.lags
    with pytest.raises(InputError, match=r"fed back as the input of a later step.*declared on a tape"):
        rnngraph.diagnose(trace)


def test_a_detached_output_is_no_feedback() -> None:
    cell, out = torch.nn.GRUCell(3, 3), torch.nn.Linear(3, 3)
    with rnngraph.torch.watch(torch.nn.ModuleList([cell, out])) as watch:
        h = y = torch.rand(2, 3)
        for _ in range(6):
            h = cell(y.detach(), h)
            y = out(h)
        y.sum().backward()
    assert rnngraph.diagnose(watch.trace()).horizon == 5


def test_feedback_through_a_second_cell_and_over_chunks_of_a_layer() -> None:
    cells = torch.nn.ModuleList([torch.nn.GRUCell(3, 3), torch.nn.GRUCell(3, 3)])
    with rnngraph.torch.watch(cells) as watch:
        low = top = torch.rand(2, 3)
        for _ in range(5):
            low = cells[0](top, low)
            top = cells[1](low, top)
        top.sum().backward()
    assert sum("fed back" in note for note in watch.trace().notes) == 2
    layer = torch.nn.LSTM(3, 3)
    with rnngraph.torch.watch(layer) as watch:
        x, state = torch.rand(4, 2, 3), None
        for _ in range(3):
            x, state = layer(x, state)
        x.sum().backward()
    assert any("fed back" in note for note in watch.trace().notes)


def stacked(kind: str, dropout: float = 0.0) -> tuple[Any, Any]:
    """One module of two layers, and two modules with the same weights."""
    torch.manual_seed(0)
    whole = getattr(torch.nn, kind)(4, 5, 2, dropout=dropout).double()
    parts = torch.nn.ModuleList([getattr(torch.nn, kind)(4, 5), getattr(torch.nn, kind)(5, 5)]).double()
    for number, part in enumerate(parts):
        ending = f"_l{number}"
        own = {name.replace(ending, "_l0"): value for name, value in whole.state_dict().items() if ending in name}
        part.load_state_dict(own)
    return whole, parts


def assert_same(one: Trace, other: Trace) -> None:
    for state, same in zip(one.states, other.states, strict=True):
        np.testing.assert_allclose(state.grad.value, same.grad.value, rtol=1e-9)
        np.testing.assert_allclose(state.immediate.value, same.immediate.value, rtol=1e-9, atol=1e-14)
    for lag, wanted in zip(one.lags, other.lags, strict=True):
        np.testing.assert_array_equal(lag.losses, wanted.losses)
        np.testing.assert_allclose(lag.log, wanted.log, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("between", ["same", "view", "identity", "dropout"])
def test_two_modules_are_judged_as_one_of_two_layers(kind: str, between: str) -> None:
    whole, parts = stacked(kind, 0.4 if between == "dropout" else 0.0)
    x, weight = torch.randn(9, 2, 4).double(), torch.randn(5).double()
    way = {
        "same": lambda one: one,
        "view": lambda one: one.transpose(0, 1).transpose(0, 1)[:],
        "identity": torch.nn.Identity(),
        "dropout": torch.nn.Dropout(0.4),
    }[between]
    torch.manual_seed(3)
    with rnngraph.torch.watch(whole) as watch:
        (whole(x)[0][[4, 8]] * weight).sum().backward()
    expected = watch.trace(tolerance=1e-10)
    torch.manual_seed(3)
    with rnngraph.torch.watch(parts) as watch:
        (parts[1](way(parts[0](x)[0]))[0][[4, 8]] * weight).sum().backward()
    trace = watch.trace(tolerance=1e-10)
    assert_same(trace, expected)
    assert trace.notes[-1] == "1 was walked on the output of 0, as one stack"
    assert rnngraph.diagnose(trace).verdict == rnngraph.diagnose(expected).verdict


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_two_cells_are_judged_as_a_layer_of_two(kind: str) -> None:
    whole, parts = stacked(kind)
    cells = torch.nn.ModuleList([getattr(torch.nn, f"{kind}Cell")(4 + number, 5) for number in (0, 1)]).double()
    for cell, part in zip(cells, parts, strict=True):
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in part.state_dict().items()})
    x = torch.randn(7, 2, 4).double()
    with rnngraph.torch.watch(whole) as watch:
        whole(x)[0][[2, 6]].square().sum().backward()
    expected = watch.trace(tolerance=1e-10)
    with rnngraph.torch.watch(cells) as watch:
        states: list[Any] = [None, None]
        outputs = []
        for one in x:
            for number, cell in enumerate(cells):
                states[number] = cell(one, states[number])
                one = states[number][0] if kind == "LSTM" else states[number]
            outputs.append(one)
        torch.stack(outputs)[[2, 6]].square().sum().backward()
    assert_same(watch.trace(tolerance=1e-10), expected)


def test_a_skip_connection_is_the_lower_layers_own_loss() -> None:
    _, parts = stacked("GRU")
    x = torch.randn(6, 2, 4).double()
    with rnngraph.torch.watch(parts) as watch:
        low = parts[0](x)[0]
        top = parts[1](low)[0]
        (low[1] + top[5]).square().sum().backward()
    trace = watch.trace(tolerance=1e-10)
    assert [lag.losses.tolist() for lag in trace.lags] == [[1, 5], [1, 5]]
    upper = trace.lags[1].log[:, 0, 1:]
    assert not np.isfinite(upper).any()  # nothing of the lower layer's own loss reaches the upper one


def test_what_changes_between_two_layers_is_refused_with_its_reason() -> None:
    _, parts = stacked("LSTM")
    x = torch.randn(6, 2, 4).double()
    for between in (torch.nn.LayerNorm(5).double(), torch.tanh, torch.nn.Linear(5, 5).double()):
        with rnngraph.torch.watch(parts) as watch:
            parts[1](between(parts[0](x)[0]))[0][-1].sum().backward()
        with pytest.raises(InputError, match="output of 0 is the input of 1, over operations that are not walked"):
            rnngraph.diagnose(watch.trace())
        assert rnngraph.diagnose(watch.trace("1")).horizon == 5
        with pytest.raises(InputError, match="output of 0 is the input of 1, which is not traced"):
            rnngraph.diagnose(watch.trace("0"))


def test_an_encoder_whose_last_state_begins_a_decoder_keeps_its_lags() -> None:
    encoder, decoder = torch.nn.GRU(3, 4), torch.nn.GRU(3, 4)
    with rnngraph.torch.watch(torch.nn.ModuleDict({"e": encoder, "d": decoder})) as watch:
        _, state = encoder(torch.randn(6, 2, 3))
        decoder(torch.randn(4, 2, 3), state)[0].square().sum().backward()
    with pytest.raises(InputError, match=r"pick one with trace\('e'\), or --layer e"):
        watch.trace()
    assert watch.trace("e").lags[0].births.tolist() == [[5]] * 2
    assert watch.trace("d").lags
