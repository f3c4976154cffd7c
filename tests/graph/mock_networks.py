"""Networks like those of the picture's design: what each must say within ten seconds is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.autodiff.tensor import Tensor
from rnngraph.trace.model import Trace

UNITS, STEPS = 64, 60


def fed(tape: rg.Tape, timesteps: int = STEPS, width: int = 16, *, scale: float = 1.0, batch: int = 8) -> Tensor:
    """Record the input."""
    return tape.input(np.random.default_rng(5).normal(0, scale, size=(batch, timesteps, width)))


def every_step(h: Tensor) -> Tensor:
    """Give a loss that every step has its own part of."""
    return (h * np.random.default_rng(6).normal(size=h.shape)).sum()


def recorded(loss: Tensor, *, losses: Any = 32) -> Trace:
    """Record with lags."""
    return rg.record(loss, lags=rg.LagOptions(losses=losses))


def one_layer(layer: Any, *, scale: float = 1.0, timesteps: int = STEPS, last: bool = False, mask: Any = None) -> Trace:
    """Trace one recurrent layer with a loss at every step, or at the last alone."""
    h = layer(fed(rg.Tape(), timesteps, scale=scale), mask=mask)
    return recorded(every_step(h[:, timesteps - 1] if last else h))


@cache
def dies() -> Trace:
    """A tanh network that keeps about half a step."""
    return one_layer(rg.nn.RNN(16, UNITS, init="orthogonal", gain=0.58, seed=1), scale=0.35)


@cache
def remembers(*, last: bool = False) -> Trace:
    """An LSTM whose forget gate is open."""
    return one_layer(rg.nn.LSTM(16, UNITS, forget_bias=3.0, seed=1), last=last)


@cache
def explodes() -> Trace:
    """A tanh network whose recurrent weight stretches."""
    return one_layer(rg.nn.RNN(16, UNITS, init="orthogonal", gain=3.0, seed=1), scale=0.5)


@cache
def saturated() -> Trace:
    """A network whose bias pushes its units to the ends of tanh."""
    layer = rg.nn.RNN(16, UNITS, init="orthogonal", seed=1)
    bias = next(one for one in layer.parameters() if ".b" in one.name)
    bias.value[...] = 2.5 * np.where(np.arange(UNITS) % 2, 1, -1)
    return one_layer(layer)


@cache
def three_layers(cell: Any = rg.nn.RNN, **options: Any) -> Trace:
    """Three layers, one upon the other."""
    return one_layer(cell(16, 48, num_layers=3, init="orthogonal", gain=0.9, seed=1, **options))


@cache
def encoder_decoder(cell: Any = rg.nn.RNN) -> Trace:
    """An encoder of 40 steps whose last state begins a decoder of 8."""
    tape = rg.Tape()
    encoder = cell(16, UNITS, init="orthogonal", gain=0.8, seed=1, name="encoder")
    decoder = cell(16, UNITS, init="orthogonal", seed=2, name="decoder")
    thought = encoder(fed(tape, 40, scale=0.7))[:, 39]
    return recorded(every_step(decoder(fed(tape, 8, scale=0.7), thought)))


@cache
def bidirectional(cell: Any = rg.nn.RNN) -> Trace:
    """One layer in two directions."""
    return one_layer(cell(16, UNITS, init="orthogonal", gain=0.75, bidirectional=True, seed=1))


MOCKS: dict[str, Callable[[], Trace]] = {
    "from-one-loss": dies,
    "lstm-remembers": remembers,
    "exploding": explodes,
    "saturated": saturated,
    "three-layers": three_layers,
    "encoder-decoder": encoder_decoder,
    "bidirectional": bidirectional,
}
