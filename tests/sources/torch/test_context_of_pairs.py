"""How much of the past a PyTorch model uses: delay lines that use exactly one step, chunks run alone, and the tape."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn as ours
from rnngraph.errors import InputError
from rnngraph.sources.torch.reruns.state_resets import Plan, ResetLayer, ResetSteps

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, UNITS = 5, 40, 12


class Shift(nn.Module):  # type: ignore[misc, name-defined]
    """A cell of one's own: its state moves on by a unit a step."""

    def forward(self, x: Any, h: Any) -> Any:
        return torch.relu(x @ self.into + h @ self.on)

    def __init__(self) -> None:
        super().__init__()
        self.into, self.on = nn.Parameter(torch.eye(1, UNITS)), nn.Parameter(torch.diag(torch.ones(UNITS - 1), 1))


class Delay(nn.Module):  # type: ignore[misc, name-defined]
    """Gives its input some steps later, off by a tenth."""

    def __init__(self, kind: str, lag: int, *, last: bool) -> None:
        super().__init__()
        self.kind, self.lag, self.last = kind, lag, last
        shift = torch.diag(torch.ones(UNITS - 1), 1)
        if kind == "own":
            self.core: Any = Shift()
            return
        layer = kind == "layer"
        self.core = nn.RNN(1, UNITS, nonlinearity="relu") if layer else nn.RNNCell(1, UNITS, nonlinearity="relu")
        ending = "_l0" if layer else ""
        for name, value in (("weight_hh", shift.T), ("weight_ih", torch.eye(UNITS, 1))):
            getattr(self.core, name + ending).data[:] = value
        for name in ("bias_ih", "bias_hh"):
            getattr(self.core, name + ending).data[:] = 0

    def forward(self, x: Any, target: Any) -> Any:
        if self.kind == "layer":
            hidden = self.core(x)[0]
        else:
            h, found = torch.zeros(N, UNITS).to(x), []
            for one in x:
                h = self.core(one, h)
                found.append(h)
            hidden = torch.stack(found)
        apart = hidden[:, :, self.lag] - target + 0.1
        return (apart[-1] if self.last else apart).square().mean()


def delayed(lag: int) -> tuple[Any, Any]:
    x = np.abs(np.random.default_rng(lag).normal(size=(T, N, 1)))
    target = np.concatenate([np.zeros((lag, N)), x[: T - lag, :, 0]])
    return torch.tensor(x), torch.tensor(target)


@pytest.mark.parametrize("kind", ["layer", "cell", "own"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("lag", [0, 1, 9])
def test_a_delay_line_uses_its_delay(kind: str, lag: int, last: bool) -> None:
    found = rg.context((Delay(kind, lag, last=last).double(), delayed(lag)))
    assert found.in_use == lag
    np.testing.assert_allclose(found.excess[found.lags >= lag], 0, atol=1e-12)
    assert (found.excess[found.lags < lag] > 0.05).all()


@pytest.mark.parametrize("last", [False, True])
def test_the_same_as_the_tape(last: bool) -> None:
    x, target = delayed(6)
    found = rg.context((Delay("layer", 6, last=last).double(), (x, target)))
    layer = ours.RNN(1, UNITS, nonlinearity="relu")
    for name, value in (("Wh", np.eye(UNITS, k=1)), ("Wx", np.eye(1, UNITS)), ("b", 0.0)):
        layer.parameter(name).value[...] = value
    hidden = layer(rg.Tape().input(x.numpy().swapaxes(0, 1)))
    apart = hidden @ np.eye(UNITS)[:, 6:7] - target.numpy().T[:, :, None] + 0.1
    if last:
        apart = apart[:, T - 1]
    known = rg.context((apart * apart).mean())
    np.testing.assert_array_equal(found.lags, known.lags)
    assert found.in_use == known.in_use == 6
    # The tape means over the steps that were measured; here a mean over all steps loses what those lose.
    np.testing.assert_allclose(found.excess, known.excess, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("chunk", "phase"), [(4, 0), (4, 3), (5, 2), (20, 7), (1, 0)])
def test_every_chunk_is_as_if_it_were_run_alone(
    kind: str, layers: int, batch_first: bool, chunk: int, phase: int
) -> None:
    layer, x = getattr(nn, kind)(3, 4, layers, batch_first=batch_first).double(), torch.randn(11, 2, 3).double()
    plain = getattr(nn, kind)(3, 4, layers).double()
    plain.load_state_dict(layer.state_dict())
    reset = ResetLayer(layer)
    reset.begin(Plan(chunk, phase, None))
    found, final = layer(x.transpose(0, 1) if batch_first else x)
    found = found.transpose(0, 1) if batch_first else found
    edges = sorted({0, *range(phase, 11, chunk), 11})
    for start, stop in pairwise(edges):
        alone, last = plain(x[start:stop])
        torch.testing.assert_close(found[start:stop], alone)
    torch.testing.assert_close(final, last)


def test_of_two_directions_what_comes_later_is_left_as_it_is() -> None:
    layer, x = nn.GRU(3, 4, bidirectional=True).double(), torch.randn(9, 2, 3).double()
    whole = layer(x)[0]
    one_way = nn.GRU(3, 4).double()
    one_way.load_state_dict({key: value for key, value in layer.state_dict().items() if "reverse" not in key})
    reset = ResetLayer(layer)
    reset.begin(Plan(3, 0, None))
    found = layer(x)[0]
    torch.testing.assert_close(found[..., 4:], whole[..., 4:])
    for start in (0, 3, 6):
        torch.testing.assert_close(found[start : start + 3, :, :4], one_way(x[start : start + 3])[0])


def test_only_chosen_steps_forget() -> None:
    x = torch.randn(7, 2, 3).double()
    for kind in ("LSTM", "LSTMCell"):
        module = getattr(nn, kind)(3, 4).double()

        def outputs(module: Any = module) -> Any:
            if isinstance(module, nn.LSTM):
                return module(x)[0]
            state, found = (torch.zeros(2, 4).double(), torch.zeros(2, 4).double()), []
            for one in x:
                state = module(one, state)
                found.append(state[0])
            return torch.stack(found)

        whole = outputs()
        reset: Any = ResetLayer(module) if kind == "LSTM" else ResetSteps(module, [(1, 0), (2, 1)])
        reset.begin(Plan(3, 0, None))
        forgotten = outputs()
        reset.begin(Plan(3, 0, {4, 5}))
        mixed = outputs()
        torch.testing.assert_close(mixed[[4, 5]], forgotten[[4, 5]])
        torch.testing.assert_close(mixed[[0, 1, 2, 3, 6]], whole[[0, 1, 2, 3, 6]])
        assert not torch.allclose(forgotten[4], whole[4])


class Odd(nn.Module):  # type: ignore[misc, name-defined]
    """What nothing can be said of."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.core = nn.GRUCell(3, 4) if what in ("masked", "a state of its own") else nn.GRU(3, 4)
        self.more = nn.GRU(4, 4)
        self.held: Any = None

    def forward(self, x: Any) -> Any:
        if self.what in ("masked", "a state of its own"):
            h, found = torch.zeros(2, 4), []
            for one in x:
                h = self.core(one, 0.9 * h if self.what == "masked" else h)
                found.append(h)
            return torch.stack(found).square().mean()
        if self.what == "packed":
            return self.core(nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3])))[0].data.square().mean()
        output = self.core(x)[0]
        if self.what == "two":
            return self.more(output)[0].square().mean()
        if self.what == "no loss":
            return output
        if self.what == "at once":
            return output.mean(0).square().sum()
        return output.square().mean() * (float("nan") if self.what == "not a number" else 1)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("masked", "cannot be reset"),
        ("packed", "batches of one length"),
        ("two", "core and more, of which one alone could be reset"),
        ("at once", "the loss reads many steps at once"),
        ("not a number", "the loss is nan"),
        ("no loss", "Odd returned no scalar, and of an output alone nothing gets worse: let it return its loss"),
    ],
)
def test_what_nothing_can_be_said_of(what: str, message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(InputError, match=message):
        rg.context((Odd(what), torch.randn(5, 2, 3)))


def test_nothing_of_the_users_moves() -> None:
    module, x = Odd("fine").train(), torch.randn(9, 2, 3)
    before, random = [one.clone() for one in module.parameters()], torch.get_rng_state()
    rg.context((module, x))
    assert torch.equal(random, torch.get_rng_state())
    assert module.training
    assert "forward" not in vars(module.core)
    assert all(torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))
    assert all(one.grad is None for one in module.parameters())
    several = Odd("no loss")  # of losses that are apart
    assert rg.context((several, x), reduce="sum").full == pytest.approx(float(several(x).sum().detach()), rel=1e-5)
    with pytest.raises(InputError, match="most is 0"):
        rg.context((module, x), most=0)
    with pytest.raises(InputError, match="a longer sequence"):
        rg.context((module, x[:2]))
    with pytest.raises(InputError, match=r"pass the scalar Tensor .* or a PyTorch pair"):
        rg.context(module)
