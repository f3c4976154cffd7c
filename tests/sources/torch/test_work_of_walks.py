"""Work grows with the number of steps, and not with its square: it is counted, since time tells nothing for sure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph

torch = pytest.importorskip("torch")
nn = torch.nn
rows = pytest.importorskip("rnngraph.sources.torch.losses.loss_rows")
chains = pytest.importorskip("rnngraph.sources.torch.recurrences.module_states")
edges = pytest.importorskip("rnngraph.sources.torch.autograd.edges")
step_inputs = pytest.importorskip("rnngraph.sources.torch.inputs.step_inputs")
dispatch = pytest.importorskip("torch.utils._python_dispatch")


class Counted(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """tanh, which counts how often it is walked back."""

    walked = 0

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x.tanh())
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        Counted.walked += 1
        return gradient * (1 - ctx.saved_tensors[0] ** 2)


class Normed(nn.Module):  # type: ignore[misc, name-defined]
    """A step without a constant in it: all that it takes leads to weights, but the input and the first state."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h, self.norm = nn.Linear(3, 4), nn.Linear(4, 4), nn.LayerNorm(4)

    def forward(self, x: Any, h: Any) -> Any:
        return Counted.apply(self.norm(self.x(x) + self.h(h)))


def watched(steps: int) -> Any:
    torch.manual_seed(0)
    cell, h = Normed(), torch.zeros(2, 4)
    with rnngraph.torch.watch(cell) as watch:
        for one in torch.randn(steps, 2, 3):
            h = cell(one, h)
        h.sum().backward()
    return watch


def test_what_weights_alone_make_is_known_of_a_node_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, own = [], chains.is_of_weights

    def look(node: Any) -> bool:
        looks.append(node)
        return bool(own(node))

    monkeypatch.setattr(chains, "is_of_weights", look)
    counts = []
    for steps in (20, 40):
        watch = watched(steps)
        looks.clear()
        assert [one.steps for one in watch.find().recurrences] == [steps]
        counts.append(len(looks))
    assert counts[1] < 2.5 * counts[0]


def test_a_piece_of_a_walk_runs_no_step_of_another() -> None:
    """A loss walks every step once, and in pieces of eight steps at most twice; what arrives is the same."""
    steps = 80
    recording = watched(steps).recording()
    states = [edge for some in recording.recurrences[0].states for edge in some]
    found = []
    for piece, most in ((0, steps), (8, 2.5 * steps)):
        Counted.walked = 0
        arrived = rows.LossRows(recording).walk([(0, steps - 1)], None, piece=piece)
        assert Counted.walked <= most
        found.append([arrived.whole(edge) for edge in states])
    for (whole, _), (piece, exponents) in zip(*found, strict=True):
        np.testing.assert_allclose(
            np.ldexp(piece.double().numpy(), exponents[:, None, None]), whole.double(), rtol=1e-4
        )


def test_where_the_calls_of_a_layer_lead_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is called a step at a time leads to its call before: nobody looks further for each call."""
    looks, own = [], edges.number_of

    def look(node: Any) -> int:
        looks.append(node)
        return int(own(node))

    monkeypatch.setattr(edges, "number_of", look)
    counts = []
    for steps in (20, 40):
        layer, state, total = nn.LSTM(3, 4), None, torch.zeros(())
        with rnngraph.torch.watch(layer) as watch:
            for one in torch.randn(steps, 1, 2, 3):
                output, state = layer(one, state)
                total = total + output.square().sum()
            total.backward()
        recording = watch.recording()
        looks.clear()
        recording.pull([(0, steps - 1)], {2: np.arange(2)}, lambda *told: None)
        counts.append(len(looks))
    assert counts[1] < 2.5 * counts[0]


def test_what_a_memory_has_held_for_long_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that reads a memory goes on from all that wrote to it: what the step before has made is of that step."""
    looks, own = [], step_inputs.unviewed

    def look(edge: Any) -> Any:
        looks.append(edge)
        return own(edge)

    monkeypatch.setattr(step_inputs, "unviewed", look)
    counts = []
    for steps in (20, 40):
        cell, h, memory, total = nn.RNNCell(3 + 4, 4), torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(())
        with rnngraph.torch.watch(cell) as watch:
            for one in torch.randn(steps, 2, 3):
                h = cell(torch.cat([one, memory], -1), h)
                memory = 0.5 * memory + h.sin()
                total = total + memory.sum()
            total.backward()
        looks.clear()
        assert watch.recording().fed
        counts.append(len(looks))
    assert counts[1] < 2.5 * counts[0]


class Made(dispatch.TorchDispatchMode):  # type: ignore[misc, name-defined]
    """Counts the numbers that are made."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and not function.is_view:
            self.count += found.numel()
        return found


class Shuffled(nn.Module):  # type: ignore[misc, name-defined]
    """A layer of packed sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4)

    def forward(self, x: Any) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([len(x) - 1, len(x)]), enforce_sorted=False)
        return self.rnn(packed)[0].data


class Averaged(nn.Module):  # type: ignore[misc, name-defined]
    """A module that takes a sequence at once, (N, T, D): running means."""

    def forward(self, x: Any) -> Any:
        return x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]


@pytest.mark.parametrize(("module", "only"), [(Shuffled, None), (Averaged, "1")])
def test_what_enters_at_an_output_is_laid_out_once(module: Any, only: str | None) -> None:
    """Each step's share is a step of it: to lay all of it out for each is work with the square of the steps."""
    counts = []
    for steps in (100, 200):
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(3, 3), module()), torch.randn(steps, 2, 3)
        with rnngraph.torch.watch(model, only=only) as watch:
            model(x if only is None else x.transpose(0, 1)).square().sum().backward()
        with Made() as made:
            watch.trace()
        counts.append(made.count)
    assert counts[1] < 2.5 * counts[0]
