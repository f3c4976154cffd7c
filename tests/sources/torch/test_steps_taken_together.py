"""Loops over one sequence, one behind the other: steps taken together, from the other end, or at wider strides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.truth import Trail, certified, check, gradients

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 7, 4, 5


class Loops(nn.Module):  # type: ignore[misc, name-defined]
    """Two runs over x: of one cell or two, in two loops or one, from one end or both; a loss at every step."""

    def __init__(self, *, cells: int, ends: int, loops: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cells = nn.ModuleList(nn.GRUCell(D, H) for _ in range(cells))
        self.head, self.ends, self.loops = nn.Linear(2 * H, 2), ends, loops

    def forward(self, x: Any) -> Trail:
        states = [x.new_zeros(N, H)] * 2
        trail = Trail({"0": [None] * T, "1": [None] * T})
        runs = [(k, step) for k in range(2) for step in range(T)]
        for k, step in runs if self.loops == 2 else sorted(runs, key=lambda run: run[1]):
            t = step if k < self.ends - 1 or self.ends == 1 or not k else T - 1 - step
            states[k] = self.cells[k % len(self.cells)](x[:, t], states[k])
            trail.states[str(k)][t] = states[k]
        for t, both in enumerate(zip(*trail.states.values(), strict=True)):
            trail.losses[t] = self.head(torch.cat(both, 1)).square().sum()
        return trail


@pytest.mark.parametrize("loops", [1, 2])
@pytest.mark.parametrize(("cells", "ends"), [(1, 2), (2, 2), (2, 1)])
def test_two_runs_over_one_sequence_take_their_steps_together(cells: int, ends: int, loops: int) -> None:
    model, x = Loops(cells=cells, ends=ends, loops=loops).double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(x)
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert [(one.timesteps, one.clock) for one in trace.recurrences] == [(T, 0), (T, 0)]
    assert [one.direction for one in trace.recurrences] == ["forward", "reverse" if ends == 2 else "forward"]
    assert trace.lags[0].losses.tolist() == list(range(T))
    (fed,) = trace.input_lags
    assert fed.recurrences == tuple(one.name for one in trace.recurrences)
    x.requires_grad_()
    for t, loss in Loops(cells=cells, ends=ends, loops=loops).double()(x).losses.items():
        (known,) = gradients(loss, [x])
        np.testing.assert_allclose(np.exp(fed.log[:, t]), known.norm(dim=2), rtol=1e-9)
    for k, state in enumerate(trace.states):
        check(trace, state.name, trail, str(k))
        assert not state.cut.any()
        alone = [float(gradients(trail.losses[t], [one])[0].norm()) for t, one in enumerate(trail.states[str(k)])]
        np.testing.assert_allclose(state.immediate.value, alone, rtol=1e-9)  # a loss reads the state of its own step
        own, (value, gradient) = trail.states[str(k)][2], watch.state(state.name, 2)
        assert torch.equal(value, own)
        torch.testing.assert_close(gradient, gradients(trail.total(), [own])[0])
    assert certified(trace)
    assert not {"truncated", "too_short"} & set(rnngraph.diagnose(trace).flags)


def test_the_weights_of_the_other_direction_get_theirs_at_their_own_steps() -> None:
    model, x = Loops(cells=2, ends=2, loops=2).double(), 1e-6 * torch.randn(N, T, D).double()
    x[:, 1] = 1.0  # the only step at which what is read has a size, and so the weights' part
    with rnngraph.torch.watch(model) as watch:
        model(x).total().backward()
    parts = {one.name: one.steps.value for one in watch.trace().parameters}
    assert [int(parts[f"cells.{k}.Wx"].argmax()) for k in (0, 1)] == [1, 1]


def test_a_layer_that_reads_the_one_below_from_the_end_runs_the_other_way() -> None:
    class Alternating(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.low, self.high, self.head = nn.GRUCell(D, H), nn.LSTMCell(H, H), nn.Linear(H, 2)

        def forward(self, x: Any) -> Trail:
            h, trail = x.new_zeros(N, H), Trail()
            for one in x.unbind(1):
                h = self.low(one, h)
                trail.add(low=h)
            state, high = None, [h] * T
            for t in reversed(range(T)):
                state = self.high(trail.states["low"][t], state)
                high[t] = state[0]
                trail.losses[t] = self.head(high[t]).square().sum()
            trail.states["high"] = high
            return trail

    model, x = Alternating().double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(x)
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert [(one.direction, one.clock) for one in trace.recurrences] == [("forward", 0), ("reverse", 0)]
    check(trace, "low.h", trail, "low", causal=False)
    check(trace, "high.h", trail, "high")
    assert certified(trace)


def test_a_decoder_fed_with_what_its_encoder_read_has_steps_of_its_own() -> None:
    class Again(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.one, self.two, self.head = nn.GRUCell(D, H), nn.GRUCell(D, H), nn.Linear(H, D)

        def forward(self, x: Any) -> Trail:
            h, trail = x.new_zeros(N, H), Trail()
            for cell, name in ((self.one, "one"), (self.two, "two")):
                for t in range(T):
                    h = cell(x[:, t], h)
                    trail.add(**{name: h})
                    trail.losses[t] = (self.head(h) - x[:, t]).square().sum()
            return trail

    model, x = Again().double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(x)
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert [one.clock for one in trace.recurrences] == [0, 1]
    for name in ("one", "two"):
        check(trace, f"{name}.h", trail, name)


@pytest.mark.parametrize("cell", [nn.GRUCell, nn.LSTMCell])
def test_a_dilated_cell_goes_back_in_its_own_strides(cell: Any) -> None:
    class Dilated(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.cell, self.head = cell(D, H), nn.Linear(H, 2)

        def forward(self, x: Any) -> Trail:
            trail, states = Trail(), [None] * 3
            for t, one in enumerate(x.unbind(1)):
                state: Any = self.cell(one, states[-3])
                h = state if isinstance(state, torch.Tensor) else state[0]
                states.append(state)
                trail.add(h=h)
                trail.losses[t] = self.head(h).square().sum()
            return trail

    model, x = Dilated().double(), torch.randn(N, 11, D).double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(x)
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    check(trace, "cell.h", trail, "h")
    assert certified(trace)
    found = rnngraph.diagnose(trace)
    assert found.horizon == 9  # three strides of 3; no way leads over 10 steps
    assert not {"truncated", "vanishing", "gate_timescale"} & {one.rule for one in found.findings}


class Crossing(nn.Linear):  # type: ignore[misc, name-defined]
    """A step of a two-dimensional LSTM (Graves, Fernandez and Schmidhuber, 2007), as a module of its own."""

    def __init__(self) -> None:
        super().__init__(D + 2 * H, 5 * H)

    def forward(self, x: Any, up: Any, left: Any) -> Any:
        return after(super().forward(torch.cat([x, up[0], left[0]], 1)), up, left)


def after(gates: Any, up: Any, left: Any) -> Any:
    i, f, e, o, g = gates.chunk(5, 1)
    c = f.sigmoid() * up[1] + e.sigmoid() * left[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


@pytest.mark.parametrize("plain", [False, True])
def test_a_grid_that_is_walked_row_by_row_is_not_cut_at_its_edge(plain: bool) -> None:
    class Grid(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.cell = nn.Linear(D + 2 * H, 5 * H) if plain else Crossing()

        def forward(self, x: Any) -> Trail:
            trail, states, start = Trail(), dict[tuple[int, int], Any](), (x.new_zeros(N, H),) * 2
            for at in np.ndindex(3, 4):
                up, left = (states.get(one, start) for one in ((at[0] - 1, at[1]), (at[0], at[1] - 1)))
                given = x[(slice(None), *at)]
                if plain:
                    state = after(self.cell(torch.cat([given, up[0], left[0]], 1)), up, left)
                else:
                    state = self.cell(given, up, left)
                states[at] = state
                trail.add(h=state[0], c=state[1])
            trail.losses[11] = trail.states["h"][-1].square().sum()
            return trail

    model = Grid().double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(torch.randn(N, 3, 4, D).double())
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert [one.timesteps for one in trace.recurrences] == [12]
    check(trace, "cell.h", trail, "h")
    check(trace, "cell.h2", trail, "c")
    assert "truncated" not in {one.rule for one in rnngraph.diagnose(trace).findings}


def test_two_sequences_in_turn_are_not_one_dilated() -> None:
    class Siamese(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.cell = nn.GRUCell(D, H)

        def forward(self, a: Any, b: Any) -> Any:
            one, other = a.new_zeros(N, H), a.new_zeros(N, H)
            for t in range(T):
                one, other = self.cell(a[:, t], one), self.cell(b[:, t], other)
            return (one - other).square().sum()

    model = Siamese().double()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(N, T, D).double(), torch.randn(N, T, D).double()).backward()
    assert [(one.path, one.steps, one.stride) for one in watch.find().recurrences] == [("cell", T, 1), ("cell#2", T, 1)]
    assert "truncated" not in rnngraph.diagnose(watch.trace()).flags


class Sums(nn.Module):  # type: ignore[misc, name-defined]
    """A learned optimizer of six weights: its LSTM reads gradients without a past, credit goes through weights."""

    def __init__(self, keep: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.out, self.keep = nn.LSTMCell(1, H), nn.Linear(H, 1), keep

    def forward(self, matrix: Any, wanted: Any) -> Trail:
        trail, weights, state = Trail(), torch.zeros_like(wanted), None
        for t in range(T):
            seen = weights.detach().requires_grad_()
            slope = torch.autograd.grad((matrix @ seen - wanted).square().sum(), seen)[0]
            state = self.cell(slope[:, None], state)
            weights = self.keep * weights + self.out(state[0])[:, 0]
            trail.add(h=state[0], c=state[1])
            trail.losses[t] = (matrix @ weights - wanted).square().sum()
        return trail


@pytest.mark.parametrize("keep", [1.0, 0.7])
def test_a_loss_enters_the_sum_of_its_step_as_in_a_learned_optimizer(keep: float) -> None:
    model, matrix = Sums(keep).double(), torch.eye(6).double() + 0.4
    with rnngraph.torch.watch(model) as watch:
        trail = model(matrix, torch.arange(6.0).double())
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert trace.lags[0].losses.tolist() == list(range(T))
    check(trace, "cell.h", trail, "h")
    check(trace, "cell.c", trail, "c")
    assert certified(trace)
    last = [float(one.norm()) for one in gradients(trail.losses[T - 1], trail.states["h"])]
    assert rnngraph.diagnose(trace).healthy == (last[0] > 0.01 * last[-2])


class Pointer(nn.Module):  # type: ignore[misc, name-defined]
    """Every step of a decoder points at a position of what an encoder has read."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.cell = nn.GRU(D, H, batch_first=True), nn.GRUCell(D, H)

    def forward(self, x: Any) -> Trail:
        memory, last = self.encoder(x)
        h, trail = last[0], Trail()
        for t in range(T):
            h = self.cell(x[:, t - 1], h)
            scores = (memory @ h[:, :, None])[:, :, 0]
            trail.add(h=h)
            trail.losses[t] = nn.functional.cross_entropy(scores, torch.full((N,), (2 * t) % T), reduction="sum")
        return trail


class Wide(nn.Module):  # type: ignore[misc, name-defined]
    """A loop around a linear layer that reads the state of two steps before."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.read, self.cell, self.head = nn.Linear(D, H), nn.Linear(H, H), nn.Linear(H, 2)

    def forward(self, x: Any) -> Trail:
        trail, states = Trail(), [x.new_zeros(N, H)] * 2
        for t in range(T):
            states.append((self.read(x[:, t]) + self.cell(states[-2])).tanh())
            trail.add(h=states[-1])
            trail.losses[t] = self.head(states[-1]).square().sum()
        return trail


class Filter(Wide):
    """Every step weighs its units beside what they weighed before, as particles; no step of the loop reads that."""

    def forward(self, x: Any) -> Trail:
        trail, h, weighed = Trail(), x.new_zeros(N, H), x.new_zeros(N, H)
        for t in range(T):
            h = (self.read(x[:, t]) + self.cell(h)).tanh()
            weighed = weighed - 9 * (h - x[:, t, :1]).square()
            whole = weighed.logsumexp(1, keepdim=True)
            weighed = weighed - whole
            trail.add(h=h)
            trail.losses[t] = -whole.sum()
        return trail


class Tally(Wide):
    """What samples lose is summed up sample by sample, beside a penalty a step; nothing reads it before the end."""

    def forward(self, x: Any) -> Trail:
        trail, h = Trail(), x.new_zeros(N, H)
        self.lost, self.beside = x.new_zeros(N), x.new_zeros(())
        for t in range(T):
            h = (self.read(x[:, t]) + self.cell(h)).tanh()
            own = self.head(h).square().sum(1)
            self.lost = self.lost + own
            self.beside = self.beside + h.sum()
            trail.add(h=h)
            trail.losses[t] = own.sum() + h.sum()
        return trail


class Canvas(nn.Module):  # type: ignore[misc, name-defined]
    """One cell reads what has been drawn so far and another adds to it; the end is judged, beside a loss a step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.pen = nn.GRUCell(D, H), nn.GRUCell(H, H)
        self.draw, self.head = nn.Linear(H, D), nn.Linear(H, 2)

    def forward(self, x: Any) -> Trail:
        trail, h, pen, drawn = Trail(), x.new_zeros(N, H), x.new_zeros(N, H), x.new_zeros(N, D)
        for t in range(T):
            h = self.cell(x[:, 0] - drawn.sigmoid(), h)
            pen = self.pen(h, pen)
            drawn = drawn + self.draw(pen)
            trail.add(h=h, pen=pen)
            trail.losses[t] = 9 * self.head(h).square().sum()
        trail.losses[T - 1] = trail.losses[T - 1] + (drawn.sigmoid() - x[:, 0]).square().sum()
        return trail


@pytest.mark.parametrize("kind", [Pointer, Wide, Filter, Tally, Canvas])
def test_losses_are_those_of_the_steps(kind: Any) -> None:
    model, x = kind().double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(x)
        whole = model.lost.sum() + model.beside if kind is Tally else trail.total()
        whole.backward(retain_graph=True)
    trace = watch.trace()
    assert trace.lags[0].losses.tolist() == list(range(T))
    for key in trail.states:
        check(trace, "cell.h" if key == "h" else f"{key}.h", trail, key)
    assert certified(trace)


class Texts(nn.Module):  # type: ignore[misc, name-defined]
    """Words that are looked up in each of two loops, of which the second runs back; or loops of linear layers."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.plain = nn.Embedding(9, D), plain
        self.one, self.two = (nn.Linear(D + H, H) if plain else nn.GRUCell(D, H) for _ in range(2))

    def step(self, cell: Any, word: Any, h: Any) -> Any:
        return cell(torch.cat([word, h], 1)).tanh() if self.plain else cell(word, h)

    def forward(self, text: Any) -> Any:
        a = b = torch.zeros(N, H).double()
        for t in range(T):
            a = self.step(self.one, self.words(text[:, t]), a)
        for t in reversed(range(T)):
            b = self.step(self.two, self.words(text[:, t]), b)
        return (a * b).sum()


@pytest.mark.parametrize("plain", [True, False])
def test_both_loops_are_found_and_words_tell_from_which_end_they_read(plain: bool) -> None:
    model, text = Texts(plain).double(), torch.arange(N * T).view(N, T) * 5 % 9
    with rnngraph.torch.watch(model) as watch:
        model(text).backward()
    found = [(one.path, one.steps, one.stride) for one in watch.find().recurrences]
    assert found == [("one", T, 1), ("two", T, 1)]
    watch.trace()
    assert plain or watch.find().recurrences[1].stride == -1


class Half(nn.Module):  # type: ignore[misc, name-defined]
    """One of two modules that a step passes through, each with gates of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.new = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: Any) -> Any:
        gate = self.gate(x).sigmoid()
        return gate * x + (1 - gate) * self.new(x).tanh()


def test_two_that_take_turns_on_one_state_are_a_step() -> None:
    """As in a neural GPU: the state is what the last of them makes."""
    torch.manual_seed(0)
    one, two, trail, x = Half(), Half(), Trail(), torch.randn(3, 5).double()
    model = nn.ModuleList([one, two]).double()
    with rnngraph.torch.watch(model) as watch:
        for _ in range(6):
            x = two(one(x))
            trail.add(h=x)
        trail.losses[5] = x.square().sum()
        trail.total().backward()
    trace = watch.trace()
    assert [state.name for state in trace.states] == ["1.h"]
    assert certified(trace)
    check(trace, "1.h", trail, "h")
