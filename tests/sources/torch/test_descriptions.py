"""What a watch says: what was found, what can be named, and one sentence for everything that cannot be traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn


class Reader(nn.Module):  # type: ignore[misc, name-defined]
    """An encoder, a decoder around a cell, and a spiking layer that forgets its state."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(3, 4, 2, bidirectional=True)
        self.decoder = Decoder()
        self.unused = nn.GRU(2, 2)

    def forward(self, x: Any) -> Any:
        memory, _ = self.encoder(x)
        return self.decoder(memory)


class Decoder(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.step = Step()

    def forward(self, memory: Any) -> Any:
        h, found = torch.zeros(memory.shape[1], 4, dtype=memory.dtype), []
        for one in memory:
            h = self.step(one, h)
            found.append(h)
        return torch.stack(found)


class Step(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.norm = nn.GRUCell(8, 4), nn.LayerNorm(4)

    def forward(self, x: Any, h: Any) -> Any:
        return self.norm(self.cell(x, h))


class Forgetful(nn.Module):  # type: ignore[misc, name-defined]
    """Its state is made anew at every call: a bug that nothing else tells of."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return (0.9 * torch.zeros_like(x) + self.linear(x)).tanh()


def watched(model: Any, *inputs: Any, **options: Any) -> Any:
    with rnngraph.torch.watch(model, **options) as watch:
        model(*inputs).square().sum().backward()
    return watch


def test_print() -> None:
    text = str(watched(Reader(), torch.randn(5, 2, 3)))
    lines = text.splitlines()
    assert lines[0].split() == ["path", "kind", "steps", "states"]
    assert lines[1].split(maxsplit=3) == ["encoder", "nn.LSTM", "5", "h, c of 4 layers and directions"]
    assert lines[2].split(maxsplit=3) == ["decoder.step.cell", "GRUCell", "5", "1 state"]


def test_what_has_no_state_needs_no_word() -> None:
    class Affine(nn.Module):  # type: ignore[misc, name-defined]
        """Wraps a Linear, as speech models do."""

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return self.linear(x)

    class Resetting(Affine):
        """Would keep what it adds up, but for a bug."""

        def forward(self, x: Any) -> Any:
            self.kept = torch.zeros_like(x) + self.linear(x)
            return (self.kept > 0) * x

    class Speaker(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, beside: Any) -> None:
            super().__init__()
            self.cell, self.beside = nn.GRUCell(3, 4), beside

        def forward(self, x: Any) -> Any:
            h, found = torch.zeros(2, 4), []
            for one in x:
                h = self.cell(one, h)
                found.append(self.beside(h))
            return torch.stack(found)

    x = torch.randn(5, 2, 3)
    assert "beside" not in str(watched(Speaker(Affine()), x))
    assert "not beside: its state is made anew or detached at every call" in str(watched(Speaker(Resetting()), x))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_a_scripted_part_is_passed_over() -> None:
    class Half(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.features, self.layer = torch.jit.script(nn.Linear(3, 3)), nn.GRU(3, 4)

        def forward(self, x: Any) -> Any:
            return self.layer(self.features(x))[0]

    assert [one.name for one in watched(Half(), torch.randn(5, 2, 3)).trace().recurrences] == ["layer"]


def test_an_outer_module_can_be_named() -> None:
    x = torch.randn(5, 2, 3)
    outer = watched(Reader(), x, only="decoder.step").trace()
    assert [one.name for one in outer.states] == ["decoder.step.h"]
    assert [one.name for one in watched(Reader(), x, only=["encoder"]).trace().recurrences] == [
        "encoder", "encoder_l0_reverse", "encoder_l1", "encoder_l1_reverse",
    ]  # fmt: skip


def test_marks_cost_nothing_outside_the_block() -> None:
    watch = rnngraph.torch.watch(nn.Linear(2, 2))
    watch.mark(torch.ones(2, requires_grad=True) * 2)
    assert not watch.marks


def test_the_credit_of_a_module_that_takes_a_sequence_at_once() -> None:
    class Scan(nn.Module):  # type: ignore[misc, name-defined]
        """A state-space layer: h decays by .8 a step, computed as one product over time."""

        def forward(self, u: Any) -> Any:
            t = torch.arange(u.shape[1], dtype=u.dtype)
            kernel = torch.where(t[:, None] >= t, 0.8 ** (t[:, None] - t).clamp(min=0), 0.0)
            return torch.einsum("ts,nsd->ntd", kernel, u)

    class Backbone(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.layers, self.head = nn.Linear(3, 4), nn.ModuleList([Scan(), Scan()]), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            for layer in (self.first, *self.layers):
                x = layer(x)
            return self.head(x)

    model = Backbone().double()
    watch = watched(model, torch.randn(2, 6, 3).double(), only="layers.1")
    trace = watch.trace()
    last = trace.lags[0].log[:, -1, 1:]
    np.testing.assert_allclose(np.diff(last, axis=1), -np.log(0.8) * np.ones((2, 5)), rtol=1e-10)
    assert any("has no step of its own" in note for note in trace.notes)
    assert repr(watch) == "<Watch of Backbone: 1 backward pass; print it for what was found>"
    assert "it has no step of its own" in str(watch)


def test_single_tensors() -> None:
    model = nn.ModuleDict({"cell": nn.GRUCell(3, 4), "rnn": nn.GRU(4, 4), "head": nn.Linear(4, 2)}).double()
    x, hs = torch.randn(5, 2, 3).double().requires_grad_(), []
    scaled = x * 1.0
    with rnngraph.torch.watch(model) as watch:
        h = None
        for one in scaled:
            h = model["cell"](one, h)
            hs.append(h)
        scores = model["head"](model["rnn"](torch.stack(hs))[0])
        loss = scores.square().sum()
        loss.backward()
    value, gradient = watch.state("cell.h", 2)
    assert torch.equal(value, hs[2])
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, hs[2], retain_graph=True)[0], rtol=1e-11, atol=0)
    inside, slope = watch.state("rnn.h", 4)
    assert inside.shape == slope.shape == (2, 4)
    row = watch.row(3)
    truth = torch.autograd.grad(scores[3].square().sum(), [*hs, scaled], retain_graph=True, allow_unused=True)
    for found, known in zip(row["cell.h"][:4], truth[:4], strict=True):
        torch.testing.assert_close(found, known, rtol=1e-11, atol=1e-15)
    for found, known in zip(row["input of cell"][:4], truth[-1][:4], strict=True):
        torch.testing.assert_close(found, known, rtol=1e-11, atol=1e-15)
    with pytest.raises(InputError, match=r"no loss enters at step 9; losses enter at 0, 1, 2, 3, 4"):
        watch.row(9)
    with pytest.raises(InputError, match=r"there is no state 'lstm\.h'; there are cell\.h, rnn\.h, "):
        watch.state("lstm.h", 0)


class Steps(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return torch.stack([self.inner(one) for one in x])


class Frees(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """Lets go of what it keeps, in its own backward."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.kept = x * 2
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        if ctx.kept is None:
            raise RuntimeError("Trying to backward through the graph a second time")
        ctx.kept = None
        return grad * 2


class Freeing(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, 3)

    def forward(self, x: Any) -> Any:
        h = None
        for one in x:
            h = Frees.apply(self.cell(one, h))
        return h


def detached(watch: Any) -> None:
    with torch.no_grad():
        watch.model(torch.randn(4, 2, 3))


class Silent(nn.RNN):  # type: ignore[misc, name-defined]
    """A layer whose weights are not frozen, and which runs without gradients."""

    def __init__(self) -> None:
        super().__init__(3, 3)

    def forward(self, x: Any) -> Any:
        with torch.no_grad():
            return super().forward(x)[0]


def frozen(watch: Any) -> None:
    watch.model.requires_grad_(False)
    watch.model(torch.randn(4, 2, 3))


def outside(watch: Any) -> None:
    watch.kept = watch.model(torch.randn(4, 2, 3))[0].sum()


def run(watch: Any) -> None:
    output = watch.model(torch.randn(8, 2, 3))
    (output[0] if isinstance(output, tuple) else output).sum().backward()


class Tree(nn.Module):  # type: ignore[misc, name-defined]
    """Words are joined in pairs, by a call of its own at every node."""

    def __init__(self, join: Any = None) -> None:
        super().__init__()
        self.join = join or nn.Linear(6, 3)

    def forward(self, words: Any) -> Any:
        if len(words) == 1:
            return self.join(torch.cat([words[0], words[0]], -1)).tanh()
        left, right = (self.forward(some) for some in (words[: len(words) // 2], words[len(words) // 2 :]))
        return self.join(torch.cat([left, right], -1)).tanh()


class Joining(nn.Linear):  # type: ignore[misc, name-defined]
    """A module of one's own that joins two."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.inner = nn.Identity()


class Summing(nn.Module):  # type: ignore[misc, name-defined]
    """A tree of sums (Tai, Socher and Manning, 2015), whose cell reads the words too, or its joins alone."""

    def __init__(self, *, leaves: bool) -> None:
        super().__init__()
        self.leaves, self.cell = leaves, nn.GRUCell(3, 3)

    def forward(self, words: Any) -> Any:
        level = [self.cell(one, one * 0) if self.leaves else one for one in words.unbind(0)]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            level = [self.cell(words[0], left + right) for left, right in pairs]
        return level[0]


class Reservoir(nn.Module):  # type: ignore[misc, name-defined]
    """A cell that is not trained, and what reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.RNNCell(3, 3).requires_grad_(False), nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(2, 3)
        for one in x:
            h = self.cell(one, h)
        return self.head(h)


def in_vmap(watch: Any) -> None:
    """An ensemble in one call."""
    weights = {name: one.expand(2, *one.shape).clone() for name, one in watch.model.named_parameters()}
    several = torch.vmap(lambda given: torch.func.functional_call(watch.model, given, (torch.ones(2, 3),)))
    several({name: one.detach().requires_grad_() for name, one in weights.items()}).sum().backward()


def of_nobody(watch: Any) -> None:
    watch.model(torch.randn(4, 0, 3))[0].sum().backward()


def test_a_reservoir_is_asked_by_its_input() -> None:
    torch.manual_seed(0)
    model = Reservoir()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(8, 2, 3, requires_grad=True)).sum().backward()
    assert watch.trace().timesteps == 8


def step_by_step(watch: Any) -> None:
    """Every step is walked back alone."""
    h = torch.zeros(2, 3)
    for _ in range(4):
        h = watch.model(torch.randn(2, 3), h.detach())
        h.sum().backward()


class Running(nn.Linear):  # type: ignore[misc, name-defined]
    """Every position is made of all before."""

    def forward(self, x: Any) -> Any:
        return super().forward(x).cumsum(1)


def named(path: str) -> Any:
    """Ask for the credit of a module by its name."""

    def act(watch: Any) -> None:
        watch.only = (path,)
        run(watch)

    return act


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("model", "act", "message"),
    [
        (lambda: nn.GRU(3, 3), lambda watch: None, r"no module of GRU was called inside the with block: run the model"),
        (lambda: nn.GRU(3, 3), outside, r"no backward pass ran inside the with block: call loss\.backward\(\)"),
        (lambda: nn.GRU(3, 3), detached, r"can be seen: it ran under torch\.no_grad"),
        (lambda: nn.GRU(3, 3), frozen, r"nothing that it computed needs a gradient"),
        (
            lambda: nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)), run,
            r"no recurrence was found in Sequential; called were sequential \(once\), 0 \(once\), .*watch\.mark\(h\)",
        ),
        (
            lambda: Steps(Forgetful()), run,
            r"inner: its state is made anew or detached at every call: no call of it descends from an earlier one",
        ),
        (
            lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), Running(3, 3)), run,
            r"for the credit of a module that takes a sequence at once, name it: watch\(model, only='2'\)\.$",
        ),
        (lambda: nn.Sequential(Running(3, 3)), run, r"only='sequential'\), with x\.requires_grad_\(\) before the"),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), named("1"), r"1 treats every position by itself"),
        (
            lambda: nn.ModuleList([torch.jit.script(nn.Linear(3, 3))]), lambda watch: watch.model[0](torch.ones(3)),
            r"was called inside the with block: run the model inside it\. 0 is scripted, and its calls cannot be seen",
        ),
        (Tree, run, r"join: its uses are joined as in a tree, and not in a line of steps: one goes on from several"),
        (lambda: Tree(Joining()), run, r"join: its uses are joined as in a tree, and not in a line of steps"),
        (
            Reservoir, run,
            r"cell has weights that are frozen and is given data.*: with x\.requires_grad_\(\) before the run",
        ),
        (lambda: nn.Sequential(Silent(), nn.Linear(3, 3)), run, r"0 made nothing that the loss has a gradient for: it"),
        (lambda: nn.Linear(3, 3), in_vmap, r"it ran under torch\.no_grad\(\) or a transform of torch\.func"),
        (lambda: nn.GRU(3, 3), of_nobody, r"gru ran on a batch of no samples, of which nothing can be told"),
        (lambda: Summing(leaves=True), run, r"cell: its uses are joined as in a tree"),
        (lambda: Summing(leaves=False), run, r"cell: its uses are joined as in a tree"),
        (
            lambda: nn.GRUCell(3, 3), step_by_step,
            r"Each of the 4 backward passes reached one call of grucell: its state is detached before every step",
        ),
        (
            lambda: nn.Sequential(torch.jit.script(nn.Linear(3, 3)), nn.Tanh()), run,
            r"0 is scripted, and its calls cannot be seen: watch the model before it is given to torch\.jit",
        ),
        (Freeing, run, r"the graph was freed, as a custom autograd Function does"),
    ],
)  # fmt: skip
def test_one_sentence(model: Any, act: Any, message: str) -> None:
    with rnngraph.torch.watch(model()) as watch:
        act(watch)
    with pytest.raises(InputError, match=message):
        watch.trace()


def test_a_backward_outside_the_block() -> None:
    model = nn.GRU(3, 3)
    with rnngraph.torch.watch(model) as watch:
        loss = model(torch.randn(4, 2, 3))[0].sum()
    loss.backward()
    with pytest.raises(InputError, match=r"no backward pass ran inside the with block"):
        watch.trace()
    output = model(torch.randn(4, 2, 3))[0].sum()
    with rnngraph.torch.watch(model) as watch:
        output.backward()
    with pytest.raises(InputError, match=r"no module of GRU was called inside the with block"):
        watch.trace()


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_what_cannot_be_watched() -> None:
    with pytest.raises(InputError, match=r"watch got a str; pass a torch\.nn\.Module"):
        rnngraph.torch.watch("model")
    with pytest.raises(InputError, match=r"Reader has no module 'decoder\.cell'; only= can name reader, encoder, "):
        rnngraph.torch.watch(Reader(), only="decoder.cell")
    for only in (nn.Linear(2, 3), [nn.Linear(2, 3)]):  # the module itself in place of its path
        with pytest.raises(InputError, match=r"only= is \[?Linear\(.*; pass a name, or a list of names"):
            rnngraph.torch.watch(Reader(), only=only)
    with pytest.raises(InputError, match=r'backward is 0; pass "last", "first", or -2'):
        rnngraph.torch.watch(Reader(), backward=0)
    with pytest.raises(InputError, match=r"GRU is a scripted module, whose calls cannot be seen"):
        rnngraph.torch.watch(torch.jit.script(nn.GRU(2, 2)))
    with rnngraph.torch.watch(Reader()) as watch, pytest.raises(InputError, match="already under way"):
        watch.__enter__()


def test_two_watches_on_one_model() -> None:
    model = nn.GRU(3, 3)
    with rnngraph.torch.watch(model) as outer, rnngraph.torch.watch(model) as inner:
        model(torch.randn(4, 2, 3))[0].sum().backward()
    np.testing.assert_array_equal(outer.trace().states[0].grad.value, inner.trace().states[0].grad.value)


def test_a_tensor_that_was_changed_in_place() -> None:
    model = nn.GRUCell(3, 3)
    x = torch.randn(4, 2, 3)
    with rnngraph.torch.watch(model) as watch:
        h: Any = None
        for one in x:
            h = model(one, h)
        h.sum().backward()
        x.zero_()
    with pytest.raises(InputError, match=r"a tensor that the backward pass needs was changed in place after it"):
        watch.trace()


def test_zero_length_and_nan() -> None:
    model = nn.GRU(3, 3)
    with rnngraph.torch.watch(model) as watch, pytest.raises(RuntimeError, match="sequence length"):
        model(torch.zeros(0, 2, 3))  # PyTorch's own sentence
    with pytest.raises(InputError, match="nothing that it computed needs a gradient"):
        watch.trace()
    with rnngraph.torch.watch(model) as watch:
        x = torch.randn(5, 2, 3)
        x[2, 1] = torch.nan
        model(x)[0].sum().backward()
    trace = watch.trace()
    assert trace.states[0].nonfinite.sum() > 0
    said = [note for note in trace.notes if "is not finite at step" in note and "first_nonfinite" in note]
    assert [note.partition(" (call 1 of")[0] for note in said] == [
        "the value of gru.h is not finite at step 2", "the gradient of gru.h is not finite at step 3",
    ]  # fmt: skip


def test_a_position_of_a_sequence_that_is_taken_at_once() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Conv1d(5, 5, 3, padding=1), nn.Linear(6, 1)).double()
    kept: list[Any] = []

    def keep(module: Any, given: Any, result: Any) -> None:
        kept.append(result)
        result.retain_grad()

    model[0].register_forward_hook(keep)
    with rnngraph.torch.watch(model, only="1") as watch:
        model(torch.randn(3, 5, 4).double())[:, -1].sum().backward()
    value, gradient = watch.state("1.h", 2)
    assert value is None
    torch.testing.assert_close(gradient, kept[0].grad[:, 2])
    row = watch.row(4)["input of 1"]
    for t, one in enumerate(row):
        torch.testing.assert_close(one, kept[0].grad[:, t])
