"""The lag matrix against T separate single-loss walks, and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from tests.linear_cells import linear_loss, orthogonal
from tests.measure.lag_networks import FULL, by_hand, captioner, log_row, measured, row, single_loss_passes

CELLS: dict[str, Any] = {
    "tanh": lambda **o: nn.RNN(4, 6, **o),
    "relu": lambda **o: nn.RNN(4, 6, nonlinearity="relu", **o),
    "lstm": lambda **o: nn.LSTM(4, 6, **o),
    "gru": lambda **o: nn.GRU(4, 6, **o),
}
FORMS: dict[str, Any] = {
    "plain": {},
    "op": {"detail": "op"},
    "stack": {"num_layers": 3},
    "both": {"bidirectional": True},
    "both-stack": {"num_layers": 2, "bidirectional": True},
    "both-stack-op": {"num_layers": 2, "bidirectional": True, "detail": "op"},
    "cut": {"num_layers": 2, "truncate": 3},
}
LENGTHS = np.array([7, 4, 2])
PADDED = np.arange(7) < LENGTHS[:, None]


@pytest.mark.parametrize("mask", [None, PADDED], ids=["whole", "padded"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_equals_separate_walks(cell: str, form: str, mask: Any) -> None:
    loss = captioner(CELLS[cell](**FORMS[form]), mask=mask)
    wanted = single_loss_passes(loss)
    every, some = (measured(loss, LagOptions("all", samples)) for samples in ("all", [0, 2]))
    assert set(every) == set(some) == {name for name, _, _ in wanted}
    for name, trace in (*every.items(), *some.items()):
        for place, s in enumerate(trace.losses):
            for column in range(8):
                expected = wanted.get((name, int(s), column), np.zeros(3))[trace.samples]
                found = np.exp(np.nan_to_num(trace.log[:, place, column], nan=-np.inf))
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_columns_bound_the_gradient(cell: str, form: str) -> None:
    loss = captioner(CELLS[cell](**FORMS[form]), batch=1)
    trace = rg.record(loss, lags=FULL)
    for state, lags in zip(trace.states, trace.lags, strict=True):
        bound = np.exp(np.nan_to_num(lags.log[0], nan=-np.inf)).sum(axis=0)[1:]
        assert (state.grad.value <= bound * (1 + 1e-12)).all()


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_equals_pytorch(cell: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    layer = CELLS[cell]()
    kind = {"tanh": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[cell]
    other = kind(4, 6, dtype=torch.float64)
    _copy_weights(torch, layer, other, cell)
    x = rng.normal(size=(2, 6, 4))
    readout = rng.normal(size=6)
    tape = rg.Tape()
    hidden = layer(tape.input(x))
    trace = measured((hidden * readout).sum())[f"{layer.name}.h"]

    h = torch.zeros(2, 6, dtype=torch.float64, requires_grad=True)
    c = torch.zeros(2, 6, dtype=torch.float64)
    states = [h]
    for t in range(6):
        step = torch.as_tensor(x[:, t])
        if cell == "lstm":
            h, c = other(step, (h, c))
        else:
            h = other(step, h)
        states.append(h)
    for s in range(6):
        loss = (states[s + 1] * torch.as_tensor(readout)).sum()
        for column in range(s + 2):
            (grad,) = torch.autograd.grad(loss, states[column], retain_graph=True)
            expected = grad.norm(dim=1).numpy()
            np.testing.assert_allclose(np.exp(trace.log[:, s, column]), expected, rtol=1e-11)


def _copy_weights(torch: Any, layer: Any, other: Any, cell: str) -> None:
    state = layer.state_dict()
    hidden = 6
    order = {"tanh": [0], "lstm": [0, 1, 3, 2], "gru": [0, 1, 2]}[cell]

    def blocks(array: Any) -> Any:
        parts = np.split(array, len(order), axis=-1)
        return torch.as_tensor(np.concatenate([parts[k] for k in order], axis=-1).T.copy())

    with torch.no_grad():
        other.weight_ih.copy_(blocks(state["Wx"]))
        other.weight_hh.copy_(blocks(state["Wh"]))
        other.bias_ih.copy_(blocks(state["b"]))
        other.bias_hh.copy_(blocks(state["bh"]) if "bh" in state else torch.zeros(len(order) * hidden))


@pytest.mark.parametrize(("factor", "power"), [(0.5, -1), (2.0, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_underflows_and_nothing_overflows(factor: float, power: int, dtype: Any) -> None:
    weight = np.array([[factor]], dtype)
    loss = by_hand(
        lambda h, _: h @ h.tape.constant(weight), np.ones((1, 1), dtype), time=1200, readout=np.ones(1, dtype),
        losses=[1199],
    )  # fmt: skip
    found = log_row(measured(loss)["cell.h"], 1199)
    np.testing.assert_allclose(found, power * np.arange(1201) * np.log(2), rtol=1e-13, atol=1e-13)


def test_a_stack_keeps_a_scale_for_each_layer() -> None:
    # The lower layer forgets faster than the upper one carries: both lose more than a float64 can hold.
    layer = nn.RNN(1, 1, num_layers=2)
    for name, value in {"Wh": 0.01, "Wh_l1": 0.05, "Wx_l1": 0.5, "Wx": 1.0}.items():
        layer.parameter(name).value[...] = value
    for name in ("b", "b_l1"):
        layer.parameter(name).value[...] = 0
    tape = rg.Tape()
    hidden = layer(tape.input(np.zeros((1, 400, 1))))
    traces = measured(hidden[:, 399].sum())
    lag = np.arange(400)
    np.testing.assert_allclose(log_row(traces["rnn.h_l1"], 399)[:400], lag * np.log(0.05), rtol=1e-12, atol=1e-12)
    # dL/dh0_k = 0.5 * sum_j 0.05^(n-j) 0.01^j
    ratio = 0.01 / 0.05
    expected = np.log(0.5) + lag * np.log(0.05) + np.log((1 - ratio ** (lag + 1)) / (1 - ratio))
    np.testing.assert_allclose(log_row(traces["rnn.h"], 399)[:400], expected, rtol=1e-12, atol=1e-12)


def test_float32_agrees_with_float64() -> None:
    one, other = (
        measured(captioner(nn.RNN(8, 32, dtype=dtype), time=120))["rnn.h"].log for dtype in (np.float64, np.float32)
    )
    assert np.nanmin(one) < -60
    np.testing.assert_allclose(other, one, atol=2e-3)


def test_bounds_say_what_was_taken() -> None:
    lengths = np.array([30, 30, 30, 12, 5, 1, 30, 30, 30, 30])
    mask = np.arange(30) < lengths[:, None]
    trace = measured(captioner(nn.RNN(4, 6), batch=10, time=30, mask=mask), LagOptions(losses=8, samples=4))["rnn.h"]
    assert trace.available == 30
    assert trace.batch == 10
    assert len(trace.losses) == 8
    assert len(trace.samples) == 4
    assert trace.log.shape == (4, 8, 31)
    assert 5 in trace.samples
    assert {int(lengths[sample]) - 1 for sample in trace.samples} <= set(trace.losses.tolist())


def test_max_lag_leaves_the_rest_unmeasured() -> None:
    loss = captioner(nn.LSTM(4, 6, num_layers=2), time=40)
    whole, short = measured(loss), measured(loss, LagOptions("all", "all", max_lag=6))
    for name, trace in short.items():
        lag = trace.losses[:, None] - np.arange(-1, 40)
        near = (lag >= 0) & (lag <= 6)
        np.testing.assert_allclose(trace.log[:, near], whole[name].log[:, near], rtol=1e-12)
        assert np.isnan(trace.log[:, ~near]).all()


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = captioner(nn.GRU(4, 6, num_layers=2, bidirectional=True), time=20)
    whole = measured(loss)
    monkeypatch.setattr("rnngraph.sources.tape.plan._BYTES", 1)
    monkeypatch.setattr("rnngraph.sources.tape.plan._CACHE", 1)
    for name, trace in measured(loss).items():
        np.testing.assert_allclose(trace.log, whole[name].log, rtol=1e-12)


def test_more_seeds_than_are_grown_at_once() -> None:
    loss = linear_loss(0.9 * orthogonal(5), np.ones((2, 5)), np.arange(5.0), 100, losses=range(100))
    trace = measured(loss)["cell.h"]
    for s in (0, 31, 32, 70, 99):
        expected = np.sqrt(30.0) * 0.9 ** np.arange(s + 2)
        np.testing.assert_allclose(row(trace, s, sample=1), expected, rtol=1e-12)


def test_copied_and_zeroed_and_processed_padding() -> None:
    keep = np.arange(8) < 5
    weight = np.array([[0.5]])

    def run(after: Any, losses: list[int], **declared: Any) -> Any:
        return measured(
            by_hand(
                lambda h, _: h @ h.tape.constant(weight), np.ones((1, 1)), time=8, readout=np.ones(1), losses=losses,
                after=after, **declared,
            )
        )["cell.h"]  # fmt: skip

    copied = run(lambda h, before, t: rg.where(keep[None, t, None], h, before), [7], mask=keep[None])
    np.testing.assert_allclose(row(copied, 7)[:4], 1.0)
    np.testing.assert_array_equal(copied.copied[0], ~keep)
    assert not copied.severed.any()
    zeroed = run(lambda h, before, t: h * np.full((1, 1), float(t != 3)), [7], cuts=[3])
    np.testing.assert_array_equal(zeroed.severed[0], np.arange(8) == 3)
    assert (log_row(zeroed, 7)[5:] == -np.inf).all()
    plain = run(None, [4])
    assert not plain.copied.any()
    assert not plain.severed.any()


def test_a_fixed_point_is_no_copy() -> None:
    loss = by_hand(lambda h, _: h.relu(), np.ones((1, 3)), time=5, readout=np.ones(3))
    trace = measured(loss)["cell.h"]
    assert not trace.copied.any()
    np.testing.assert_allclose(row(trace, 4), np.sqrt(3), rtol=1e-12)


def test_cuts_are_severed() -> None:
    trace = measured(captioner(nn.LSTM(4, 6, truncate=3)))["lstm.c"]
    np.testing.assert_array_equal(np.flatnonzero(trace.severed.all(axis=0)), [3, 6])


def test_attention_over_all_states_is_followed() -> None:
    # s_t = sum over h of a decoder-like mixture; the seeds pass the mixture, which mixes time.
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    x = tape.input(rng.normal(size=(2, 5, 4)))
    hidden = nn.RNN(4, 6)(x)
    mixed = (hidden * rng.normal(size=(1, 5, 1))).sum(axis=1)
    states = []
    h = tape.input(np.zeros((2, 6)), "start")
    for t in range(3):
        with tape.scope(t=t):
            h = (h * 0.5 + mixed).tanh()
        states.append(h)
    tape.state("decoder.h", states)
    loss = (states[2] * rng.normal(size=6)).sum()
    wanted = rg.record(loss).states[0].grad.value  # one loss only: its norm over the samples is the whole gradient's
    trace = measured(loss)["rnn.h"]
    for t in range(5):
        found = np.exp(trace.log[:, list(trace.losses).index(2), t + 1])
        np.testing.assert_allclose(np.linalg.norm(found), wanted[t], rtol=1e-12)


def test_a_loss_that_reaches_no_state() -> None:
    tape = rg.Tape()
    x = tape.input(np.ones((2, 4, 3)))
    nn.RNN(3, 5)(x)
    (trace,) = measured(x.sum()).values()
    assert trace.log.shape == (2, 0, 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"losses": 0}, "losses is 0"),
        ({"samples": -1}, "samples is -1"),
        ({"losses": "some"}, "'some'"),
        ({"samples": []}, "samples is"),
        ({"max_lag": 0}, "max_lag is 0"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        LagOptions(**options)


def test_unknown_steps_and_samples_are_refused() -> None:
    loss = captioner(nn.RNN(4, 6))
    with pytest.raises(InputError, match="loss step 7"):
        measured(loss, LagOptions(losses=[7]))
    with pytest.raises(InputError, match="sample 3"):
        measured(loss, LagOptions(samples=[3]))
