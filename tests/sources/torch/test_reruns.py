"""A watched pass run again with changed weights: against the change made by hand, and nothing of the user's moves."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph import LagOptions
from rnngraph.nn import init
from rnngraph.sources.tape.changed import SEED
from rnngraph.trace.change import BIAS, CHRONO, IDENTITY, INPUTS, OPEN, ORTHOGONAL, SCALE, TRUNCATE, Change

torch = pytest.importorskip("torch")
nn = torch.nn
weight_norm = nn.utils.parametrizations.weight_norm
N, T, D, H = 3, 12, 4, 5
FEW = LagOptions(8, 8)


class Layer(nn.Module):  # type: ignore[misc, name-defined]
    """A fused layer; the loss is linear, so that what reaches the output does not depend on the weights."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.core = layer

    def forward(self, x: Any) -> Any:
        return self.core(x)[0]


class Loop(nn.Module):  # type: ignore[misc, name-defined]
    """A cell in a loop."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.core = cell

    def forward(self, x: Any) -> Any:
        state, found = torch.zeros(x.shape[1], H).to(x), []
        pair = isinstance(self.core, nn.LSTMCell)
        given: Any = (state, state) if pair else state
        for one in x:
            given = self.core(one, given)
            found.append(given[0] if pair else given)
        return torch.stack(found)


class Own(nn.Module):  # type: ignore[misc, name-defined]
    """A cell of one's own."""

    def __init__(self, *, joined: bool) -> None:
        super().__init__()
        self.joined = joined
        if joined:
            self.both = nn.Linear(D + H, H)
        else:
            self.x, self.h = nn.Linear(D, H), nn.Linear(H, H)

    def forward(self, x: Any, h: Any) -> Any:
        return torch.tanh(self.both(torch.cat([x, h], -1)) if self.joined else self.x(x) + self.h(h))


def weights(model: Any, name: str) -> list[Any]:
    return [weight.data for key, weight in model.named_parameters() if name in key]


def scaled(model: Any) -> None:
    for weight in weights(model, "weight_hh"):
        weight.mul_(1.7)


def turned(model: Any) -> None:
    for weight in weights(model, "weight_hh"):
        weight.copy_(torch.tensor(0.9 * init.orthogonal(np.random.default_rng(SEED), (H, H)).T))


def straight(model: Any) -> None:
    for weight in weights(model, "weight_hh"):
        weight.copy_(2 * torch.eye(H))
    for bias in weights(model, "bias"):
        bias.zero_()


def quiet(model: Any) -> None:
    for weight in [*weights(model, "weight_ih"), *weights(model, "bias")]:
        weight.mul_(0.25)


def forgetting(model: Any) -> None:
    for name, value in (("bias_ih", 2.5), ("bias_hh", 0.0)):
        for bias in weights(model, name):
            bias[H : 2 * H] = value


def opened(model: Any) -> None:
    for name, value in (("bias_ih", -1.5), ("bias_hh", 0.0)):
        for bias in weights(model, name):
            bias[:H], bias[2 * H :] = value, value


CHANGES: list[tuple[Callable[[], Any], Change, Callable[[Any], None]]] = [
    (lambda: Layer(nn.RNN(D, H)), Change(SCALE, 1.7), scaled),
    (lambda: Layer(nn.LSTM(D, H, 2, bidirectional=True)), Change(SCALE, 1.7), scaled),
    (lambda: Layer(nn.LSTM(D, H, proj_size=3)), Change(SCALE, 1.7), scaled),
    (lambda: Layer(nn.GRU(D, H, 2)), Change(SCALE, 1.7), scaled),
    (lambda: Layer(nn.RNN(D, H, 2)), Change(ORTHOGONAL, 0.9), turned),
    (lambda: Layer(nn.RNN(D, H, nonlinearity="relu")), Change(IDENTITY, 2), straight),
    (lambda: Layer(nn.LSTM(D, H)), Change(BIAS, 2.5), forgetting),
    (lambda: Layer(nn.GRU(D, H, 2)), Change(BIAS, 2.5), forgetting),
    (lambda: Layer(nn.LSTM(D, H)), Change(INPUTS, 0.25), quiet),
    (lambda: Layer(nn.LSTM(D, H)), Change(OPEN, -1.5), opened),
    (lambda: Layer(weight_norm(nn.LSTM(D, H), "weight_hh_l0")), Change(BIAS, 2.5), forgetting),
    (lambda: Loop(weight_norm(nn.GRUCell(D, H), "weight_hh")), Change(BIAS, 2.5), forgetting),
    (lambda: Loop(nn.RNNCell(D, H)), Change(ORTHOGONAL, 0.9), turned),
    (lambda: Loop(nn.LSTMCell(D, H)), Change(BIAS, 2.5), forgetting),
    (lambda: Loop(nn.GRUCell(D, H)), Change(SCALE, 1.7), scaled),
    (lambda: Loop(Own(joined=False)), Change(SCALE, 1.7), lambda m: m.core.h.weight.data.mul_(1.7)),
    (lambda: Loop(Own(joined=True)), Change(SCALE, 1.7), lambda m: m.core.both.weight.data[:, D:].mul_(1.7)),
    (
        lambda: Loop(Own(joined=True)), Change(ORTHOGONAL, 0.9),
        lambda m: m.core.both.weight.data[:, D:].copy_(
            torch.tensor(0.9 * init.orthogonal(np.random.default_rng(SEED), (H, H)).T)
        ),
    ),
]  # fmt: skip


def watched(model: Any, x: Any) -> Any:
    with rnngraph.torch.watch(model) as watch:
        (model(x) * torch.linspace(0.5, 1, x.shape[0])[:, None, None].to(x)).sum().backward()
    return watch


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_the_same_as_the_change_made_by_hand(number: int) -> None:
    make, change, by_hand = CHANGES[number]
    torch.manual_seed(number)
    model, x = make().double(), torch.randn(T, N, D).double()
    found = watched(model, x).trial().lags([change])
    assert found is not None
    by_hand(model)
    known = watched(model, x).trace(lags=FEW)
    for own, other in zip(found[0], known.lags, strict=True):
        np.testing.assert_allclose(own.log, other.log, rtol=1e-9, atol=1e-9)
    for one, theirs in zip(found[1], known.input_lags, strict=True):
        np.testing.assert_allclose(one.log, theirs.log, rtol=1e-9, atol=1e-9)
    assert known.input_lags


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_layer_without_biases_gets_none(kind: str) -> None:
    trial = watched(Layer(getattr(nn, kind)(D, H, bias=False)).double(), torch.randn(T, N, D).double()).trial()
    assert trial.lags([Change(BIAS, 2.5)]) is None
    assert trial.lags([Change(SCALE, 1.7)]) is not None


def test_chrono_opens_the_gates_for_the_lag() -> None:
    torch.manual_seed(4)
    model, x = Layer(nn.LSTM(D, 32)).double(), torch.randn(60, N, D).double()
    watch = watched(model, x)
    diagnosis = rnngraph.diagnose(watch.trace(), horizon=50, trial=rnngraph.trial(watch))
    assert diagnosis.able
    chrono = next(one for one in diagnosis.tried if one.changes[0].kind == CHRONO)
    torch.manual_seed(5)
    u = 1 + 49 * torch.rand(32).double()
    model.core.bias_ih_l0.data[:] = 0
    model.core.bias_hh_l0.data[:] = 0
    model.core.bias_ih_l0.data[32:64], model.core.bias_ih_l0.data[:32] = u.log(), -u.log()
    again = rnngraph.diagnose(watched(model, x).trace(), horizon=50)
    assert chrono.helps
    assert abs(again.decades - chrono.decades) < 0.3  # other random draws


def test_what_is_advised_holds_when_it_is_taken_literally() -> None:
    torch.manual_seed(1)
    model, x = Layer(nn.RNN(D, 24)).double(), 0.1 * torch.randn(40, N, D).double()
    watch = watched(model, x)
    diagnosis = rnngraph.diagnose(watch.trace(), horizon=30, trial=watch.trial())
    assert diagnosis.verdict == "vanishing"
    finding = next(one for one in diagnosis.findings if one.rule == "vanishing")
    remedy = str(finding.evidence["remedy"])
    assert remedy.startswith("scale the recurrent weight by ")
    assert "tried on this batch" in finding.advice
    model.core.weight_hh_l0.data *= float(remedy.rpartition(" ")[2])
    again = rnngraph.diagnose(watched(model, x).trace(), horizon=30)
    assert again.verdict == "healthy"
    assert abs(again.decades - float(finding.evidence["after_decades"] or 0)) < 0.5


def test_nothing_of_the_users_moves() -> None:
    class Noisy(nn.Module):  # type: ignore[misc, name-defined]
        """Dropout, batch statistics, and draws from every generator."""

        def __init__(self) -> None:
            super().__init__()
            self.norm, self.core, self.drop = nn.BatchNorm1d(D), nn.GRU(D, H, 2, dropout=0.3), nn.Dropout(0.5)

        def forward(self, x: Any) -> Any:
            return self.drop(self.core(self.norm(x.flatten(0, 1)).view(*x.shape))[0])

    model, x = Noisy().double(), torch.randn(T, N, D).double()
    optimizer = torch.optim.Adam(model.parameters())
    with rnngraph.torch.watch(model) as watch:
        model(x).square().sum().backward()
        optimizer.step()

    def state() -> list[Any]:
        moments = [value for one in optimizer.state.values() for value in one.values()]
        some = [*model.state_dict().values(), *(p.grad for p in model.parameters()), *moments, torch.get_rng_state()]
        some += [x, torch.tensor(np.random.get_state(legacy=False)["state"]["key"].astype(np.int64))]  # noqa: NPY002
        return [one.clone() for one in some]

    versions = [p._version for p in model.parameters()]
    before, drawn = state(), random.getstate()
    trial = watch.trial()
    assert trial.lags([Change(SCALE, 1.5)]) is not None  # the same masks of dropout, so that it comes out the same
    for one, other in zip(before, state(), strict=True):
        assert torch.equal(one, other)
    assert random.getstate() == drawn
    assert [p._version for p in model.parameters()] == versions
    assert "forward" not in vars(model.core)


def test_the_weights_are_those_of_the_pass_although_an_optimizer_has_stepped() -> None:
    model, x = Layer(nn.GRU(D, H)).double(), torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x).sum().backward()
        known = watch.trace(lags=FEW)
        torch.optim.SGD(model.parameters(), lr=1.0).step()
    found = watch.trial().lags([Change(SCALE, 1.0)])
    assert found is not None
    np.testing.assert_allclose(found[0][0].log, known.lags[0].log, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "why",
    [
        "several calls", "not the same again", "cannot be copied", "a gate of one's own", "beside the outputs",
        "beside the outputs of steps",
    ],
)  # fmt: skip
def test_what_cannot_be_run_again_gets_advice_without_a_number(why: str) -> None:
    class Unsteady(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.core, self.times, self.held = nn.RNN(D, H), 0, None

        def forward(self, x: Any) -> Any:
            self.times += why == "not the same again"
            output = self.core(x * (1 + self.times))[0]
            self.held = iter(output) if why == "cannot be copied" else output
            return output

    torch.manual_seed(0)
    model, x = Unsteady().double(), torch.randn(2 * T, N, D).double()
    if why == "a gate of one's own":
        model = Loop(Own(joined=False)).double()
        model.core.h = nn.Sequential(model.core.h, nn.Identity())
    if why == "beside the outputs of steps":
        model = Loop(nn.RNNCell(D, H)).double()
    with rnngraph.torch.watch(model) as watch:
        if why == "several calls":
            first, h = model.core(x[:T])
            (first.sum() + model.core(x[T:], h)[0].sum()).backward()
        elif "beside" in why:  # a penalty on the gradient at the input reaches the states, but no output
            output = model(x.requires_grad_())
            (dx,) = torch.autograd.grad(output[-1].sum(), x, create_graph=True)
            (output.sum() + 10 * dx.square().sum()).backward()
        else:
            model(x).sum().backward()
    trial = watch.trial()
    change = Change(INPUTS, 0.1) if why == "a gate of one's own" else Change(SCALE, 2.0)
    assert trial.lags([change]) is None
    trace = watch.trace()
    assert any("past its outputs" in note for note in trace.notes) == (why == "beside the outputs")
    if why != "a gate of one's own":
        diagnosis = rnngraph.diagnose(trace, horizon=2 * T - 4, trial=trial)
        finding = next(one for one in diagnosis.findings if one.rule == diagnosis.verdict)
        assert "Nothing could be tried on this recurrence." in finding.advice
        assert "after_decades" not in finding.evidence


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("length", [2, 5])
def test_truncation(kind: str, length: int) -> None:
    layer = getattr(nn, kind)(D, H).double()
    model, x = Layer(layer), torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x).square().sum().backward()
    found = watch.trial().truncation(length)
    whole = [one.grad.clone() for one in layer.parameters()]
    layer.zero_grad()
    state = None
    for first in range(0, T, length):
        output, state = layer(x[first : first + length], state)
        output.square().sum().backward()
        state = tuple(one.detach() for one in state) if isinstance(state, tuple) else state.detach()
    cut = [one.grad for one in layer.parameters()]
    if kind != "GRU":  # ours has the sum of two biases that add up
        whole, cut = whole[:3], cut[:3]
    apart = sum(float((a - b).square().sum()) for a, b in zip(whole, cut, strict=True)) ** 0.5
    assert found == pytest.approx(apart / sum(float(one.square().sum()) for one in whole) ** 0.5, rel=1e-9)
    assert watch.trial().lags([Change(TRUNCATE, 3), Change(SCALE, 2.0)]) is None
