"""Gates, saturation, operations and underflow, read off the graph without touching the user's cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.trace.magnitudes import Status

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 6, 4, 5


class Loop(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Any) -> Any:
        state, found = None, []
        for one in x:
            state = self.cell(one, state)
            found.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(found)


def traced(model: Any, x: Any) -> Any:
    with rnngraph.torch.watch(model) as watch:
        output = model(x)
        (output[0] if isinstance(output, tuple) else output).square().sum().backward()
    return watch.trace()


@pytest.mark.parametrize(("cell", "layer"), [("LSTMCell", "LSTM"), ("GRUCell", "GRU"), ("RNNCell", "RNN")])
def test_gates_of_a_cell_are_those_of_the_fused_layer(cell: str, layer: str) -> None:
    fused, single = getattr(nn, layer)(D, H).double(), getattr(nn, cell)(D, H).double()
    single.load_state_dict({key.removesuffix("_l0"): value * 4 for key, value in fused.state_dict().items()})
    fused.load_state_dict({key: value * 4 for key, value in fused.state_dict().items()})
    x = torch.randn(T, N, D).double()
    one, other = traced(Loop(single), x), traced(fused, x)
    assert [gate.gate for gate in one.gates] == [gate.gate for gate in other.gates]
    for a, b in zip(one.gates, other.gates, strict=True):
        np.testing.assert_allclose(a.mean, b.mean, rtol=1e-12)
        np.testing.assert_allclose(a.saturated, b.saturated, rtol=1e-12)
        np.testing.assert_allclose(a.log_mean, b.log_mean, rtol=1e-10)
    for a, b in zip(one.states, other.states, strict=True):
        np.testing.assert_allclose(a.activation, b.activation, rtol=1e-12)
        np.testing.assert_allclose(a.saturated, b.saturated, rtol=1e-12)
        np.testing.assert_allclose(a.gain, b.gain, rtol=1e-10)
    known = {weight.name.rpartition(".")[2]: weight for weight in one.parameters}
    for weight in other.parameters:
        same = known[weight.name.rpartition(".")[2]]
        assert same.shape == weight.shape
        np.testing.assert_allclose(same.steps.value, weight.steps.value, rtol=1e-10)


class Own(nn.Module):  # type: ignore[misc, name-defined]
    """h = z tanh(W [x, h]) + (1 - z) h."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.new = nn.Linear(D + H, H), nn.Linear(D + H, H)

    def forward(self, x: Any, h: Any = None) -> Any:
        h = torch.zeros(len(x), H, dtype=x.dtype) if h is None else h
        both = torch.cat([x, h], 1)
        z = self.gate(both).sigmoid()
        return z * self.new(both).tanh() + (1 - z) * h


def test_a_cell_of_ones_own_is_drawn_from_its_operations() -> None:
    trace = traced(Loop(Own()).double(), torch.randn(T, N, D).double())
    (cell,) = trace.cells
    assert (cell.name, cell.title, cell.kinds, cell.gates) == ("Own", "Own", ("h",), ("σ1", "tanh1"))
    assert [gate.name for gate in trace.gates] == ["cell.σ1", "cell.tanh1"]
    labels = {part.key: part.label for part in cell.operations}
    assert sorted(labels.values()) == sorted(["·W + b", "σ", "·W + b", "tanh", "*", "1 -", "*", "+  h"])
    state = next(part for part in cell.operations if part.role == "state")
    assert state.key == "h"
    assert sum("<h" in part.inputs for part in cell.operations) == 3  # both products and (1 - z) h
    keys = set(labels) | {"input", "<h"}
    assert all(set(part.inputs) <= keys for part in cell.operations)
    levels = {part.key: part.place[0] for part in cell.operations}
    assert all(levels[key] < levels[part.key] for part in cell.operations for key in part.inputs if key in levels)


def test_what_was_rounded_to_zero_is_no_exact_zero() -> None:
    cell = nn.RNNCell(D, H)
    with torch.no_grad():
        cell.weight_hh.mul_(0).add_(1e-3 * torch.eye(H))

    class Last(Loop):
        def forward(self, x: Any) -> Any:
            return super().forward(x)[-1]

    trace = traced(Last(cell), torch.randn(30, N, D))
    status = trace.states[0].grad.status
    assert status[-1] == Status.OK
    assert status[0] == Status.UNDERFLOW
    fused = nn.RNN(D, H)
    fused.load_state_dict({f"{key}_l0": value for key, value in cell.state_dict().items()})

    class LastOf(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = fused

        def forward(self, x: Any) -> Any:
            return self.rnn(x)[0][-1]

    whole = traced(LastOf(), torch.randn(30, N, D))
    assert whole.states[0].grad.status[0] == Status.UNDERFLOW
    assert np.isfinite(whole.lags[0].log[:, -1, 1:]).all()  # inside a fused layer rows cannot underflow
    assert whole.lags[0].log[:, -1, 1].max() < np.log(1e-60)

    class Above(Last):
        def __init__(self) -> None:
            super().__init__(cell)
            self.rnn = nn.RNN(D, D)
            self.rnn.weight_hh_l0.data.zero_()

        def forward(self, x: Any) -> Any:
            return super().forward(self.rnn(x)[0])

    status = next(one for one in traced(Above(), torch.randn(30, N, D)).states if one.name == "rnn.h").grad.status
    assert status[-1] == Status.OK
    assert status[0] == Status.UNDERFLOW  # rounded above it, between the steps of the cell


def test_a_trace_is_saved_and_read_back(tmp_path: Any) -> None:
    from rnngraph.trace.model import Trace

    trace = traced(Loop(Own()).double(), torch.randn(T, N, D).double())
    trace.save(tmp_path / "run.npz")
    again = Trace.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(again.lags[0].log, trace.lags[0].log)
    assert again.cells == trace.cells


def test_the_spectrum_of_a_fused_layer() -> None:
    layer = nn.RNN(D, H, 2).double()
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.randn(20, N, D).double())[0].square().sum().backward()
    (found,) = watch.trace(spectrum=3).spectrum
    assert found.lyapunov.shape == (3,)
    assert np.all(np.diff(found.lyapunov) <= 0)
    with rnngraph.torch.watch(layer) as watch:
        output = layer(torch.randn(20, 1, D).double())[0]
        output.square().sum().backward()
    (one,) = watch.trace(spectrum=2 * H).spectrum
    log_det = 0.0  # the exponents add up to the mean log determinant of a step: both layers' slopes and weights
    h = watch.find().recurrences[0].calls[0]
    from rnngraph.sources.torch.fused_layers.unrolled_call import UnrolledCall

    for block in UnrolledCall(h).blocks:
        weight = block.weights["Wh"]
        slopes = 1 - block.columns["h"][1:, 0] ** 2
        log_det += float(np.log(np.abs(slopes)).sum(axis=1).mean() + np.log(abs(np.linalg.det(weight))))
    np.testing.assert_allclose(one.lyapunov.sum(), log_det, rtol=1e-8)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_the_spectrum_of_a_cell_is_that_of_the_layer_behind_its_first_step(kind: str) -> None:
    layer, cell = getattr(nn, kind)(D, H).double(), getattr(nn, f"{kind}Cell")(D, H).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x, start = torch.randn(T, N, D).double(), torch.randn(2, N, H).double()
    with rnngraph.torch.watch(cell) as watch:
        state: Any = tuple(start) if kind == "LSTM" else start[0]
        total = torch.zeros(()).double()
        for t, one in enumerate(x):
            state = cell(one, state)
            if not t:
                first = torch.stack(state) if kind == "LSTM" else state[None]
            total = total + (state[0] if kind == "LSTM" else state).square().sum()
        total.backward()
    found = watch.trace(spectrum=3).spectrum[0]
    given = first.detach().unsqueeze(1).requires_grad_()
    with rnngraph.torch.watch(layer) as watch:
        layer(x[1:], tuple(given) if kind == "LSTM" else given[0])[0].square().sum().backward()
    known = watch.trace(spectrum=3).spectrum[0]
    np.testing.assert_allclose(found.lyapunov, known.lyapunov, rtol=1e-9)
    np.testing.assert_allclose(found.singular[1:], known.singular, rtol=1e-9)
    np.testing.assert_allclose(found.product_log, known.product_log, rtol=1e-9)
    assert np.isnan(found.singular[0])  # what came before the first step is not known
