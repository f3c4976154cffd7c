"""What a step is made of is no recurrence of its own: gates, latents that are drawn of a state, features of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.stepwise import D, H, N, Stepwise, T, data
from tests.sources.torch.truth import Trail, certified, check

torch = pytest.importorskip("torch")
nn = torch.nn
Certificate = pytest.importorskip("rnngraph.sources.torch.gradients.certificate").Certificate


class Gate(nn.Module):  # type: ignore[misc, name-defined]
    """One gate, as a module of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(D, H), nn.Parameter(torch.randn(H, H) / 2)

    def forward(self, x: Any, h: Any) -> Any:
        return self.x(x) + h @ self.h


class Mixing(nn.Module):  # type: ignore[misc, name-defined]
    """The neighbours of a unit, weighed alike."""

    def forward(self, h: Any) -> Any:
        return (h + h.roll(1, -1)) / 2


class Own(nn.Module):  # type: ignore[misc, name-defined]
    """A linear map of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(H, H) / 2)

    def forward(self, h: Any) -> Any:
        return h @ self.weight


class Graph(nn.Module):  # type: ignore[misc, name-defined]
    """A gate of modules in a row, as of a convolution over a graph: of each the other one bars the way around."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.mixing, self.own, self.mixed = nn.Linear(D, H), Mixing(), Own(), Own()

    def forward(self, x: Any, h: Any) -> Any:
        return self.x(x) + self.own(h) + self.mixed(self.mixing(h))


class Gated(nn.Module):  # type: ignore[misc, name-defined]
    """A gated average, which is held outside of its gates; the output gate alone sees no way around the others."""

    def __init__(self, gate: Any) -> None:
        super().__init__()
        self.keep, self.reset, self.new, self.show = gate(), gate(), gate(), gate()

    def forward(self, x: Any, state: Any) -> Any:
        h, c = state
        z, r = self.keep(x, h).sigmoid(), self.reset(x, h).sigmoid()
        c = z * c + (1 - z) * self.new(x, r * h).tanh()
        return self.show(x, h).sigmoid() * c, c


def watched(model: Any, *inputs: Any) -> tuple[Any, Trail]:
    trail = Trail()
    with rnngraph.torch.watch(model) as watch:
        model(*inputs, trail)
        trail.total().backward()
    return watch, trail


@pytest.mark.parametrize("gate", [Gate, Graph])
def test_gates_that_are_modules(gate: Any) -> None:
    class Loop(Stepwise):
        def forward(self, x: Any, trail: Trail, h: Any = None) -> Any:
            state = x.new_zeros(N, H), x.new_zeros(N, H)
            for t, one in enumerate(x):
                state = self.cell(one, state)
                trail.add(h=state[0], c=state[1])
                trail.losses[t] = self.head(state[0]).square().sum()
            return state

    watch, trail = watched(Loop(Gated(gate)).double(), data())
    trace = watch.trace()
    assert [one.name for one in trace.recurrences] == ["cell"]
    check(trace, "cell.h", trail, "h")
    check(trace, "cell.h2", trail, "c")
    assert certified(trace)


def test_a_latent_that_is_drawn_of_the_state_and_fed() -> None:
    class Drawing(nn.Module):  # type: ignore[misc, name-defined]
        """What a plain layer makes of the state is fed to a fused layer: the way around leads through that layer."""

        def __init__(self) -> None:
            super().__init__()
            self.into, self.rnn = nn.Linear(D + H, D), nn.GRU(D, H)

        def forward(self, x: Any, trail: Trail) -> None:
            h = x.new_zeros(1, N, H)
            for t, one in enumerate(x):
                z = self.into(torch.cat([one, h[-1]], 1))
                z = z + torch.randn_like(z) * z.exp()
                if t:  # it is read off the step before
                    trail.losses[t - 1] = (z - one).square().sum() + h.square().sum()
                _, h = self.rnn(z[None], h)
                trail.add(h=h)

    torch.manual_seed(0)
    watch, trail = watched(Drawing().double(), data())
    trace = watch.trace()
    assert [one.name for one in trace.recurrences] == ["rnn"]
    trail.states["h"].pop()  # nobody reads the last one
    check(trace, "rnn.h", trail, "h", axis=1)


def test_weights_that_evolve() -> None:
    class Evolving(nn.Module):  # type: ignore[misc, name-defined]
        """The state begins as a parameter, and nothing but weights enters; what is fed is read with it."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.cell = nn.Parameter(torch.randn(D, H)), Turn()

        def forward(self, x: Any, trail: Trail) -> None:
            w = self.first
            for t, one in enumerate(x):
                w = self.cell(w)
                trail.add(w=w)
                trail.losses[t] = (one @ w).square().sum()

    class Turn(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.turn = nn.Parameter(torch.randn(D, D) / 2)

        def forward(self, w: Any) -> Any:
            return w + (self.turn @ w).tanh()

    torch.manual_seed(0)
    watch, trail = watched(Evolving().double(), data())
    trace = watch.trace()
    assert [(one.path, one.title) for one in watch.find().recurrences] == [("cell", "Turn")]
    check(trace, "cell.h", trail, "w")
    assert certified(trace)


def test_the_rows_of_weights_that_an_inner_loop_learns_are_no_samples() -> None:
    class Learning(nn.Module):  # type: ignore[misc, name-defined]
        """Steps of gradient descent from a learned beginning (Finn, Abbeel and Levine, 2017), and a loss behind."""

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(D, H), nn.Tanh(), nn.Linear(H, 2))

        def forward(self, x: Any, trail: Trail) -> None:
            weights = dict(self.net.named_parameters())
            for one in x:
                loss = torch.func.functional_call(self.net, weights, (one,)).square().mean()
                slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
                weights = {name: w - 0.3 * slope for (name, w), slope in zip(weights.items(), slopes, strict=True)}
                trail.add(**{name.replace(".", "_"): w for name, w in weights.items()})
            trail.add(**{key: torch.zeros(1).requires_grad_() for key in trail.states})  # the last call makes none
            trail.losses[T] = torch.func.functional_call(self.net, weights, (x[0],)).square().mean()

    torch.manual_seed(0)
    watch, trail = watched(Learning().double(), data())
    trace = watch.trace()
    assert trace.recurrences[0].valid.shape == (1, T + 1)
    for name, key in {"h": "2_bias", "h2": "2_weight", "h3": "0_bias", "h4": "0_weight"}.items():
        check(trace, f"net.2.{name}", trail, key)
    assert "one sample" in str(rnngraph.diagnose(trace))


def test_samples_that_meet_in_statistics_alone_remain_samples() -> None:
    class Normed(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm = nn.Linear(D + H, H), nn.BatchNorm1d(H)

        def forward(self, x: Any, h: Any) -> Any:
            return self.norm(self.linear(torch.cat([x, h], 1))).tanh()

    watch, trail = watched(Stepwise(Normed()).double(), data())
    trace = watch.trace()
    assert trace.recurrences[0].valid.shape == (N, T)
    check(trace, "cell.h", trail, "h")


def test_samples_beside_one_that_broke_remain_samples() -> None:
    x = data()
    x[1, 1] = torch.nan
    trace = watched(Stepwise(nn.RNNCell(D, H)).double(), x)[0].trace()
    assert trace.recurrences[0].valid.shape == (N, T)


def test_features_that_a_loop_reads_off_its_state() -> None:
    class Growing(nn.Module):  # type: ignore[misc, name-defined]
        """An image that is changed by what a layer makes of the image and its edges, channels last; one loss."""

        def __init__(self) -> None:
            super().__init__()
            self.change = nn.Linear(2 * D, D)

        def forward(self, x: Any, trail: Trail) -> None:
            for _ in range(T):
                x = x.transpose(1, 3)
                seen = torch.cat([x, x - x.roll(1, 2)], 1)
                x = x + self.change(seen.transpose(1, 3)).transpose(1, 3).tanh()
                trail.add(x=x)
                x = x.transpose(1, 3)
            trail.losses[T - 1] = x.square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Growing().double(), torch.randn(N, 4, 4, D).double())
    trace = watch.trace()
    assert [one.name for one in trace.states] == ["change.h"]
    check(trace, "change.h", trail, "x")


def test_a_state_that_the_next_step_fades_is_what_its_own_step_made() -> None:
    class Fading(nn.Module):  # type: ignore[misc, name-defined]
        """A gated average whose state fades by the time that has passed, before a step reads it; the last is read."""

        def __init__(self) -> None:
            super().__init__()
            self.gate, self.new, self.fade = nn.Linear(2 * H, H), nn.Linear(2 * H, H), nn.Linear(H, H)

        def forward(self, x: Any, trail: Trail) -> None:
            h, outputs = x.new_zeros(N, H), x.new_zeros(0, N, H)
            for one in x:
                h = h * (-self.fade(one).relu()).exp()
                joined = torch.cat([one, h], 1)
                z = self.gate(joined).sigmoid()
                h = (1 - z) * h + z * self.new(joined).tanh()
                trail.add(h=h)
                outputs = torch.cat([outputs, h[None]])
            trail.losses[T - 1] = outputs[-1].square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Fading().double(), torch.randn(T, N, H).double())
    trace = watch.trace()
    assert trace.lags[0].losses.tolist() == [T - 1]
    check(trace, "gate.h", trail, "h")


def test_a_step_begins_with_the_first_module_that_it_calls() -> None:
    class Memory(nn.Module):  # type: ignore[misc, name-defined]
        """Two states, of which a layer takes the one to renew the other (Rusch et al., 2022)."""

        def __init__(self) -> None:
            super().__init__()
            self.read, self.keep, self.show = nn.Linear(D, H), nn.Parameter(torch.rand(H)), nn.Linear(H, H)

        def forward(self, x: Any, trail: Trail) -> None:
            h = z = x.new_zeros(N, H)
            for t, one in enumerate(x):
                z = z + 0.3 * ((self.keep * h + self.read(one)).tanh() - z)
                h = h + 0.3 * (self.show(z).tanh() - h)
                trail.add(h=h, z=z)
                trail.losses[t] = h.square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Memory().double(), data())
    trace = watch.trace()
    check(trace, "show.h", trail, "h")
    check(trace, "show.h2", trail, "z")
    assert rnngraph.diagnose(trace).at_input


def test_a_state_keeps_its_place_where_another_is_handed_on_from_some_step_on() -> None:
    class Rollout(nn.Module):  # type: ignore[misc, name-defined]
        """Reads data at first, and then what it foretold; neighbours are read off the hidden state."""

        def __init__(self) -> None:
            super().__init__()
            self.mix, self.x, self.head = nn.Linear(2 * H, H), nn.Linear(D, H), nn.Linear(H, D)

        def forward(self, x: Any, trail: Trail) -> None:
            h, y = x.new_zeros(N, H), x[0]
            for t, one in enumerate(x):
                read = one if t < T // 2 else y
                mixed = self.mix(torch.cat([h.roll(1, 1), h.roll(-1, 1)], 1))
                h = (mixed + self.x(read)).tanh() / 2 + h / 2
                y = read + self.head(h)
                trail.add(h=h, y=y)
                trail.losses[t] = y.square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Rollout().double(), torch.randn(T, N, D).double())
    trace = watch.trace()
    assert [one.name for one in trace.states] == ["mix.h", "mix.h2"]
    check(trace, "mix.h", trail, "y")
    check(trace, "mix.h2", trail, "h")


def test_steps_that_have_a_layer_of_their_own_beside_those_that_all_share() -> None:
    class Memory(nn.Module):  # type: ignore[misc, name-defined]
        """Asks what it has written so far, every step a question of its own, and writes the answer into it."""

        def __init__(self) -> None:
            super().__init__()
            self.asks = nn.ModuleList(nn.Linear(D, H) for _ in range(T))
            self.read, self.write = Gate(), Gate()

        def forward(self, x: Any, trail: Trail) -> None:
            memory = x.new_zeros(N, H)
            for ask in self.asks:
                answer = self.read(x, memory * ask(x)).tanh()
                memory = self.write(answer[:, :D], memory)
                trail.add(memory=memory)
            trail.losses[T - 1] = memory.square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Memory().double(), torch.randn(N, D).double())
    trace = watch.trace()
    assert [one.name for one in trace.recurrences] == ["write"]
    check(trace, "write.h", trail, "memory")


def test_a_cell_of_ones_own_that_is_derived_from_the_base_of_those_of_pytorch() -> None:
    class Fading(nn.RNNCellBase):  # type: ignore[misc, name-defined]
        """Its state fades before it is read; one chunk of weights more than a tanh cell has."""

        def forward(self, x: Any, h: Any) -> Any:
            gates = x @ self.weight_ih.T + (0.9 * h) @ self.weight_hh.T
            keep, new = gates.chunk(2, 1)
            return keep.sigmoid() * h + new.tanh()

    class Loop(Stepwise):
        def forward(self, x: Any, trail: Trail, h: Any = None) -> None:
            h = x.new_zeros(N, H)
            for t, one in enumerate(x):
                h = self.cell(one, h)
                trail.add(h=h)
                trail.losses[t] = self.head(h).square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Loop(Fading(D, H, bias=False, num_chunks=2)).double(), data())
    check(watch.trace(), "cell.h", trail, "h")


def test_an_activation_that_several_layers_share_needs_no_word_beside_a_recurrence() -> None:
    class Deep(nn.Module):  # type: ignore[misc, name-defined]
        """A few layers with one activation module, below a cell."""

        def __init__(self) -> None:
            super().__init__()
            self.layers, self.cell = nn.ModuleList(nn.Linear(H, H) for _ in range(4)), nn.GRUCell(H, H)
            self.shared = nn.ReLU()

        def forward(self, x: Any, trail: Trail) -> None:
            for layer in self.layers:
                x = self.shared(layer(x))
            h = x.new_zeros(N, H)
            for t, one in enumerate(x):
                h = self.cell(one, h)
                trail.losses[t] = h.square().sum()

    watch, _ = watched(Deep(), torch.randn(T, N, H))
    assert [line.split()[0] for line in str(watch).splitlines()] == ["path", "cell"]


class Spike(nn.Module):  # type: ignore[misc, name-defined]
    """A soft step, in place of a surrogate gradient."""

    def forward(self, x: Any) -> Any:
        return (4 * x).sigmoid()


class Neuron(nn.Module):  # type: ignore[misc, name-defined]
    """Leaks, spikes and is reset, of one step (N, H) or of all (T, N, H); its charge is an attribute; no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.spike, self.charge = Spike(), 0.0

    def forward(self, x: Any) -> Any:
        return self.step(x) if x.dim() == 2 else torch.stack([self.step(one) for one in x])

    def step(self, x: Any) -> Any:
        self.charged = self.charge + (x - self.charge) / 2
        spike = self.spike(self.charged - 1)
        self.charge = self.charged * (1 - spike)
        return spike


@pytest.mark.parametrize("key", ["charge", "charged"])
def test_what_makes_the_spikes_of_a_neuron_is_a_part_of_it(key: str) -> None:
    torch.manual_seed(0)
    model, trail = nn.Sequential(nn.Linear(D, H), Neuron()).double(), Trail()
    x = torch.randn(T, N, D).double() + 1
    neuron, step = model[1], model[1].step

    def noted(x: Any) -> Any:
        spike = step(x)
        trail.add(charge=neuron.charge, charged=neuron.charged)
        return spike

    neuron.step = noted
    with rnngraph.torch.watch(model) as watch:
        spikes = torch.stack([model(one) for one in x]) if key == "charge" else model(x)
        trail.losses[T - 1] = spikes.mean(0).square().sum()
        trail.total().backward()
    trace = watch.trace()
    assert [one.name for one in trace.states] == ["1.h"]
    check(trace, "1.h", trail, key)


def test_blocks_on_one_another() -> None:
    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(D, D), nn.Linear(D, D)

        def forward(self, x: Any) -> Any:
            return (self.b(self.a(x).tanh()) + x).tanh()

    class Thinking(nn.Module):  # type: ignore[misc, name-defined]
        """Two blocks that are walked through again and again: neither is a recurrence without the other."""

        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(Block(), Block())

        def forward(self, x: Any, trail: Trail) -> None:
            for t in range(T):
                x = self.blocks(x)
                trail.add(x=x)
                trail.losses[t] = x.square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Thinking().double(), torch.randn(N, D).double())
    trace = watch.trace()
    assert [one.name for one in trace.recurrences] == ["blocks"]
    check(trace, "blocks.h", trail, "x")


def test_two_layers_that_one_loop_writes_out_have_a_state_each() -> None:
    class Layers(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lower, self.upper = nn.Linear(D + H, H), nn.Linear(2 * H, H)

        def forward(self, x: Any, trail: Trail) -> None:
            low = up = x.new_zeros(N, H)
            for t, one in enumerate(x):
                low = self.lower(torch.cat([one, low], 1)).tanh()
                up = self.upper(torch.cat([low, up], 1)).tanh()
                trail.add(low=low, up=up)
                trail.losses[t] = up.square().sum()

    torch.manual_seed(0)
    watch, trail = watched(Layers().double(), data())
    trace = watch.trace()
    assert [(one.name, one.clock) for one in trace.recurrences] == [("lower", 0), ("upper", 0)]
    assert [one.name for one in trace.states] == ["lower.h", "upper.h"]
    check(trace, "lower.h", trail, "low")
    check(trace, "upper.h", trail, "up")
    assert rnngraph.diagnose(trace).at_input


def test_a_large_loop_beside_the_small_cell_that_scales_it() -> None:
    class Hyper(nn.Module):  # type: ignore[misc, name-defined]
        """A hypernetwork (Ha, Dai and Le, 2017): a small cell makes the scales of a large one, and reads its state."""

        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = nn.GRUCell(D + H, 2), nn.Linear(D + H, H)
            self.scale, self.head = nn.Linear(2, H), nn.Linear(H, 2)

        def forward(self, x: Any) -> Trail:
            trail, h, small = Trail(), x.new_zeros(N, H), x.new_zeros(N, 2)
            for t, one in enumerate(x):
                both = torch.cat([one, h], 1)
                small = self.small(both, small)
                h = (self.large(both) * (1 + self.scale(small))).tanh()
                trail.add(h=h, small=small)
                trail.losses[t] = self.head(h).square().sum()
            return trail

    torch.manual_seed(0)
    model = Hyper().double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(data())
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert [one.name for one in trace.states] == ["small.h", "large.h"]
    check(trace, "large.h", trail, "h")
    check(trace, "small.h", trail, "small")
    assert certified(trace)


def test_a_stateless_part_needs_no_word_of_its_own() -> None:
    """What the module around it tells is told once."""
    model = Stepwise(Gated(Gate)).double()
    model.step = lambda x, h: model.cell(x, (torch.zeros_like(h), torch.zeros_like(h)))[1]
    trail = Trail()
    with rnngraph.torch.watch(model) as watch:
        model(data(), trail)
        trail.total().backward()
    assert list(watch.find().reasons) == ["cell"]


def test_rounding_beside_the_largest_step() -> None:
    """A step of 1e-9 is as precise as what is rounded beside 1, and no more; a part that is wrong is told."""
    total = torch.stack([torch.full((N, H), size).double() for size in (1.0, 1e-9)])
    second = torch.tensor([0.0, 1.0]).double()[:, None, None]
    for wrong, fails in ((3e-16, False), (1e-11, True)):
        certificate = Certificate()
        certificate.sums([(0, total)], [(0, total + wrong * second)], [(0, 0 * total)])
        failed, agree = certificate.sentences()
        assert (bool(failed), bool(agree)) == (fails, not fails), wrong
    assert np.isfinite([difference for difference, _ in certificate.worst.values()]).all()


@pytest.mark.parametrize(("found", "fails"), [(0.0, True), (1.0, False)])
def test_losses_that_give_nothing_where_the_whole_gives_something_are_uncertain(found: float, fails: bool) -> None:
    certificate, one = Certificate(), np.ones((1, 1))
    with np.errstate(divide="ignore"):
        certificate.rows(np.log(found * one), one, one, "float64")
    assert bool(certificate.sentences()[0]) == fails
