"""The lag matrix of every loss beside T calls of PyTorch's autograd, and how the cost grows with the timesteps.

What is in the way of the goal for tanh: the products with Wh alone are .10 of PyTorch's time, and those with Wx, of
which the lags of the input are made (PyTorch is not asked for them), are .03. A norm of every row at every step needs
the product of every row: neither a basis of the rows nor longer runs of steps saves arithmetic or time; nor do both
weights side by side as one, or rows some of which stay in the cache, or slopes multiplied into the weights sample by
sample in place of the rows. Products run at nine tenths of what the machine multiplies. With slopes and norms, in a
bare loop, that is .14 to .16. A tenth of ours is to write logs a step at a time into rows over time, far from one
another in memory; to write them by step and turn them afterwards saves .006, and needs twice the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lags import measure_lags
from rnngraph.sources.tape.recording import TapeRecording
from tests.benchmarks.row import Row, ratios, seconds

T, B, D, H, V = 512, 4, 32, 128, 10
LAYERS = {"tanh": nn.RNN, "lstm": nn.LSTM}
CELLS = {"tanh": "RNNCell", "lstm": "LSTMCell"}
GOAL, GROWTH = 0.12, 11.0
SHORT, LONG, UNITS, LOSSES = 10_000, 100_000, 32, 32


def network(cell: str) -> rg.Tensor:
    """Make a layer with a softmax loss at every step."""
    rng = np.random.default_rng(0)
    hidden = LAYERS[cell](D, H)(rg.Tape().input(rng.normal(size=(B, T, D))))
    return nn.temporal_softmax_loss(nn.Linear(H, V)(hidden), rng.integers(0, V, size=(B, T)))


def torch_calls(cell: str) -> Callable[[], None]:
    """Prepare T calls of `torch.autograd.grad` on the same network, each to every state and no parameter."""
    import torch

    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.normal(size=(B, T, D)))
    targets = torch.as_tensor(rng.integers(0, V, size=(B, T)))
    step = getattr(torch.nn, CELLS[cell])(D, H, dtype=torch.float64)
    readout = torch.nn.Linear(H, V, dtype=torch.float64)
    for parameter in (*step.parameters(), *readout.parameters()):
        parameter.requires_grad_(False)  # as ours: no gradient of a parameter is formed
    state: Any = torch.zeros(B, H, dtype=torch.float64, requires_grad=True)
    state = (state, torch.zeros(B, H, dtype=torch.float64)) if cell == "lstm" else state
    hidden, losses = [], []
    for t in range(T):
        state = step(x[:, t], state)
        hidden.append(state[0] if cell == "lstm" else state)
        losses.append(torch.nn.functional.cross_entropy(readout(hidden[-1]), targets[:, t], reduction="sum") / B)

    def run() -> None:
        for s in range(T):
            for one in torch.autograd.grad(losses[s], hidden[: s + 1], retain_graph=True):
                one.norm(dim=1)

    return run


def over_torch(cell: str) -> list[float]:
    """Compare with PyTorch; NaN where that is not installed."""
    try:
        import torch
    except ImportError:
        return [float("nan")]
    torch.set_num_threads(1)
    loss = network(cell)

    def ours() -> None:
        measure_lags(TapeRecording(loss.tape, {loss.id: np.ones(())}), rg.LagOptions("all", "all", updates=False))

    return ratios(ours, torch_calls(cell), rounds=3)


def growth() -> list[float]:
    """Measure 32 losses at ten times the timesteps over the same at the timesteps."""

    def lags(timesteps: int) -> float:
        x = np.random.default_rng(0).normal(size=(1, timesteps, 8))
        h = nn.RNN(8, UNITS, seed=0)(rg.Tape().input(x))
        loss = (h * h).sum()
        recording = TapeRecording(loss.tape, {loss.id: np.ones(())})
        return seconds(lambda: measure_lags(recording, rg.LagOptions(LOSSES, "all", updates=False)))

    lags(1000)
    return [lags(LONG) / lags(SHORT) for _ in range(3)]


def rows() -> Iterator[Row]:
    """List the measurements."""
    for cell in LAYERS:
        what = f"lag matrix of all losses / T calls of PyTorch, {cell}, T = {T}, N = {B}, H = {H}"
        yield Row(what, GOAL, partial(over_torch, cell))
    yield Row(f"{LOSSES} losses, T = {LONG:,} / T = {SHORT:,}, H = {UNITS}", GROWTH, growth)
