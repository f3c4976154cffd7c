"""Loops as people write them, around a part of the model: what changes after the backward pass is put back to ask."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rnngraph

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 6, 4, 5


class Whole:
    """An embedding, a layer, learned first states and a head; only the layer is watched."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.embedding, self.rnn, self.head = nn.Embedding(9, D), nn.LSTM(D, H), nn.Linear(H, 1)
        self.first = [nn.Parameter(torch.randn(1, N, H)) for _ in "hc"]
        self.words = torch.randint(9, (T, N))
        parts = (self.embedding, self.rnn, self.head)
        self.parameters = [*self.first, *(p for part in parts for p in part.parameters())]

    def loss(self) -> Any:
        return self.head(self.rnn(self.embedding(self.words), tuple(self.first))[0]).square().mean()


def stepped(whole: Whole) -> None:
    """Train everything with one optimizer."""
    optimiser = torch.optim.Adam(whole.parameters, lr=0.1)
    whole.loss().backward()
    optimiser.step()
    optimiser.zero_grad()


def scaled(whole: Whole) -> None:
    """Scale the loss for narrow numbers: the factor is raised at once."""
    optimiser = torch.optim.SGD(whole.parameters, lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=1)
    scaler.scale(whole.loss()).backward()
    scaler.step(optimiser)
    scaler.update()


def not_scaled(whole: Whole) -> None:
    """Keep a scaler that is switched off."""
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    scaler.scale(whole.loss()).backward()


def in_backward(whole: Whole) -> None:
    """Step each parameter as soon as its gradient is there."""
    each = {one: torch.optim.SGD([one], lr=0.1) for one in whole.parameters}

    def step(parameter: Any) -> None:
        each[parameter].step()
        parameter.grad = None

    for one in whole.parameters:
        one.register_post_accumulate_grad_hook(step)
    whole.loss().backward()


def reset(whole: Whole) -> None:
    """Start the next episode: the buffer that the first state was read from is zeroed."""
    for number in range(2):
        whole.rnn.register_buffer(f"first_{number}", whole.first[number].detach().clone())
    whole.first = [whole.rnn.first_0, whole.rnn.first_1]
    whole.loss().backward()
    whole.rnn.first_0.zero_()


@pytest.mark.parametrize("loop", [stepped, scaled, not_scaled, in_backward, reset])
def test_what_a_loop_changes_after_its_pass(loop: Callable[[Whole], None]) -> None:
    plain, one, watched = Whole(), Whole(), Whole()
    loop(plain)
    with rnngraph.torch.watch(watched.rnn) as watch:
        loop(watched)
    with rnngraph.torch.watch(one.rnn) as alone:
        one.loss().backward()
    expected, trace = alone.trace(), watch.trace()
    for ours, theirs in zip(trace.states, expected.states, strict=True):
        np.testing.assert_allclose(ours.grad.value, theirs.grad.value, rtol=1e-5)
        assert ours.grad.value.min() > 0
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters, watched.parameters, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(plain.rnn.buffers(), watched.rnn.buffers(), strict=True))


def test_parts_that_have_no_numbers_yet() -> None:
    whole = Whole()
    whole.rnn.later = nn.LazyLinear(3)
    whole.rnn.register_buffer("sparse", torch.eye(3).to_sparse())
    with torch.inference_mode():
        whole.rnn.register_buffer("inferred", torch.zeros(3))
    with rnngraph.torch.watch(whole.rnn) as watch:
        whole.loss().backward()
    assert len(watch.trace().states) == 2


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Let every tensor that names no device have no numbers."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


class Stack(nn.Module):  # type: ignore[misc, name-defined]
    """A fused layer of packed sequences, under a cell in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.cell = nn.GRU(D, H, 2), nn.LSTMCell(H, H)

    def forward(self, packed: Any) -> Any:
        state, found = None, []
        for one in nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0])[0]:
            state = self.cell(one, state)
            found.append(state[0])
        return torch.stack(found)


def test_a_default_device_of_the_users_is_not_ours() -> None:
    torch.manual_seed(0)
    model, x = Stack(), torch.randn(T, N, D)
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 6, 2]), enforce_sorted=False)
    with rnngraph.torch.watch(model) as watch:
        model(packed).square().sum().backward()
    expected, value = watch.trace(), watch.state("cell", 2)[1]
    tried = rnngraph.diagnose(expected, trial=rnngraph.trial(watch))
    with elsewhere():
        found, again = watch.trace(), watch.state("cell", 2)[1]
        assert rnngraph.diagnose(found, trial=rnngraph.trial(watch)).findings == tried.findings
    assert torch.equal(again, value)
    assert [one.name for one in found.states] == [one.name for one in expected.states]
    for ours, theirs in zip(found.states, expected.states, strict=True):
        np.testing.assert_array_equal(ours.grad.value, theirs.grad.value)
    for one, other in zip(found.lags, expected.lags, strict=True):
        np.testing.assert_array_equal(one.log, other.log)
