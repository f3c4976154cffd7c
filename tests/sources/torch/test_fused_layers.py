"""Fused layers, whose inside no graph shows: every state against a loop over the same weights in plain autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.autodiff.recurrence import suffix
from tests.sources.torch.truth import Trail, certified, check, gradients
from tests.sources.torch.unrolled import unroll

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 6, 4, 5


class Model(nn.Module):  # type: ignore[misc, name-defined]
    """A fused layer and a head."""

    def __init__(self, layer: Any, width: int) -> None:
        super().__init__()
        self.rnn, self.head = layer, nn.Linear(width, 2)

    def forward(self, x: Any, *state: Any) -> Any:
        return self.head(self.rnn(x, *state)[0])


def trail_of(layer: Any, x: Any, losses: Any, **given: Any) -> Trail:
    """The states of a loop over the layer's weights, and the losses of its output (N, T, ·), by step."""
    found = unroll(layer, x, **given)
    trail = Trail()
    for (kind, number, reverse), states in found.states.items():
        trail.states[f"{kind}{suffix(number, 'reverse' if reverse else 'forward')}"] = states
    trail.losses = dict(enumerate(losses(found.output)))
    return trail


def each_step(head: Any) -> Any:
    return lambda output: [head(one).square().sum() for one in output.unbind(1)]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNN", {}),
        ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
        ("LSTM", {}),
        ("LSTM", {"num_layers": 3}),
        ("LSTM", {"num_layers": 2, "bidirectional": True}),
        ("LSTM", {"proj_size": 3, "num_layers": 2}),
        ("LSTM", {"bias": False}),
        ("GRU", {"num_layers": 2}),
        ("GRU", {"bidirectional": True}),
        ("GRU", {"bias": False}),
    ],
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_layers(kind: str, options: dict[str, Any], batch_first: bool) -> None:
    layer = getattr(nn, kind)(D, H, batch_first=batch_first, **options)
    model = Model(layer, options.get("proj_size", H) * (1 + layer.bidirectional)).double()
    x = torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x if batch_first else x.transpose(0, 1)).square().sum().backward()
    trace, trail = watch.trace(), trail_of(layer, x, each_step(model.head))
    assert {one.name for one in trace.states} == {f"rnn.{key}" for key in trail.states}
    for key in trail.states:
        check(trace, f"rnn.{key}", trail, key, causal=not (layer.bidirectional and layer.num_layers > 1))
    assert certified(trace)


def test_one_layer_on_another_and_on_its_last_state_some_steps_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the upper one hands down arrives at all steps of the lower one, which is walked in windows of two."""
    monkeypatch.setattr("rnngraph.sources.tape.plan._WINDOW_BYTES", 1)
    monkeypatch.setattr("rnngraph.sources.tape.plan._SHORTEST", 2)
    model = nn.ModuleDict({"lower": nn.LSTM(D, H), "upper": nn.GRU(H, H), "head": nn.Linear(H, 2)}).double()
    x = torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        output, (last, _) = model["lower"](x.transpose(0, 1))
        (model["head"](model["upper"](output.tanh())[0]).square().sum() + last.square().sum()).backward()
    lower, trail = unroll(model["lower"], x), Trail()
    upper = unroll(model["upper"], lower.output.tanh())
    trail.states = {f"lower.{kind}": lower.states[kind, 0, False] for kind in "hc"}
    trail.states["upper.h"] = upper.states["h", 0, False]
    trail.losses = dict(enumerate(each_step(model["head"])(upper.output)))
    trail.losses[T - 1] = trail.losses[T - 1] + lower.final["h"].square().sum()
    for key in trail.states:
        check(watch.trace(), key, trail, key)
    assert certified(watch.trace())


def test_what_goes_on_to_the_next_call_leaves_the_other_direction_alone() -> None:
    """The state behind the first call is that of its first step there; no loss reads its last one at its own step."""
    layer = nn.GRU(D, H, bidirectional=True).double()
    with rnngraph.torch.watch(layer) as watch:
        first, state = layer(torch.randn(T, N, D).double())
        (first[..., :H].square().sum() + layer(torch.randn(T, N, D).double(), state)[0].square().sum()).backward()
    immediate = next(one.immediate.value for one in watch.trace().states if one.name.endswith("_reverse"))
    assert immediate[T - 1] == 0
    assert immediate[T:].all()


@pytest.mark.parametrize("name", ["weight_ih_l1", "weight_hh_l0", "bias_ih_l1", "weight_hr_l0"])
def test_weight_gradients_that_are_not_pytorchs_are_uncertain(name: str) -> None:
    layer = nn.LSTM(D, H, 2, proj_size=3).double()
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.randn(T, N, D).double())[0].square().sum().backward()
    watch.passes.found[-1].gradients[id(getattr(layer, name))] *= 1.01
    assert any(one.startswith("uncertain: weight gradients of") for one in watch.trace().notes)


def test_packed_sequences_in_any_order() -> None:
    layer = nn.GRU(D, H, 2, bidirectional=True)
    model = Model(layer, 2 * H).double()
    x, lengths = torch.randn(N, T, D).double(), torch.tensor([4, 6, 2])
    with rnngraph.torch.watch(model) as watch:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, _ = nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)
        valid = (torch.arange(T) < lengths[:, None])[..., None]
        (model.head(output) * valid).square().sum().backward()
    trail = trail_of(
        layer, x, lambda out: [(model.head(one) * valid[:, t]).square().sum() for t, one in enumerate(out.unbind(1))],
        lengths=lengths,
    )  # fmt: skip
    trace = watch.trace()
    assert trace.recurrences[0].valid.sum(axis=1).tolist() == [4, 6, 2]
    for state in trace.states:
        grads = torch.autograd.grad(trail.total(), trail.states[state.name.removeprefix("rnn.")], retain_graph=True)
        np.testing.assert_allclose(state.grad.value, [float(g.norm()) for g in grads], rtol=1e-10, atol=1e-14)
    assert certified(trace)


@pytest.mark.parametrize("packed", [False, True])
def test_dropout_between_layers_is_drawn_again(*, packed: bool) -> None:
    layer = nn.LSTM(D, H, 3, dropout=0.4, bidirectional=packed).double()
    x: Any = torch.randn(T, N, D).double()
    state = tuple(torch.randn(6, N, H).double() for _ in range(2)) if packed else None
    if packed:
        x = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 6, 2]), enforce_sorted=False)
    with rnngraph.torch.watch(layer) as watch:
        torch.manual_seed(1)
        output = layer(x, state)[0]
        (output.data if packed else output).square().sum().backward()
        after = torch.get_rng_state()
    torch.manual_seed(1)
    layer(x, state)
    assert torch.equal(after, torch.get_rng_state())
    trace = watch.trace()
    assert torch.equal(after, torch.get_rng_state())
    assert certified(trace)
    assert any("dropout drawn again" in one for one in trace.checks)


def test_first_states_and_last_states() -> None:
    layer = nn.LSTM(D, H, 2).double()
    h0 = torch.randn(2, N, H).double().requires_grad_()
    c0 = torch.randn(2, N, H).double()
    x = torch.randn(N, T, D).double()
    with rnngraph.torch.watch(layer) as watch:
        output, (h, c) = layer(x.transpose(0, 1), (h0, c0))
        (output.square().sum() + h.sum() + 2 * c.square().sum()).backward()
    found = unroll(layer, x, initial={"h": h0, "c": c0})
    total = found.output.square().sum() + found.final["h"].sum() + 2 * found.final["c"].square().sum()
    trace = watch.trace()
    for (kind, number, _), states in found.states.items():
        state = next(one for one in trace.states if one.name == f"lstm.{kind}{suffix(number, 'forward')}")
        truth = [float(g.norm()) for g in torch.autograd.grad(total, states, retain_graph=True)]
        np.testing.assert_allclose(state.grad.value, truth, rtol=1e-11)
    start = torch.autograd.grad(total, h0)[0]
    initial = [float(next(s for s in trace.states if s.name == name).initial.value) for name in ("lstm.h", "lstm.h_l1")]
    np.testing.assert_allclose(initial, [float(one.norm()) for one in start], rtol=1e-11)


@pytest.mark.parametrize("gain", [2.0, 4.0, 6.0])
def test_chaos(gain: float) -> None:
    layer = nn.RNN(D, 32)
    model = Model(layer, 32).double()
    with torch.no_grad():
        layer.weight_hh_l0.normal_(0, gain / 32**0.5)
    x = torch.randn(N, 60, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x.transpose(0, 1)).square().sum().backward()
    trace = watch.trace()
    assert certified(trace)
    # The loop around PyTorch's own h: a free one parts from it.
    with torch.no_grad():
        own = layer(x.transpose(0, 1))[0]
    h, states = torch.zeros(N, 32).double(), []
    for t in range(60):
        new = torch.tanh(
            x[:, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        )
        h = new + (own[t] - new.detach())
        states.append(h)
    trail = Trail({"h": states}, {t: model.head(one).square().sum() for t, one in enumerate(states)})
    check(trace, "rnn.h", trail, "h", rtol=1e-9)


def test_weight_drop_and_forward_called_directly() -> None:
    class WeightDrop(nn.Module):  # type: ignore[misc, name-defined]
        """The recurrent weight is computed from a raw one before every call."""

        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.layer = layer
            weight = layer.weight_hh_l0
            del layer._parameters["weight_hh_l0"]
            self.raw = nn.Parameter(weight.data)
            layer.weight_hh_l0 = weight.data

        def forward(self, x: Any) -> Any:
            self.layer.weight_hh_l0 = nn.functional.dropout(self.raw, 0.3, True)
            self.layer._flat_weights[1] = self.layer.weight_hh_l0
            return self.layer.forward(x)

    model = WeightDrop(nn.LSTM(D, H)).double()
    x = torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        output = model(x)[0]
        output.square().sum().backward()
    weights = {name: value.detach() for name, value in model.layer.named_parameters()}
    clone = nn.LSTM(D, H).double()
    clone.load_state_dict({**weights, "weight_hh_l0": model.layer.weight_hh_l0.detach()})
    trail = trail_of(clone, x.transpose(0, 1), lambda out: [one.square().sum() for one in out.unbind(1)])
    trace = watch.trace()
    for key in ("h", "c"):
        check(trace, f"layer.{key}", trail, key)


@pytest.mark.parametrize("training", [True, False])
def test_what_runs_through_the_statistics_of_a_batch_is_no_memory(*, training: bool) -> None:
    class Stack(nn.Module):  # type: ignore[misc, name-defined]
        """As DeepSpeech 2 has them: normalisation over samples and time between the layers."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.GRU(D, H), nn.GRU(H, H), nn.GRU(H, H)])
            self.norms = nn.ModuleList([nn.BatchNorm1d(H), nn.BatchNorm1d(H)])
            self.head = nn.Linear(H, 2)

        def forward(self, x: Any) -> Any:
            for k, layer in enumerate(self.layers):
                x = layer(x)[0]
                if k < 2:
                    x = self.norms[k](x.flatten(0, 1)).view(*x.shape)
            return self.head(x)

    model, x, kept = Stack().double().train(training), torch.randn(T, 11, D).double(), list[Any]()
    for norm in model.norms:
        nn.init.normal_(norm.weight)
    hook = model.layers[0].register_forward_hook(lambda module, given, result: kept.append(result[0]))
    (whole,) = torch.autograd.grad(model(x).square().sum(), kept)  # statistics and all
    hook.remove()
    with rnngraph.torch.watch(model) as watch:
        model(x).square().sum().backward()
    trace, trail, y = watch.trace(), Trail(), x
    assert any("statistics" in note for note in trace.notes) == training
    for k, layer in enumerate(model.layers):
        found = unroll(layer, y.transpose(0, 1))
        trail.states[str(k)] = found.states["h", 0, False]
        y = found.output.transpose(0, 1)
        if k < 2:
            norm, flat = model.norms[k], y.detach().flatten(0, 1)
            mean, spread = (
                (flat.mean(0), flat.var(0, correction=0)) if training else (norm.running_mean, norm.running_var)
            )
            y = (y - mean) * norm.weight / (spread + norm.eps).sqrt() + norm.bias  # the statistics are constant
    trail.losses = {t: model.head(one).square().sum() for t, one in enumerate(y)}
    assert len({one.clock for one in trace.recurrences}) == 1
    for k in range(3):
        lag = next(one for one in trace.lags if one.state == f"layers.{k}.h")
        for place, s in enumerate(lag.losses.tolist()):
            grads = torch.autograd.grad(trail.losses[s], trail.states[str(k)], retain_graph=True, allow_unused=True)
            for t in range(s + 1):
                known = grads[t].norm(dim=1).numpy() if grads[t] is not None else np.zeros(11)
                np.testing.assert_allclose(np.exp(lag.log[:, place, t + 1]), known[lag.samples], rtol=1e-9, atol=1e-15)
    assert certified(trace)
    immediate = next(one for one in trace.states if one.name == "layers.0.h").immediate.value
    np.testing.assert_allclose(immediate, whole.norm(dim=(1, 2)), rtol=1e-9)


def test_windows_that_go_on_and_windows_that_are_cut() -> None:
    layer = nn.GRU(D, H).double()
    head = nn.Linear(H, 2).double()
    model = nn.ModuleDict({"rnn": layer, "head": head})
    x = torch.randn(2 * T, N, D).double()
    for cut in (False, True):
        with rnngraph.torch.watch(model) as watch:
            first, h = layer(x[:T])
            second, _ = layer(x[T:], h.detach() if cut else h)
            (head(first).square().sum() + head(second).square().sum() + h.sin().sum()).backward()
        trace = watch.trace()
        assert trace.timesteps == 2 * T
        found = unroll(layer, x.transpose(0, 1))
        if cut:
            parts = unroll(layer, x[:T].transpose(0, 1))
            rest = unroll(layer, x[T:].transpose(0, 1), initial={"h": parts.final["h"].detach()})
            states = [*parts.states["h", 0, False], *rest.states["h", 0, False]]
        else:
            states = found.states["h", 0, False]
        trail = Trail({"h": states}, {t: head(one).square().sum() for t, one in enumerate(states)})
        trail.losses[T - 1] = trail.losses[T - 1] + states[T - 1].sin().sum()
        check(trace, "rnn.h", trail, "h")
        immediate, own = trace.states[0].immediate.value, gradients(trail.losses[T - 1], states[T - 1 : T])[0]
        np.testing.assert_allclose(immediate[T - 1], float(own.norm()), rtol=1e-11)
        assert trace.recurrences[0].cut.tolist() == [cut and t == T for t in range(2 * T)]
        assert (trace.states[0].carried.value[T - 1] > 0) is not cut


def test_a_layer_that_is_called_one_step_at_a_time() -> None:
    layer, head = nn.LSTM(D, H, 2).double(), nn.Linear(H, 2).double()
    model, x = nn.ModuleDict({"rnn": layer, "head": head}), torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        state, total = None, torch.zeros(()).double()
        for one in x:
            output, state = layer(one[None], state)
            total = total + head(output[0]).square().sum()
        total.backward()
    trace = watch.trace()
    trail = trail_of(layer, x.transpose(0, 1), each_step(head))
    for key in trail.states:
        check(trace, f"rnn.{key}", trail, key)
    whole = torch.autograd.grad(trail.total(), trail.states["h_l1"], retain_graph=True)
    own = [torch.autograd.grad(trail.losses[t], trail.states["h_l1"][t], retain_graph=True)[0] for t in range(T)]
    carried = next(one for one in trace.states if one.name == "rnn.h_l1").carried.value
    np.testing.assert_allclose(carried, [float((a - b).norm()) for a, b in zip(whole, own, strict=True)], atol=1e-14)
    assert certified(trace)


@pytest.mark.parametrize(
    ("kind", "options"), [("LSTM", {}), ("LSTM", {"proj_size": 3}), ("GRU", {"bidirectional": True})]
)
def test_gates_that_are_not_kept_are_computed_again(
    kind: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = getattr(nn, kind)(D, H, 2, **options).double(), torch.randn(T, 3, D).double()
    with rnngraph.torch.watch(layer) as watch:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([T, T - 1, 2]))
        layer(packed)[0].data.square().sum().backward()
    kept = watch.trace()
    monkeypatch.setattr("rnngraph.sources.torch.fused_layers.pinned_block._KEPT_BYTES", 0)
    with rnngraph.torch.watch(layer) as watch:
        layer(packed)[0].data.square().sum().backward()
    again = watch.trace()
    assert certified(again)
    for one, other in zip(kept.lags, again.lags, strict=True):
        np.testing.assert_allclose(other.log, one.log, rtol=1e-12, atol=1e-12)
    for state, known in zip(again.states, kept.states, strict=True):
        np.testing.assert_allclose(state.grad.value, known.grad.value, rtol=1e-12)
    for gate, before in zip(again.gates, kept.gates, strict=True):
        np.testing.assert_allclose(gate.mean, before.mean, rtol=1e-12)
