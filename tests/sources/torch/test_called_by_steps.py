"""Modules that are called step by step, in the ways in which people write them: every number against plain autograd."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError
from tests.sources.torch.truth import Trail, certified, check

torch = pytest.importorskip("torch")
tell = pytest.importorskip("rnngraph.sources.torch.losses.row_norms")
nn = torch.nn
F = torch.nn.functional
N, T, D, H = 3, 6, 4, 5


class Loop(nn.Module):  # type: ignore[misc, name-defined]
    """A cell in a loop, with a head and a loss a step."""

    def __init__(self, cell: Any, head: int = H, penalty: Any = torch.square) -> None:
        super().__init__()
        self.cell, self.penalty = cell, penalty
        self.head = nn.Linear(head, 2)

    def forward(self, x: Any, trail: Trail) -> Any:
        state: Any = None
        for t, one in enumerate(x):
            state = self.cell(one) if state is None else self.cell(one, state)
            parts = state if isinstance(state, tuple) else (state,)
            trail.add(**{f"s{k}": part for k, part in enumerate(parts)})
            trail.losses[t] = self.penalty(self.head(parts[0])).sum()
        return trail.total()


class LayerNormLSTM(nn.Module):  # type: ignore[misc, name-defined]
    """A cell of one's own, with layer norm inside; the state is a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D + H, 4 * H)
        self.norm = nn.LayerNorm(4 * H)

    def forward(self, x: Any, state: Any = None) -> Any:
        h, c = state if state is not None else (x.new_zeros(len(x), H), x.new_zeros(len(x), H))
        i, f, g, o = self.norm(self.linear(torch.cat([x, h], 1))).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class ConvGRU(nn.Module):  # type: ignore[misc, name-defined]
    """States are images."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 + 3, 6, 3, padding=1)
        self.new = nn.Conv2d(2 + 3, 3, 3, padding=1)

    def forward(self, x: Any, h: Any = None) -> Any:
        h = x.new_zeros(len(x), 3, 4, 4) if h is None else h
        r, z = self.gates(torch.cat([x, h], 1)).sigmoid().chunk(2, 1)
        return (1 - z) * h + z * self.new(torch.cat([x, r * h], 1)).tanh()


def watched(model: Any, *inputs: Any, **options: Any) -> tuple[Any, Trail]:
    trail = Trail()
    with rnngraph.torch.watch(model, **options) as watch:
        model(*inputs, trail).backward()
    return watch, trail


@pytest.mark.parametrize(("cell", "states"), [("RNNCell", ["h"]), ("LSTMCell", ["h", "c"]), ("GRUCell", ["h"])])
def test_cells(cell: str, states: list[str]) -> None:
    model = Loop(getattr(nn, cell)(D, H)).double()
    watch, trail = watched(model, torch.randn(T, N, D).double())
    trace = watch.trace()
    assert [one.name for one in trace.states] == [f"cell.{kind}" for kind in states]
    for k, kind in enumerate(states):
        check(trace, f"cell.{kind}", trail, f"s{k}")
    assert certified(trace)


def test_a_cell_of_ones_own() -> None:
    model = Loop(LayerNormLSTM()).double()
    watch, trail = watched(model, torch.randn(T, N, D).double())
    trace = watch.trace()
    check(trace, "cell.h", trail, "s0")
    check(trace, "cell.h2", trail, "s1")
    assert certified(trace)


class Stacked(nn.Module):  # type: ignore[misc, name-defined]
    """A cell of several layers, whose state has their axis first, as PyTorch's layers hand it out."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear((H if k else D) + H, H) for k in range(layers)])

    def forward(self, x: Any, h: Any = None) -> Any:
        found = []
        for k, layer in enumerate(self.layers):
            x = layer(torch.cat([x, x.new_zeros(len(x), H) if h is None else h[k]], 1)).tanh()
            found.append(x)
        return torch.stack(found)


@pytest.mark.parametrize("layers", [1, 3])
def test_a_state_whose_first_axis_is_that_of_layers(layers: int) -> None:
    torch.manual_seed(0)
    model = Loop(Stacked(layers)).double()
    watch, trail = watched(model, torch.randn(T, N + 1, D).double())
    trace = watch.trace(spectrum=2)
    assert trace.recurrences[0].batch == N + 1
    check(trace, "cell.h", trail, "s0", axis=1)
    assert len(trace.input_lags[0].log) == N + 1
    assert trace.spectrum[0].lyapunov.shape == (2,)


def test_a_single_picture_of_neurons_that_leak_is_one_sample() -> None:
    class Leaking(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.current = nn.Conv2d(2, 3, 3, padding=1)

        def forward(self, x: Any, v: Any = None) -> Any:
            return self.current(x) + (0.0 if v is None else 0.9 * v)

    watch, trail = watched(Loop(Leaking(), 4).double(), torch.randn(T, 1, 2, 4, 4).double())
    trace = watch.trace()
    assert trace.recurrences[0].batch == 1
    check(trace, "cell.h", trail, "s0")


def test_states_that_are_images() -> None:
    class Pictures(Loop):
        def forward(self, x: Any, trail: Trail) -> Any:
            h = None
            for t, one in enumerate(x):
                h = self.cell(one, h)
                trail.add(s0=h)
                trail.losses[t] = self.head(h.mean((2, 3))).square().sum()
            return trail.total()

    model = Pictures(ConvGRU(), 3).double()
    watch, trail = watched(model, torch.randn(T, N, 2, 4, 4).double())
    check(watch.trace(), "cell.h", trail, "s0")


def test_state_in_attributes() -> None:
    class Leaky(nn.Module):  # type: ignore[misc, name-defined]
        """A leaky integrator with a soft spike; its state is an attribute and is never returned."""

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(D, H)
            self.mem: Any = None

        def forward(self, x: Any) -> Any:
            self.mem = 0.9 * (0.0 if self.mem is None else self.mem) + self.linear(x)
            return self.mem.sigmoid()

    class Spiking(Loop):
        def forward(self, x: Any, trail: Trail) -> Any:
            for t, one in enumerate(x):
                out = self.cell(one)
                trail.add(s0=self.cell.mem)
                trail.losses[t] = self.head(out).square().sum()
            return trail.total()

    model = Spiking(Leaky()).double()
    watch, trail = watched(model, torch.randn(T, N, D).double())
    trace = watch.trace()
    check(trace, "cell.h", trail, "s0")
    last = trace.lags[0].log[:, -1, 1:]
    np.testing.assert_allclose(np.diff(last, axis=1), -np.log(0.9), rtol=1e-12)  # falls by exactly .9 a step
    assert rnngraph.diagnose(watch).rate == pytest.approx(np.log(0.9), rel=1e-12)  # a watch is traced first


def test_masks_and_dropout_between_the_steps() -> None:
    class Reset(Loop):
        def forward(self, x: Any, trail: Trail, done: Any = None) -> Any:
            h = x.new_zeros(N, H)
            for t, one in enumerate(x):
                h = self.cell(one, F.dropout(h, 0.3, self.training) * (1 - done[t, :, None]))
                trail.add(s0=h)
                trail.losses[t] = self.head(h).square().sum()
            return trail.total()

    model = Reset(nn.GRUCell(D, H)).double()
    done = torch.zeros(T, N).double()
    done[3, 1] = 1
    trail = Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D).double(), trail, done).backward()
    trace = watch.trace()
    check(trace, "cell.h", trail, "s0")
    sample = trace.lags[0].samples.tolist().index(1)
    assert np.isneginf(trace.lags[0].log[sample, -1, 1:4]).all()  # the credit ends at the reset


def test_a_batch_that_shrinks() -> None:
    class Shrinking(Loop):
        def forward(self, x: Any, trail: Trail) -> Any:
            h = x.new_zeros(N, H)
            for t, count in enumerate((3, 3, 2, 2, 1, 1)):
                h = self.cell(x[t, :count], h[:count])
                trail.add(s0=h)
                trail.losses[t] = self.head(h).square().sum()
            return trail.total()

    watch, trail = watched(Shrinking(nn.GRUCell(D, H)).double(), torch.randn(T, N, D).double())
    trace = watch.trace()
    check(trace, "cell.h", trail, "s0")
    assert trace.recurrences[0].valid.sum(axis=1).tolist() == [6, 4, 2]


def test_a_linear_layer_in_a_loop() -> None:
    class Plain(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(D + H, H)
            self.head = nn.Linear(H, 2)

        def forward(self, x: Any, trail: Trail) -> Any:
            h = x.new_zeros(N, H)
            for one in x:
                h = self.linear(torch.cat([one, h], 1)).tanh()
                trail.add(s0=h)
            scores = self.head(torch.stack(trail.states["s0"]))
            trail.losses.update({t: score.square().sum() for t, score in enumerate(scores)})
            return trail.total()

    watch, trail = watched(Plain().double(), torch.randn(T, N, D).double())
    check(watch.trace(), "linear.h", trail, "s0")
    assert "a loop around Linear" in str(watch)


def test_raw_parameters_and_a_mark() -> None:
    class Raw(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(H, H) / 2)
            self.u = nn.Parameter(torch.randn(D, H) / 2)

        def forward(self, x: Any, trail: Trail, mark: Any) -> Any:
            h = x.new_zeros(N, H)
            for t, one in enumerate(x):
                h = (one @ self.u + h @ self.w).tanh()
                mark(h)
                trail.add(s0=h)
                trail.losses[t] = h.square().sum()
            return trail.total()

    model, trail, x = Raw().double(), Trail(), torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x, trail, watch.mark).backward()
    check(watch.trace(), "state.h", trail, "s0")


def test_two_layers_of_cells_with_dropout_between() -> None:
    class Deep(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.head = nn.LSTMCell(D, H), nn.GRUCell(H, H), nn.Linear(H, 2)

        def forward(self, x: Any, trail: Trail) -> Any:
            a, b = None, None
            for t, one in enumerate(x):
                a = self.one(one, a)
                b = self.two(F.dropout(a[0], 0.2), b)
                trail.add(a=a[0], c=a[1], b=b)
                trail.losses[t] = self.head(b).square().sum()
            return trail.total()

    watch, trail = watched(Deep().double(), torch.randn(T, N, D).double())
    trace = watch.trace()
    for name, key in (("one.h", "a"), ("one.c", "c"), ("two.h", "b")):
        check(trace, name, trail, key)
    assert len({one.clock for one in trace.recurrences}) == 1
    # What is carried is what comes through the step after: of the upper layer, the whole less its own loss.
    upper = next(one for one in trace.states if one.name == "two.h")
    own = [torch.autograd.grad(trail.losses[t], trail.states["b"][t], retain_graph=True)[0] for t in range(T)]
    whole = torch.autograd.grad(trail.total(), trail.states["b"], retain_graph=True)
    np.testing.assert_allclose(upper.immediate.value, [float(g.norm()) for g in own], rtol=1e-11)
    np.testing.assert_allclose(
        upper.carried.value, [float((a - b).norm()) for a, b in zip(whole, own, strict=True)], rtol=1e-11, atol=1e-15
    )
    # Of the cell's c in one step: h of the same step is no later step.
    c = next(one for one in trace.states if one.name == "one.c")
    assert c.carried.value[-1] == 0 < c.immediate.value[-1]


def test_called_by_forward_and_by_a_subclass() -> None:
    class Own(nn.GRUCell):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, h: Any = None) -> Any:
            return super().forward(x, h) * 1.0

    class Direct(Loop):
        def forward(self, x: Any, trail: Trail) -> Any:
            h = None
            for t, one in enumerate(x):
                h = self.cell.forward(one, h)
                trail.add(s0=h)
                trail.losses[t] = self.head(h).square().sum()
            return trail.total()

    watch, trail = watched(Direct(Own(D, H)).double(), torch.randn(T, N, D).double())
    check(watch.trace(), "cell.h", trail, "s0")


@pytest.mark.parametrize("gain", [2.0, 4.0, 6.0])
def test_chaos(gain: float) -> None:
    torch.manual_seed(0)
    model = Loop(nn.RNNCell(D, 32), 32).double()
    with torch.no_grad():
        model.cell.weight_hh.normal_(0, gain / 32**0.5)
    watch, trail = watched(model, torch.randn(40, N, D).double())
    trace = watch.trace()
    check(trace, "cell.h", trail, "s0", rtol=1e-9)
    assert certified(trace)


def test_parts_of_every_weight_by_step() -> None:
    model = Loop(nn.GRUCell(D, H)).double()
    x = torch.randn(T, N, D).double()
    watch, _ = watched(model, x)
    trace = watch.trace()
    weights = [model.cell.weight_ih.detach().clone().requires_grad_() for _ in range(T)]
    h = torch.zeros(N, H).double()
    total: Any = 0
    for one, weight in zip(x, weights, strict=True):  # every step with a copy of the weight
        h = torch._VF.gru_cell(one, h, weight, model.cell.weight_hh, model.cell.bias_ih, model.cell.bias_hh)
        total = total + model.head(h).square().sum()
    truth = [float(g.norm()) for g in torch.autograd.grad(total, weights)]
    found = next(one for one in trace.parameters if one.name == "cell.Wx")
    np.testing.assert_allclose(found.steps.value, truth, rtol=1e-11)
    np.testing.assert_allclose(float(found.grad.value), float(model.cell.weight_ih.grad.norm()), rtol=1e-11)


class Twice(nn.Module):  # type: ignore[misc, name-defined]
    """A weight that a step uses twice."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.randn(H, H))

    def forward(self, x: Any, h: Any = None) -> Any:
        return self.step(x, x if h is None else h, self.turn)

    def step(self, x: Any, h: Any, turn: Any) -> Any:
        return ((x + h @ turn).tanh() @ turn).tanh()


def test_what_a_step_adds_to_a_weight_that_it_uses_twice() -> None:
    model, x = Loop(Twice()).double(), torch.randn(T, N, H).double()
    trace = watched(model, x)[0].trace(lags=False)
    weights, h, total = [model.cell.turn.detach().clone().requires_grad_() for _ in range(T)], x[0], 0
    for one, weight in zip(x, weights, strict=True):
        h = model.cell.step(one, h, weight)
        total = total + model.head(h).square().sum()
    truth = [float(g.norm()) for g in torch.autograd.grad(total, weights)]
    found = next(one for one in trace.parameters if one.name == "cell.turn")
    np.testing.assert_allclose(found.steps.value, truth, rtol=1e-11)


class Sparse(nn.Module):  # type: ignore[misc, name-defined]
    """Words are looked up inside the step, and their gradient is sparse; nodes of a graph are joined by one."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.core = nn.Embedding(9, H, sparse=True), nn.Linear(H, H)
        self.edges = torch.eye(N).roll(1, 0).double().to_sparse()

    def forward(self, word: Any, h: Any = None) -> Any:
        x = self.words(word)
        return (x if h is None else x + torch.sparse.mm(self.edges, self.core(h))).tanh()


def test_a_loss_whose_gradient_has_none() -> None:
    """Absolute values have a slope that nothing moves."""
    model = Loop(nn.GRUCell(D, H), penalty=torch.abs).double()
    watch, trail = watched(model, torch.randn(T, N, D).double())
    trace = watch.trace()
    check(trace, "cell.h", trail, "s0")
    assert not trace.lags[0].joint


def test_the_weight_that_multiplies_a_state_is_known_by_the_graph() -> None:
    class Named(nn.Module):  # type: ignore[misc, name-defined]
        """Names say nothing, and mislead."""

        def __init__(self) -> None:
            super().__init__()
            self.weight_hh, self.inner = nn.Parameter(torch.randn(D, H) / 2), nn.Linear(H, H)

        def forward(self, x: Any, h: Any = None) -> Any:
            fed = x @ self.weight_hh
            return (fed if h is None else fed + self.inner(h)).tanh()

    model = Loop(Named()).double()
    watch, _ = watched(model, torch.randn(T, N, D).double())
    found = {one.name: one.spectral_radius for one in watch.trace().parameters}
    radius = float(torch.linalg.eigvals(model.cell.inner.weight.detach()).abs().max())
    np.testing.assert_allclose(found.pop("cell.inner.weight"), radius, rtol=1e-12)
    assert np.isnan(list(found.values())).all()


def test_sparse_gradients_and_sparse_products() -> None:
    model = Loop(Sparse()).double()
    watch, trail = watched(model, torch.randint(0, 9, (T, N)))
    trace = watch.trace()
    check(trace, "cell.h", trail, "s0")
    assert certified(trace)
    found = next(one for one in trace.parameters if one.name == "cell.words.weight")
    np.testing.assert_allclose(
        float(found.grad.value), float(model.cell.words.weight.grad.to_dense().norm()), rtol=1e-11
    )


class Raw(nn.Module):  # type: ignore[misc, name-defined]
    """A loop over raw parameters, or around one Linear."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.W = nn.Parameter(torch.randn(D, 4 * H) / 2)
        self.U: Any = nn.Linear(D + H, 4 * H) if kind == "Linear" else nn.Parameter(torch.randn(H, 4 * H) / 2)
        self.b, self.head = nn.Parameter(torch.randn(4 * H)), nn.Linear(H, 2)

    def forward(self, x: Any, trail: Trail) -> Any:
        h = c = torch.zeros(N, H).to(x)
        for t, one in enumerate(x):
            a = self.U(torch.cat([one, h], 1)) if self.kind == "Linear" else one @ self.W + h @ self.U + self.b
            if self.kind == "plain":
                h = a[:, :H].tanh()
                trail.add(h=h)
            else:
                i, f, g, o = a.chunk(4, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                trail.add(h=h, c=c)
            trail.losses[t] = self.head(h).square().sum()
        return trail.total()


@pytest.mark.parametrize(("kind", "states"), [("plain", ["h"]), ("LSTM", ["h", "c"]), ("Linear", ["h", "c"])])
def test_a_loop_that_no_call_of_a_step_shows(kind: str, states: list[str]) -> None:
    model = Raw(kind).double()
    watch, trail = watched(model, torch.randn(T, N, D).double())
    trace = watch.trace()
    assert [(one.name, one.timesteps) for one in trace.recurrences] == [("U", T)]
    for k, key in enumerate(states):
        check(trace, f"U.h{k + 1 if k else ''}", trail, key)
    assert certified(trace)
    assert trace.input_lags
    assert ("a loop around Linear" if kind == "Linear" else "a loop without modules") in str(watch)


def test_a_weight_that_is_used_again_without_a_chain_is_no_loop() -> None:
    class Shared(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.U = nn.Parameter(torch.randn(D, D))

        def forward(self, x: Any) -> Any:
            return sum((one @ self.U).tanh().sum() for one in x)

    model = Shared().double()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D).double()).backward()
    with pytest.raises(InputError, match="no recurrence was found"):
        watch.trace()


def test_rows_that_are_faint_in_their_own_type_are_seen_beside_wider_ones() -> None:
    """In float32 there is little below 1e-37; a sum of two ways, at the step before, is in float64."""
    track: Any = SimpleNamespace(by_sample=lambda rows, lead, fed: rows)
    rows = [torch.full((1, 2, 3), 1e-34, dtype=kind) for kind in (torch.float64, torch.float32)]
    none = np.zeros(1, np.int64)
    told = list(tell._of_steps(track, 0, "h", [(t, one, none) for t, one in enumerate(rows)], np.arange(2)))
    assert [tell._is_faint(logs, smallest) for *_, logs, smallest in told] == [False, True]


@pytest.mark.parametrize(("cell", "wide"), [("RNNCell", False), ("LSTMCell", False), ("RNNCell", True)])
def test_rows_do_not_underflow(cell: str, wide: bool) -> None:
    torch.manual_seed(0)
    time = 200 if wide else 50
    model = Loop(getattr(nn, cell)(D, H)).to(torch.float64 if wide else torch.float32)
    for name, weight in model.cell.named_parameters():
        if name == "weight_hh":
            weight.data.mul_(0.05)
        elif cell == "LSTMCell":
            weight.data[H : 2 * H] -= 2.0
    x = torch.randn(time, N, D).to(next(model.parameters()))
    watch, _ = watched(model, x)
    trace, small = watch.trace(), np.log(1e-38 if not wide else 1e-300)
    with rnngraph.torch.watch(layer := getattr(nn, cell.removesuffix("Cell"))(D, H).to(x)) as of_layer:
        layer.load_state_dict({f"{name}_l0": value for name, value in model.cell.state_dict().items()})
        sum(model.head(h).square().sum() for h in layer(x)[0]).backward()
    known = of_layer.trace()  # by blocks that cannot underflow
    logs = ([one.log[:, :, -time:] for one in (*some.lags, *some.input_lags)] for some in (trace, known))
    for found, truth in zip(*logs, strict=True):
        deep = np.isfinite(truth) & (truth < 1.08 * small)
        assert deep.any()
        np.testing.assert_allclose(found[np.isfinite(truth)], truth[np.isfinite(truth)], atol=1e-8 if wide else 1e-2)


@pytest.mark.parametrize("fused", [False, True])
def test_steps_before_a_detached_state_keep_their_number(fused: bool) -> None:
    """No loss reaches the first five of twelve steps; a sequence that ran before is another one."""
    cell = torch.nn.GRU(3, 4) if fused else torch.nn.GRUCell(3, 4)

    def step(x: Any, h: Any) -> Any:
        return cell(x[None], h[None])[1][0] if fused else cell(x, h)

    with rnngraph.torch.watch(cell) as watch:
        other = step(torch.ones(2, 3), torch.zeros(2, 4))
        h, loss = torch.zeros(2, 4), torch.zeros(())
        for t in range(12):
            h = step(torch.ones(2, 3), h)
            h = h.detach() if t == 4 else h
            loss = loss + (h.sum() if t >= 8 else 0)
        loss.backward()
    assert other.shape == (2, 4)
    trace = watch.trace()
    assert trace.timesteps == 12
    np.testing.assert_array_equal(np.flatnonzero(trace.recurrences[0].cut), [5])
    np.testing.assert_array_equal(trace.lags[0].losses, [8, 9, 10, 11])
    assert certified(trace)


@pytest.mark.parametrize("kind", ["cell", "fused", "masked_fill", "where", "where not"])
def test_samples_that_start_anew_are_told_by_step(kind: str) -> None:
    """Episodes begin where `1 - done` is zero, for a sample each: nothing is felt before, and nothing is cut."""
    cell = torch.nn.LSTM(3, 4) if kind == "fused" else torch.nn.LSTMCell(3, 4)
    done = torch.zeros(12, 2, 1)
    done[5, 0] = done[7, 1] = done[9] = 1

    def begun(one: Any, now: Any) -> Any:
        if kind == "masked_fill":
            return one.masked_fill(now.bool(), 0.0)
        if kind == "where not":
            return torch.where(now == 0, one, torch.zeros(()))
        return torch.where(now.bool(), torch.zeros(()), one) if kind == "where" else (1 - now) * one

    with rnngraph.torch.watch(cell) as watch:
        states, loss = (torch.zeros(2, 4), torch.zeros(2, 4)), torch.zeros(())
        for now in done:
            h, c = (begun(one, now) for one in states)
            states = cell(torch.ones(2, 3), (h, c)) if kind != "fused" else step_of(cell, h, c)
            loss = loss + states[0].sum()
        loss.backward()
    trace = watch.trace()
    (h, _) = trace.lags
    np.testing.assert_array_equal(h.severed, done[..., 0].bool().T.numpy())
    assert not trace.recurrences[0].cut.any()
    assert not np.isfinite(h.log[0, h.losses == 8, 1:6]).any()
    assert np.isfinite(h.log[0, h.losses == 8, 6:10]).all()
    assert any("starts anew at 4 steps in 2 samples" in note for note in trace.notes)


@pytest.mark.parametrize("kind", ["where", "where not", "weighed", "moved", "dropped", "decayed", "doubled"])
def test_steps_of_padding_that_keep_the_states_are_no_lags(kind: str) -> None:
    """Short samples keep what they have; to drop units of a new state, to decay or to double it is to take a step."""
    torch.manual_seed(0)
    linear, lengths = nn.Linear(D + H, 2 * H), torch.tensor([12, 5, 3])
    x, there = torch.randn(12, N, D), torch.arange(12)[:, None] < lengths

    def keep(new: Any, old: Any, here: Any) -> Any:
        mask = here[:, None].expand(N, H).float()
        if kind == "dropped":
            return mask * new * (torch.rand(N, H) > 0.5) + (1 - mask) * old
        if kind == "weighed":
            return mask * new + (1 - mask) * old
        if kind == "decayed":
            return mask * new + (1 - mask) * 0.5 * old
        if kind == "doubled":
            return mask * new + (1 - mask) * (old + old)
        if kind == "moved":
            return old + mask * (new - old)
        return torch.where(here[:, None], new, old) if kind == "where" else torch.where(~here[:, None], old, new)

    with rnngraph.torch.watch(linear) as watch:
        h = c = torch.zeros(N, H)
        for one, here in zip(x, there, strict=True):
            gate, new = linear(torch.cat([one, h], 1)).chunk(2, 1)
            carried = gate.sigmoid() * c + new.tanh()
            h, c = keep(carried.tanh(), h, here), keep(carried, c, here)
        (h.square().sum() + c.sum()).backward()
    trace, kept = watch.trace(), ~there.T.numpy() & (kind not in ("decayed", "doubled"))
    assert len(trace.lags) == 2
    for lag in trace.lags:
        np.testing.assert_array_equal(lag.copied, kept)
    assert not trace.recurrences[0].cut.any()
    assert trace.recurrences[0].valid.sum() == (~kept).sum()


class Single(nn.Module):  # type: ignore[misc, name-defined]
    """A plain layer that takes one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(D, H)

    def forward(self, x: Any, h: Any) -> Any:
        return self.layer(x[None], h[None])[0][0]


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("make", [lambda: nn.GRUCell(D, H), lambda: nn.LSTMCell(D, H), LayerNormLSTM, Single])
def test_a_step_whose_state_is_dropped_for_the_one_before_is_none(make: Any, *, weighed: bool) -> None:
    """A sample takes a step where it was observed: between, it neither forgets nor starts anew."""
    torch.manual_seed(0)
    cell, trail = make().double(), Trail()
    there = torch.tensor([[1] * 9, [1, 1, 0, 0, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0, 0, 1, 1]]).bool()
    there[:, -1] |= isinstance(cell, Single)  # of calls of a layer what becomes of the last is not looked at
    with rnngraph.torch.watch(cell) as watch:
        states = [torch.zeros(N, H).double()] * (1 if isinstance(cell, nn.GRUCell | Single) else 2)
        for one, here in zip(torch.randn(9, N, D).double(), there.T[..., None], strict=True):
            new = cell(one, tuple(states)) if len(states) > 1 else (cell(one, *states),)
            trail.add(**dict(zip("hc", new, strict=False)))
            pairs = zip(new, states, strict=True)
            states = [here * a + ~here * b if weighed else torch.where(here, a, b) for a, b in pairs]
        trail.losses[8] = states[0].square().sum()
        trail.total().backward()
    trace = watch.trace()
    for lag in trace.lags:
        np.testing.assert_array_equal(lag.copied, ~there.numpy())
        np.testing.assert_array_equal(lag.arrivals.ravel(), [8, 8 if isinstance(cell, Single) else 5, 8])
        assert not lag.severed.any()
    check(trace, trace.states[0].name, trail, "h")
    assert not any("starts anew" in note for note in trace.notes)


def step_of(layer: Any, h: Any, c: Any) -> Any:
    _, (h, c) = layer(torch.ones(1, 2, 3), (h[None], c[None]))
    return h[0], c[0]


def test_a_module_may_list_its_parameters() -> None:
    class Listed(LayerNormLSTM):
        def parameters(self, recurse: bool = True) -> Any:
            return list(super().parameters(recurse))

    model, trail = Loop(Listed()).double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D).double(), trail).backward(retain_graph=True)
    check(watch.trace(), "cell.h", trail, "s0")
