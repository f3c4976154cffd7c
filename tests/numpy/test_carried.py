"""What is carried from step to step without `h @ W` measures as PyTorch's gradients do, and is judged as its twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from tests.draws import draw
from tests.numpy import carried_networks as carried
from tests.numpy.style_table import STYLES
from tests.sources.torch.truth import by_sample, gradients

torch = pytest.importorskip("torch")

FULL = rg.LagOptions(losses="all", samples="all")
NOTHING = torch.zeros(3, 4, dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.99])
def test_lags_of_a_leak_fall_by_its_factor_alone(beta: float) -> None:
    traced = rg.trace_function(carried.leaky_integrator, draw(7, 3, 2), draw(2, 4), beta=beta)
    (lag,) = rg.record(traced, lags=FULL).lags
    np.testing.assert_allclose(np.diff(lag.log[:, -1, 1:], axis=1), -np.log(beta), rtol=1e-10)


def skipping(x: Any, Wx: Any, W1: Any, W2: Any) -> Any:
    h = [NOTHING[0], NOTHING[0]]
    for now in x:
        h.append(torch.tanh(now @ Wx + h[-1] @ W1 + h[-2] @ W2))
    return [(one**2).sum() for one in h[2:]], {"W1.h": h[2:]}


def spiking(x: Any, W: Any, Wo: Any) -> Any:
    membrane, out = [NOTHING], [NOTHING[:, :2]]
    for now in x:
        spikes = torch.sigmoid(4 * (membrane[-1] - 1))
        membrane.append(0.9 * membrane[-1] + now @ W - spikes)
        out.append(0.9 * out[-1] + spikes @ Wo)
    return [(one**2).sum() for one in out[1:]], {"W.h": membrane[1:-1], "Wo.h": out[1:]}


def reset_by_spikes(x: Any, W: Any, Wo: Any) -> Any:
    membrane, spikes, losses = [NOTHING], NOTHING, []
    for now in x:
        membrane.append(0.9 * membrane[-1] * (1 - spikes) + now @ W)
        spikes = torch.sigmoid(5 * (membrane[-1] - 1))
        losses.append(((spikes @ Wo) ** 2).sum())
    return losses, {"W.h": membrane[1:]}


def two_that_turn(x: Any, W: Any) -> Any:
    place, speed = [NOTHING], [NOTHING]
    for now in x:
        speed.append(0.9 * speed[-1] - 0.3 * place[-1] + now @ W)
        place.append(place[-1] + 0.5 * speed[-1])
    return [(one**2).sum() for one in place[1:]], {"W.h": place[1:], "W.c": speed[1:]}


def level_and_trend(x: Any, ab: Any) -> Any:
    a, b = torch.sigmoid(ab)
    level, trend, losses = [x[0]], [x[1] - x[0]], []
    for y in x[1:]:
        losses.append((y - level[-1] - trend[-1]) ** 2)
        level.append(a * y + (1 - a) * (level[-1] + trend[-1]))
        trend.append(b * (level[-1] - level[-2]) + (1 - b) * trend[-1])
    return losses[1:], {"ab.h": trend[1:-1], "ab.c": level[1:-1]}


def packed(x: Any, sizes: Any, Wx: Any, Wh: Any) -> Any:
    h = [NOTHING]
    for t, n in enumerate(sizes):
        h.append(torch.tanh(x[:n, t] @ Wx + h[-1][:n] @ Wh))
    return [(one**2).sum() for one in h[1:]], {"Wh.h": h[1:]}


def three_paces(x: Any, Wx: Any, Wh: Any) -> Any:
    h = [NOTHING]
    for t, now in enumerate(x):
        parts = [
            torch.tanh(now @ Wx[:, own] + h[-1][:, own.start :] @ Wh[own.start :, own])
            if t % pace == 0
            else h[-1][:, own]
            for own, pace in carried.PACES
        ]
        h.append(torch.cat(parts, dim=1))
    return [(one**2).sum() for one in h[1:]], {"Wh.h": h[1:]}


def put_together(x: Any, W: Any, Wo: Any, bias: Any) -> Any:
    out = [torch.zeros(3, dtype=torch.float64)]
    for now in x:
        out.append(torch.sigmoid(torch.sigmoid(torch.cat([now, out[-1], bias]) @ W) @ Wo))
    return [(one**2).sum() for one in out[1:]], {"W.h": out[1:]}


TWINS: dict[str, Callable[..., Any]] = {
    "two steps back": skipping, "spikes": spiking, "reset by spikes": reset_by_spikes, "two that turn": two_that_turn,
    "level and trend": level_and_trend, "packed": packed, "three paces": three_paces,
    "put together": put_together,
}  # fmt: skip


@pytest.mark.parametrize("name", list(TWINS))
def test_lags_are_the_gradients_that_autograd_gives(name: str) -> None:
    network = STYLES[name]
    trace = rg.record(rg.trace_function(network.forward, *network.arguments), lags=FULL)
    given = [torch.tensor(one) if one.dtype.kind == "f" else one for one in network.arguments]
    losses, states = TWINS[name](*[one.requires_grad_() if isinstance(one, torch.Tensor) else one for one in given])
    assert {lag.state for lag in trace.lags} == set(states)
    for lag in trace.lags:
        for place, t in enumerate(lag.losses):
            wanted = np.zeros(lag.log[:, place, 1:].shape)
            for k, one in enumerate(gradients(losses[t], states[lag.state])):
                norms = by_sample(one) if one.dim() else np.abs(one.numpy())[None]
                wanted[: len(norms), k] = norms
            mine = np.exp(lag.log[:, place, 1:])
            known = ~np.isnan(mine)
            np.testing.assert_allclose(mine[known], wanted[known], rtol=1e-9, atol=1e-12)


def padded(x: Any, there: Any, Wx: Any, Wh: Any, kind: str) -> Any:
    """Keep the state of what has no further word; columns are samples."""
    h = np.zeros((len(Wh), x.shape[-1]))
    for now, here in zip(x, there, strict=True):
        new = np.tanh(Wx @ now + Wh @ h)
        if kind == "where":
            h = np.where(here, new, h)
        else:
            h = here * new + (1 - here) * h if kind == "weighed" else h + here * (new - h)
    return (h**2).sum()


@pytest.mark.parametrize("kind", ["where", "weighed", "moved"])
def test_steps_of_padding_that_keep_the_state_are_no_lags(kind: str) -> None:
    lengths = [9, 5, 4]
    x, there = draw(9, 2, 3), np.arange(9)[:, None] < lengths
    mask, weights = there if kind == "where" else there.astype(float), (draw(4, 2), draw(4, 4))
    (lag,) = rg.record(rg.trace_function(padded, x, mask, *weights, kind=kind), lags=FULL).lags
    np.testing.assert_array_equal(lag.copied, ~there.T)
    for k, n in enumerate(lengths):
        alone = rg.trace_function(padded, x[:n, :, k : k + 1], mask[:n, k : k + 1], *weights, kind=kind)
        (own,) = rg.record(alone, lags=FULL).lags
        np.testing.assert_allclose(lag.log[k, -1, : n + 1], own.log[0, -1], atol=1e-12)


def begun(x: Any, done: Any, Wx: Any, Wh: Any) -> Any:
    h = np.zeros((x.shape[1], len(Wh)))
    for now, over in zip(x, done, strict=True):
        h = np.where(over, 0.0, np.maximum(now @ Wx + h @ Wh, 0))
    return (h**2).sum()


def test_what_stays_zero_has_begun_anew_or_is_computed_and_is_not_kept() -> None:
    done = np.zeros((8, 2, 1), bool)
    done[3:5, 0] = True  # twice in a row, so that nothing changes
    x = np.abs(draw(8, 2, 3))
    x[:, 1] = -1.0  # and a sample whose units are off for ever
    weights = np.abs(draw(3, 4)), np.abs(draw(4, 4)) / 4
    (lag,) = rg.record(rg.trace_function(begun, x, done, *weights), lags=FULL).lags
    assert not lag.copied.any()
    np.testing.assert_array_equal(lag.severed[0], done[:, 0, 0])


def test_what_a_slower_part_of_a_state_computes_is_at_its_step() -> None:
    traced = rg.trace_function(carried.three_paces, *STYLES["three paces"].arguments)
    slowest = [node for node in traced.tape.nodes if len(node.arguments) == 2 and node.arguments[1].shape == (1, 1)]
    assert [node.timestep for node in slowest] == [0, 3]


def test_steps_that_are_said_are_told_from_layers_of_their_own_weights() -> None:
    given = draw(3), draw(5, 4, 3), draw(5, 4)
    assert "no recurrence was found" in rg.trace_function(carried.learned, *given).found
    traced = rg.trace_function(carried.learned, *given, steps=5)
    assert "5 steps, 3 units" in traced.found
    trace = rg.record(traced, lags=FULL)
    w, x, y = map(torch.tensor, given)
    states = [w.requires_grad_()]
    for now, wanted in zip(x, y, strict=True):
        states.append(states[-1] - 0.1 * now.T @ (now @ states[-1] - wanted))
    found = gradients((states[-1] ** 2).sum(), states[1:])
    mine = np.exp(trace.lags[0].log[0, -1, 1:])
    np.testing.assert_allclose(mine, [np.linalg.norm(one) for one in found], rtol=1e-9)


def test_samples_that_end_in_any_order_are_told_apart() -> None:
    network, order = STYLES["packed by choice"], [1, 2, 0]
    x, _, Wx, Wh = network.arguments
    mixed = rg.record(rg.trace_function(network.forward, *network.arguments), lags=FULL).lags[0].log
    sizes = np.array([3, 3, 2, 2, 1, 1])
    ordered = rg.record(rg.trace_function(carried.packed, x[order], sizes, Wx, Wh), lags=FULL).lags[0].log
    np.testing.assert_allclose(mixed[order][:, :, 1:], ordered[:, :, 1:], rtol=1e-12)


class Packed(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, Wx: Any, Wh: Any) -> None:
        super().__init__()
        self.rnn = torch.nn.RNN(2, 4, bias=False, batch_first=True).double()
        self.rnn.weight_ih_l0.data[...], self.rnn.weight_hh_l0.data[...] = torch.tensor(Wx.T), torch.tensor(Wh.T)

    def forward(self, x: Any, lengths: Any) -> Any:
        return (self.rnn(torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))[0].data ** 2).sum()


class Dilated(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, Wx: Any, Wh: Any) -> None:
        super().__init__()
        self.cell = torch.nn.RNNCell(2, 4, bias=False).double()
        self.cell.weight_ih.data[...], self.cell.weight_hh.data[...] = torch.tensor(Wx.T), torch.tensor(Wh.T)

    def forward(self, x: Any, _: Any) -> Any:
        h = [NOTHING[:1], NOTHING[:1]]
        for now in x:
            h.append(self.cell(now[None], h[-2]))
        return sum((one**2).sum() for one in h[2:])


def dilated(x: Any, Wx: Any, Wh: Any) -> Any:
    hs = [np.zeros(4)] * 2
    for now in x:
        hs.append(np.tanh(now @ Wx + hs[-2] @ Wh))
    return sum(np.sum(one**2) for one in hs[2:])


@pytest.mark.parametrize("scale", [0.3, 1.0])
@pytest.mark.parametrize("kind", ["packed", "dilated"])
def test_a_twin_of_pytorch_gives_the_same(kind: str, scale: float) -> None:
    x, Wx, Wh, lengths = draw(3, 8, 2), draw(2, 4), draw(4, 4, scale=scale), [8, 5, 3]
    sizes = np.array([sum(length > t for length in lengths) for t in range(8)])
    if kind == "packed":
        loss, module = rg.trace_function(carried.packed, x, sizes, Wx, Wh), Packed(Wx, Wh)
    else:
        x = x[0]
        loss, module = rg.trace_function(dilated, x, Wx, Wh), Dilated(Wx, Wh)
    mine = rg.record(loss, lags=FULL)
    with rg.torch.watch(module) as watch:
        module(torch.tensor(x), lengths).backward()
    its = watch.trace(lags=FULL)
    np.testing.assert_allclose(mine.states[0].grad.value, its.states[0].grad.value, rtol=1e-10)
    log, known = mine.lags[0].log, ~np.isnan(its.lags[0].log)  # a lag that no stride reaches is left out there
    np.testing.assert_allclose(log[known], its.lags[0].log[known], rtol=1e-8, atol=1e-9)
    assert not np.isfinite(log[~known]).any()
    if kind == "packed":
        one, other = rg.diagnose(mine), rg.diagnose(its)
        assert (one.verdict, one.horizon, one.flags) == (other.verdict, other.horizon, other.flags)
        assert one.at_input == pytest.approx(other.at_input)


@pytest.mark.parametrize("name", ["packed", "packed back", "packed in place", "packed lstm"])
def test_who_is_there_is_said(name: str) -> None:
    network = STYLES[name]
    (one,) = rg.trace_function(network.forward, *network.arguments).tape.recurrences
    assert one.mask is not None
    np.testing.assert_array_equal(one.mask, np.arange(3)[:, None] < network.arguments[1])


def learner(x: Any, w: Any) -> Any:
    for k in range(len(x)):
        w = w - 0.1 * x[k].T @ (x[k] @ w - 1)
    return np.sum(w**2)


def numbers_alone(x: Any, Wh: Any) -> Any:
    """Every unit a number, of which a step reads all."""
    h = [0.0] * len(Wh)
    for now in x:
        h = [np.tanh(now[k] + sum(Wh[j, k] * h[j] for j in range(len(h)))) for k in range(len(h))]
    return sum(one**2 for one in h)


@pytest.mark.parametrize(("network", "given"), [
    (learner, (draw(5, 3, 2), draw(2, 1))), (numbers_alone, (draw(8, 3), draw(3, 3)))
])  # fmt: skip
def test_what_cannot_be_told_says_what_to_declare(network: Callable[..., Any], given: tuple[Any, ...]) -> None:
    found = rg.trace_function(network, *given).found
    assert found.startswith("no recurrence was found")
    assert "tape.state" in found


def test_a_watch_keeps_the_numbers_of_what_it_handed_out() -> None:
    from rnngraph.nn import functional

    with functional.watch() as watch:
        h: Any = np.zeros((3, 4))
        weights = draw(2, 4), draw(4, 4), np.zeros(4)
        for t, n in enumerate((3, 2, 2, 1)):
            h, _ = functional.rnn_step_forward(draw(3, 4, 2)[:n, t], h[:n], *weights)
        total = (h * h).sum()
        watch.loss = total
    assert watch.loss.value == np.sum(h.value**2)
    assert not watch.tape.recurrences


def test_a_way_of_many_operations_is_found_and_its_factor_exact() -> None:
    def forward(x: Any) -> Any:
        v, total = np.zeros(2), 0.0
        for now in x:
            v = np.exp(np.log(np.sqrt((np.abs(0.9 * v) + 0.5) ** 2)) + 0.0) - 0.5 + now
            total = total + np.sum(v)
        return total

    traced = rg.trace_function(forward, np.abs(draw(6, 2)))
    assert traced.found == "found a recurrence: recurrence (state h, 6 steps, 2 units)"
    (lag,) = rg.record(traced, lags=FULL).lags
    np.testing.assert_allclose(np.exp(np.diff(lag.log[0, -1, 1:])), 1 / 0.9, rtol=1e-9)
