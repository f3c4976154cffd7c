"""The gradient of every loss at what a network is fed: against leaves in plain autograd, and against the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph import nn as ours
from rnngraph.trace.model import Trace
from tests.sources.torch.truth import Trail, certified, gradients
from tests.sources.torch.unrolled import unroll

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 6, 4, 5


def check_input(trace: Trace, losses: dict[int, Any], xs: list[Any], name: str, *, clock: int | None = None) -> None:
    """Compare the lags of an input with the gradients at leaves, one a step, (N, ...)."""
    found = next(one for one in trace.input_lags if one.name == name)
    lag = next(
        lag for lag in trace.lags
        if next(one for one in trace.states if one.name == lag.state).recurrence == found.recurrences[0]
    )  # fmt: skip
    compared = 0
    for place, (s, own) in enumerate(zip(lag.losses.tolist(), lag.clocks.tolist(), strict=True)):
        if clock is not None and own != clock:
            continue
        known = np.stack([g.reshape(len(g), -1).norm(dim=1).numpy() for g in gradients(losses[s], xs)], axis=1)
        np.testing.assert_allclose(
            np.exp(found.log[:, place]), known[lag.samples], rtol=1e-11, atol=1e-13 * known.max(), err_msg=f"loss {s}"
        )
        assert known.max() > 0
        compared += 1
    assert compared > 1


class Layer(nn.Module):  # type: ignore[misc, name-defined]
    """A fused layer and a head."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.rnn = layer
        self.head = nn.Linear((layer.proj_size or layer.hidden_size) * (1 + layer.bidirectional), 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0])


@pytest.mark.parametrize(
    ("kind", "options", "readers"),
    [
        ("RNN", {}, ("rnn",)),
        ("RNN", {"nonlinearity": "relu", "bidirectional": True}, ("rnn", "rnn_l0_reverse")),
        ("LSTM", {"num_layers": 3}, ("rnn",)),
        ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}, ("rnn", "rnn_l0_reverse")),
        ("LSTM", {"proj_size": 3}, ("rnn",)),
        ("GRU", {"num_layers": 2, "batch_first": True}, ("rnn",)),
    ],
)
def test_fused_layers_that_are_fed_data(kind: str, options: dict[str, Any], readers: tuple[str, ...]) -> None:
    layer = getattr(nn, kind)(D, H, **options)
    model, x = Layer(layer).double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x if layer.batch_first else x.transpose(0, 1)).square().sum().backward()
    trace = watch.trace()
    xs = [one.clone().requires_grad_() for one in x.unbind(1)]
    output = unroll(layer, torch.stack(xs, dim=1)).output
    check_input(
        trace, {t: model.head(one).square().sum() for t, one in enumerate(output.unbind(1))}, xs, "input of rnn"
    )
    assert [one.recurrences for one in trace.input_lags] == [readers]
    assert rnngraph.diagnose(trace).at_input


def test_packed_sequences() -> None:
    layer = nn.GRU(D, H).double()
    model, x, lengths = Layer(layer).double(), torch.randn(N, T, D).double(), torch.tensor([4, 6, 2])
    with rnngraph.torch.watch(model) as watch:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, _ = nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)
        valid = (torch.arange(T) < lengths[:, None])[..., None]
        (model.head(output) * valid).square().sum().backward()
    xs = [one.clone().requires_grad_() for one in x.unbind(1)]
    found = unroll(layer, torch.stack(xs, dim=1), lengths=lengths).output
    losses = {t: (model.head(one) * valid[:, t]).square().sum() for t, one in enumerate(found.unbind(1))}
    check_input(watch.trace(), losses, xs, "input of rnn")


def test_the_same_as_the_tape_with_the_same_weights() -> None:
    layer, head = nn.LSTM(D, H, 2).double(), nn.Linear(H, 2).double()
    model, x = nn.ModuleDict({"rnn": layer, "head": head}), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        head(layer(x.transpose(0, 1))[0]).square().sum().backward()
    trace = watch.trace()
    mine = ours.LSTM(D, H, num_layers=2)
    for number, ending in enumerate(("", "_l1")):
        some = [getattr(layer, f"{name}_l{number}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        for name, value in zip(("Wx", "Wh"), some[:2], strict=True):
            mine.parameter(name + ending).value[...] = _gates(value).T
        mine.parameter("b" + ending).value[...] = _gates(some[2] + some[3])
    linear = ours.Linear(H, 2)
    linear.parameter("W").value[...], linear.parameter("b").value[...] = (
        head.weight.detach().numpy().T, head.bias.detach().numpy(),
    )  # fmt: skip
    tape = rnngraph.Tape()
    scores = linear(mine(tape.input(x.numpy())))
    known = rnngraph.record((scores * scores).sum(), lags=True)
    np.testing.assert_allclose(trace.input_lags[0].log, known.input_lags[0].log, rtol=1e-11, atol=1e-11)
    own, theirs = rnngraph.diagnose(trace, horizon=4), rnngraph.diagnose(known, horizon=4)
    assert own.at_input
    assert theirs.at_input
    np.testing.assert_allclose(own.decades, theirs.decades, rtol=1e-9)


def _gates(value: Any) -> Any:
    """PyTorch's order i, f, g, o in ours, as the cell's own facts have it."""
    parts = dict(zip("ifgo", value.detach().chunk(4), strict=True))
    return torch.cat([parts[gate] for gate in rnngraph.nn.cells.CELLS["lstm"].facts.gates]).numpy()


def test_an_input_that_a_residual_path_reads_too() -> None:
    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.words, self.low, self.high = nn.Embedding(7, D), nn.GRU(D, D), nn.GRU(D, D)

        def forward(self, words: Any, embedded: Any = None) -> tuple[Any, Any]:
            x = self.words(words) if embedded is None else embedded
            return self.high(self.low(x)[0] + x)[0], x

    model, words = Residual().double(), torch.randint(0, 7, (T, N))
    with rnngraph.torch.watch(model) as watch:
        model(words)[0].square().sum().backward()
    trace = watch.trace()
    xs = [one.detach().requires_grad_() for one in model.words(words)]
    output, _ = model(words, torch.stack(xs))
    check_input(trace, {t: one.square().sum() for t, one in enumerate(output)}, xs, "input of low")
    assert [one.recurrences for one in trace.input_lags] == [("low",)]


def test_two_layers_that_read_the_same_data() -> None:
    model, x = nn.ModuleDict({"one": nn.LSTM(D, H), "two": nn.LSTM(D, H)}).double(), torch.randn(T, N, D).double()

    def losses(x: Any, still: str = "") -> dict[int, Any]:
        one, two = (layer(x)[0].detach() if name == still else layer(x)[0] for name, layer in model.items())
        return {t: h.square().sum() for t, h in enumerate(one * two)}

    with rnngraph.torch.watch(model) as watch:
        sum(losses(x).values()).backward()
    trace = watch.trace()
    xs = [one.clone().requires_grad_() for one in x]
    assert [one.recurrences for one in trace.input_lags] == [("one", "two")]
    clocks = {one.name: one.clock for one in trace.recurrences}
    for name, still in (("one", "two"), ("two", "one")):  # the part of a loss that enters either is a loss of its own
        check_input(trace, losses(torch.stack(xs), still), xs, "input of one", clock=clocks[name])


def test_two_layers_below_a_third() -> None:
    model = nn.ModuleDict({"one": nn.LSTM(D, H), "two": nn.GRU(D, H), "top": nn.GRU(H, H)}).double()
    x = torch.randn(T, N, D).double()

    def losses(x: Any) -> dict[int, Any]:
        return {t: h.square().sum() for t, h in enumerate(model["top"](model["one"](x)[0] * model["two"](x)[0])[0])}

    with rnngraph.torch.watch(model) as watch:
        sum(losses(x).values()).backward()
    trace, xs = watch.trace(), [one.clone().requires_grad_() for one in x]
    assert [one.recurrences for one in trace.input_lags] == [("one", "two")]
    check_input(trace, losses(torch.stack(xs)), xs, "input of one")


class Loop(nn.Module):  # type: ignore[misc, name-defined]
    """A cell in a loop; the state is handed on, whatever the cell calls it."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(H, 2)

    def forward(self, xs: Any, trail: Trail) -> Any:
        state: Any = None
        for t, one in enumerate(xs):
            state = self.cell(one) if state is None else self.cell(one, state)
            h = state[0] if isinstance(state, tuple) else state
            trail.losses[t] = self.head(h).square().sum()
        return trail.total()


class Joined(nn.Module):  # type: ignore[misc, name-defined]
    """An LSTM with layer norm, which joins its input and its state."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(D + H, 4 * H), nn.LayerNorm(4 * H)

    def forward(self, x: Any, state: Any = None) -> Any:
        h, c = state if state is not None else (x.new_zeros(len(x), H), x.new_zeros(len(x), H))
        i, f, g, o = self.norm(self.linear(torch.cat([h, x], 1))).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class Apart(nn.Module):  # type: ignore[misc, name-defined]
    """Every gate has a weight of its own for the input."""

    def __init__(self) -> None:
        super().__init__()
        self.xz, self.xn, self.hz, self.hn = nn.Linear(D, H), nn.Linear(D, H), nn.Linear(H, H), nn.Linear(H, H)

    def forward(self, x: Any, h: Any = None) -> Any:
        h = x.new_zeros(len(x), H) if h is None else h
        z = (self.xz(x) + self.hz(h)).sigmoid()
        return (1 - z) * (self.xn(x) + self.hn(h)).tanh() + z * h


CELLS: dict[str, Callable[[], Any]] = {
    "RNNCell": lambda: nn.RNNCell(D, H), "LSTMCell": lambda: nn.LSTMCell(D, H), "GRUCell": lambda: nn.GRUCell(D, H),
    "joined": Joined, "apart": Apart,
}  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("fed", ["data", "a leaf", "words"])
def test_cells(cell: str, fed: str) -> None:
    model, x = Loop(CELLS[cell]()).double(), torch.randn(T, N, D).double()
    words, table = torch.randint(0, 7, (T, N)), nn.Embedding(7, D).double()
    given = {"data": x, "a leaf": x.clone().requires_grad_(), "words": table(words)}[fed]
    with rnngraph.torch.watch(model) as watch:
        model(given, Trail()).backward()
    xs, trail = [one.detach().clone().requires_grad_() for one in given], Trail()
    model(xs, trail)
    trace = watch.trace()
    check_input(trace, trail.losses, xs, "input of cell")
    steps = next(one for one in trace.inputs if one.name == "input of cell").steps.value
    np.testing.assert_allclose(steps, [float(g.norm()) for g in gradients(trail.total(), xs)], rtol=1e-11)


def test_states_that_are_images() -> None:
    class ConvGRU(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.gates, self.new = nn.Conv2d(5, 6, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)

        def forward(self, x: Any, h: Any = None) -> Any:
            h = x.new_zeros(len(x), 3, 4, 4) if h is None else h
            r, z = self.gates(torch.cat([x, h], 1)).sigmoid().chunk(2, 1)
            return (1 - z) * h + z * self.new(torch.cat([x, r * h], 1)).tanh()

    cell = ConvGRU().double()

    def losses(xs: Any) -> dict[int, Any]:
        h, found = None, {}
        for t, one in enumerate(xs):
            h = cell(one, h)
            found[t] = h.square().sum()
        return found

    x = torch.randn(T, N, 2, 4, 4).double()
    with rnngraph.torch.watch(cell) as watch:
        sum(losses(x).values()).backward()
    xs = [one.clone().requires_grad_() for one in x]
    check_input(watch.trace(), losses(xs), xs, "input of convgru")


LOOPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a Linear each": lambda m, x, h: torch.tanh(m.x(x) + m.h(h)),
    "one Linear of both": lambda m, x, h: torch.tanh(m.both(torch.cat([x, h], -1))),
    "raw parameters": lambda m, x, h: torch.tanh(x @ m.W + h @ m.U),
}


class Hand(nn.Module):  # type: ignore[misc, name-defined]
    """A loop over one's own formula."""

    def __init__(self, formula: str) -> None:
        super().__init__()
        self.formula = LOOPS[formula]
        if formula == "a Linear each":
            self.x, self.h = nn.Linear(D, H), nn.Linear(H, H)
        elif formula == "one Linear of both":
            self.both = nn.Linear(D + H, H)
        else:
            self.W, self.U = nn.Parameter(torch.randn(D, H) / 2), nn.Parameter(torch.randn(H, H) / 2)
        self.watch: Any = None

    def forward(self, xs: Any, trail: Trail) -> Any:
        h = torch.zeros(N, H).double()
        for t, one in enumerate(xs):
            h = self.formula(self, one, h)
            if self.watch is not None:
                self.watch.mark(h)
            trail.losses[t] = h.square().sum()
        return trail.total()


@pytest.mark.parametrize("formula", LOOPS)
@pytest.mark.parametrize("fed", ["data", "words", "words that are looked up on the way", "a sequence that is indexed"])
@pytest.mark.parametrize("marked", [False, True])
def test_loops(formula: str, fed: str, marked: bool) -> None:
    model, x = Hand(formula).double(), torch.randn(T, N, D).double()
    table, words = nn.Embedding(7, D).double(), torch.randint(0, 7, (N, T))
    if fed == "data":
        given: Any = x
    elif fed == "words":
        given = [table(words[:, t]) for t in range(T)]
    elif fed == "words that are looked up on the way":
        given = (table(words[:, t]) for t in range(T))
    else:
        whole = table(words)
        given = (whole[:, t] for t in range(T))  # picked when the step is taken
    with rnngraph.torch.watch(model) as watch:
        model.watch = watch if marked else None
        model(given, Trail()).backward()
    model.watch = None
    values = x if fed == "data" else table(words).transpose(0, 1)
    xs, trail = [one.detach().clone().requires_grad_() for one in values], Trail()
    model(xs, trail)
    trace = watch.trace()
    check_input(trace, trail.losses, xs, trace.input_lags[0].name)


class Translator(nn.Module):  # type: ignore[misc, name-defined]
    """Encoder and decoder; the decoder is fed words, joined with attention over the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.GRU(D, H), nn.GRUCell(D + H, H)

    def forward(self, source: Any, words: Any, trail: Trail) -> Any:
        memory, last = self.encoder(source)
        h = last[0]
        for t, one in enumerate(words):
            scores = (memory * h).sum(-1, keepdim=True).softmax(0)
            h = self.decoder(torch.cat([one, (scores * memory).sum(0)], -1), h)
            trail.losses[t] = h.square().sum()
        return trail.total()


class Located(nn.Module):  # type: ignore[misc, name-defined]
    """A cell that reads what it attends to; where it looked before, nowhere at first, is a part of where it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(D, H)
        self.cell, self.query = nn.GRUCell(H + D, H), nn.Linear(H, T)
        self.place = nn.Conv1d(2, 1, 3, padding=1)

    def forward(self, xs: Any, trail: Trail) -> Any:
        memory = xs[0].new_ones(N, T, D).cumsum(1)
        h, looked, read = memory.new_zeros(N, H), memory.new_zeros(N, T), memory.new_zeros(N, D)
        for t, one in enumerate(self.before(torch.stack(list(xs)))):
            h = self.cell(torch.cat([one, read], 1), h)
            looked = (self.query(h) + self.place(torch.stack([looked, looked.cumsum(1)], 1))[:, 0]).softmax(1)
            read = (looked[:, None] @ memory)[:, 0]
            trail.losses[t] = (h.sum(1) + read.sum(1)).square().sum()
        return trail.total()


def test_where_it_looked_before_is_data_at_the_start_alone() -> None:
    model, x = Located().double(), torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x, Trail()).backward()
    trace, trail, made = watch.trace(), Trail(), [one.detach().requires_grad_() for one in model.before(x)]
    model.before.register_forward_hook(lambda module, given, output: torch.stack(made))
    model(x, trail)
    check_input(trace, trail.losses, made, "input of cell")


def test_encoder_and_decoder() -> None:
    model, table = Translator().double(), nn.Embedding(9, D).double()
    source, words = torch.randn(T, N, D).double(), torch.randint(0, 9, (T + 2, N))
    with rnngraph.torch.watch(model) as watch:
        model(source, table(words), Trail()).backward()
    trace = watch.trace()
    sources = [one.clone().requires_grad_() for one in source]
    fed, trail = [table(one).detach().requires_grad_() for one in words], Trail()
    model(torch.stack(sources), fed, trail)
    clock = {one.name: one.clock for one in trace.recurrences}["decoder"]
    check_input(trace, trail.losses, sources, "input of encoder", clock=clock)
    check_input(trace, trail.losses, fed, "input of decoder", clock=clock)


def test_a_decoder_that_is_fed_what_the_encoder_was() -> None:
    """What its first state hands on goes to the encoder, and what its input does is counted once."""
    model = nn.ModuleDict({"embed": nn.Linear(D, D), "low": nn.LSTM(D, H), "high": nn.LSTM(D, H)}).double()
    embedded = model["embed"](torch.randn(T, N, D).double())

    def losses(x: Any) -> dict[int, Any]:
        return {t: one.square().sum() for t, one in enumerate(model["high"](x, model["low"](x)[1])[0])}

    with rnngraph.torch.watch(model) as watch:
        sum(losses(embedded).values()).backward()
    xs = [one.detach().requires_grad_() for one in embedded]
    check_input(watch.trace(), losses(torch.stack(xs)), xs, "input of low")


def test_a_module_that_takes_what_a_layer_made_at_once() -> None:
    """Its input is what the layer hands out: a loss above it reaches both."""
    model = nn.ModuleDict({"rnn": nn.GRU(D, H, batch_first=True), "mix": nn.Conv1d(T, T, 1)}).double()
    x, trail = torch.randn(N, T, D).double(), Trail()
    with rnngraph.torch.watch(model, only=["rnn", "mix"]) as watch:
        model["mix"](model["rnn"](x)[0])[:, -1].square().sum().backward()
    trace, found = watch.trace(), unroll(model["rnn"], x)
    trail.losses[T - 1] = model["mix"](found.output)[:, -1].square().sum()
    given = gradients(trail.losses[T - 1], [found.output])[0].norm(dim=-1)
    lag = next(one for one in trace.lags if one.state.startswith("mix"))
    np.testing.assert_allclose(np.exp(lag.log[:, -1, 1:]), given[lag.samples].numpy(), rtol=1e-9)
    assert certified(trace)


@pytest.mark.parametrize("between", [False, True])
def test_a_layer_on_the_input_of_a_module_that_takes_a_sequence_at_once(between: bool) -> None:
    """Losses that enter the layer reach that input, whether the layer takes it as it is or not."""
    model = nn.ModuleDict({"embed": nn.Linear(D, D), "mix": nn.Conv1d(T, T, 1), "rnn": nn.GRU(D, H, batch_first=True)})
    embedded = model.double()["embed"](torch.randn(N, T, D).double())

    def losses(x: Any) -> dict[int, Any]:
        return {t: one.square().sum() for t, one in enumerate(model["rnn"](x.sin() if between else x)[0].unbind(1))}

    with rnngraph.torch.watch(model, only=["rnn", "mix"]) as watch:
        (sum(losses(embedded).values()) + model["mix"](embedded).square().sum()).backward()
    xs = [one.detach().requires_grad_() for one in embedded.unbind(1)]
    check_input(watch.trace(), losses(torch.stack(xs, 1)), xs, "input of mix", clock=0)
    assert certified(watch.trace())


def test_of_stacks_the_lowest_is_fed() -> None:
    model = nn.ModuleDict({"low": nn.LSTM(D, H), "norm": nn.LayerNorm(H), "high": nn.GRU(H, H)}).double()
    x = torch.randn(T, N, D).double()

    def losses(x: Any) -> dict[int, Any]:
        output = model["high"](model["norm"](model["low"](x)[0]))[0]
        return {t: one.square().sum() for t, one in enumerate(output)}

    with rnngraph.torch.watch(model) as watch:
        sum(losses(x).values()).backward()
    trace = watch.trace()
    xs = [one.clone().requires_grad_() for one in x]
    assert [one.name for one in trace.input_lags] == ["input of low"]
    check_input(trace, losses(torch.stack(xs)), xs, "input of low")


def test_windows_that_go_on_are_fed_one_after_the_other() -> None:
    layer, x = nn.GRU(D, H).double(), torch.randn(2 * T, N, D).double()

    def losses(xs: Any) -> dict[int, Any]:
        first, h = layer(torch.stack(xs[:T]))
        second, _ = layer(torch.stack(xs[T:]), h)
        return {t: one.square().sum() for t, one in enumerate([*first, *second])}

    with rnngraph.torch.watch(layer) as watch:
        sum(losses(list(x)).values()).backward()
    xs = [one.clone().requires_grad_() for one in x]
    check_input(watch.trace(), losses(xs), xs, "input of gru")


def test_of_a_sequence_at_once_the_input_is_what_is_shown() -> None:
    model, x = nn.ModuleDict({"mix": nn.Conv1d(T, T, 1), "embed": nn.Linear(D, D)}).double(), torch.randn(N, T, D)
    with rnngraph.torch.watch(model, only="mix") as watch:
        model["mix"](model["embed"](x.double())).square().sum().backward()
    trace = watch.trace()
    np.testing.assert_array_equal(trace.input_lags[0].log, trace.lags[0].log[:, :, 1:])


class World(nn.Module):  # type: ignore[misc, name-defined]
    """A recurrent state-space model: what enters the cell is made of an action and of the state before."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.cell = nn.Linear(D + 2, H), nn.GRUCell(H, H)
        self.drawn, self.head = nn.Linear(H + D, D), nn.Linear(H + D, 2)

    def forward(self, actions: Any, seen: Any, trail: Trail) -> Any:
        h, z = torch.zeros(N, H).double(), torch.zeros(N, D).double()
        for t, (action, one) in enumerate(zip(actions, seen, strict=True)):
            h = self.cell(self.into(torch.cat([z, action], -1)).relu(), h)
            z = self.drawn(torch.cat([h, one], -1)).tanh()
            trail.losses[t] = self.head(torch.cat([h, z], -1)).square().sum()
        return trail.total()


class Machine(nn.Module):  # type: ignore[misc, name-defined]
    """A controller that is fed data joined with what it reads from a memory."""

    def __init__(self, *, embeds: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(D, D) if embeds else nn.Identity()
        self.cell, self.key = nn.LSTMCell(D + 4, H), nn.Linear(H, 6)
        self.memory = nn.Parameter(torch.randn(6, 4))

    def forward(self, xs: Any, trail: Trail) -> Any:
        read, (h, c) = torch.zeros(N, 4).double(), torch.zeros(2, N, H).double()
        for t, one in enumerate(xs):
            h, c = self.cell(torch.cat([self.embed(one), read], -1), (h, c))
            read = (self.key(h).softmax(-1)[:, :, None] * self.memory).sum(1)
            trail.losses[t] = read.square().sum()
        return trail.total()


class Unit(nn.Module):  # type: ignore[misc, name-defined]
    """A gated unit that joins its state and its input twice."""

    def __init__(self) -> None:
        super().__init__()
        self.z, self.n = nn.Linear(H + D, H), nn.Linear(H + D, H)

    def forward(self, h: Any, x: Any) -> Any:
        z = self.z(torch.cat([h, x], -1)).sigmoid()
        return (1 - z) * self.n(torch.cat([z * h, x], -1)).tanh() + z * h


class Between(nn.Module):  # type: ignore[misc, name-defined]
    """The state moves between two steps, as by an equation, and is joined with data in a unit of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.field, self.unit = nn.Parameter(torch.randn(H, H)), Unit()

    def forward(self, xs: Any, trail: Trail) -> Any:
        h = torch.zeros(N, H).double()
        for t, one in enumerate(xs):
            for _ in range(2):
                h = h + 0.3 * (h @ self.field).tanh()
            h = self.unit(h, one)
            trail.losses[t] = h.square().sum()
        return trail.total()


@pytest.mark.parametrize("kind", ["data", "a leaf"])
@pytest.mark.parametrize("make", [lambda: Machine(embeds=False), lambda: Machine(embeds=True), Between])
def test_data_that_is_joined_with_states_before_the_step(make: Callable[[], Any], kind: str) -> None:
    model, x = make().double(), torch.randn(T, N, D).double()
    given = [one.clone().requires_grad_() for one in x] if kind == "a leaf" else x
    with rnngraph.torch.watch(model) as watch:
        model(given, Trail()).backward()
    xs, trail = [one.clone().requires_grad_() for one in x], Trail()
    if isinstance(getattr(model, "embed", None), nn.Linear):  # what is joined is the input
        xs, model.embed = [model.embed(one).detach().requires_grad_() for one in x], nn.Identity()
    model(xs, trail)
    trace = watch.trace()
    check_input(trace, trail.losses, xs, trace.input_lags[0].name)


def test_two_inputs_of_a_world_model_are_one_norm() -> None:
    model, actions, seen = World().double(), torch.randn(T, N, 2).double(), torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(actions, seen, Trail()).backward()
    trace, trail = watch.trace(), Trail()
    both = [[one.clone().requires_grad_() for one in some] for some in (actions, seen)]
    model(*both, trail)
    lag, found = trace.lags[0], trace.input_lags[0]
    assert found.name == "input of cell"
    for place, s in enumerate(lag.losses.tolist()):
        to_action, to_seen = (
            np.stack([g.norm(dim=1).numpy() for g in gradients(trail.losses[s], some)]) for some in both
        )
        earlier = np.concatenate([np.zeros((1, N)), to_seen[:-1]])  # what was seen enters the cell a step later
        np.testing.assert_allclose(
            np.exp(found.log[:, place]).T, np.hypot(to_action, earlier), rtol=1e-11, atol=1e-14, err_msg=f"loss {s}"
        )


@pytest.mark.parametrize("what", ["an unknown way in", "what a state leads to"])
def test_nothing_is_told_of_an_input_that_is_not_known(what: str) -> None:
    class Cell(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.h = nn.Linear(H, H)

        def forward(self, x: Any, h: Any) -> Any:
            return torch.tanh(x.sin() + self.h(h))

    cell, h, total = Cell().double(), torch.zeros(N, H).double(), torch.zeros(()).double()
    with rnngraph.torch.watch(cell) as watch:
        for t in range(T):
            fed = torch.randn(N, H).double() if what == "an unknown way in" or not t else h.sin()
            h = cell(fed, h)
            total = total + h.square().sum()
        total.backward()
    trace = watch.trace()
    assert not trace.input_lags
    assert not rnngraph.diagnose(trace).at_input


def test_words_that_a_step_looks_up_itself() -> None:
    class Recommender(nn.Module):  # type: ignore[misc, name-defined]
        """The words' gates are looked up in the step, with a sparse gradient."""

        def __init__(self) -> None:
            super().__init__()
            self.words, self.core = nn.Embedding(9, H, sparse=True), nn.Linear(H, H)
            self.seen: list[Any] = []

        def forward(self, word: Any, h: Any) -> Any:
            looked_up = self.words(word)
            self.seen.append(looked_up)
            return (looked_up + self.core(h)).tanh()

    class Sessions(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.step, self.head = Recommender(), nn.Linear(H, 2)

        def forward(self, words: Any) -> dict[int, Any]:
            h, losses = torch.zeros(N, H).double(), {}
            for t, word in enumerate(words):
                h = self.step(word, h)
                losses[t] = self.head(h).square().sum()
            return losses

    model = Sessions().double()
    with rnngraph.torch.watch(model) as watch:
        losses = model(torch.randint(0, 9, (T, N)))
        sum(losses.values()).backward()
    check_input(watch.trace(), losses, model.step.seen, "input of step")
