"""Time the full lag matrix in one sweep against T separate backward passes, of this engine and of PyTorch, in one run.

Prints the ratios and the memory at the peak; nothing fails on a time. Run `python -m tests.benchmarks.lags [CELL...]`;
BLAS uses all its threads unless `--one-thread` is given.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.backward import sweep
from rnngraph.measure.lag_options import LagOptions
from rnngraph.trace import lags
from tests.benchmarks.timing import median_time, one_thread, threads

T, B, D, H, V = 512, 4, 32, 128, 10
GOAL = 0.15
LAYERS = {"tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
PASSES = {"tanh": 3}  # how often T passes are timed; once for the others, which take several times as long
CELLS = {"tanh": "RNNCell", "lstm": "LSTMCell", "gru": "GRUCell"}


def network(cell: str) -> Any:
    """Make a layer with a softmax loss at every step."""
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    hidden = LAYERS[cell](D, H)(tape.input(rng.normal(size=(B, T, D))))
    return nn.temporal_softmax_loss(nn.Linear(H, V)(hidden), rng.integers(0, V, size=(B, T)))


def one_sweep(loss: Any, floor: float = 0.0) -> None:
    """Measure the matrix of all losses and samples: the whole, or down to a gain."""
    lags.measure(loss.tape, {loss.id: np.ones(())}, LagOptions("all", "all", floor=floor))


def separate_passes(loss: Any) -> None:
    """Walk every loss back on its own, to every state of the layer and no parameter."""
    tape = loss.tape
    node = next(node for node in tape.nodes if node.op.name == "temporal_softmax")
    names = ("W", "b", "Wx", "Wh", "bh")
    wanted = {one.id for one in tape.nodes if one.name is None or one.name.rpartition(".")[2] not in names}
    states = {node_id for one in tape.recurrences for ids in one.states.values() for node_id in ids}
    for s in range(T):
        cotangent = np.zeros(node.value.shape)
        cotangent[:, s] = 1 / B
        for step in sweep(tape, {node.id: cotangent}, wanted=wanted):
            if step.node.id in states:
                np.linalg.norm(step.gradient, axis=-1)


def torch_passes(cell: str) -> Callable[[], object] | None:
    """Prepare T calls of `torch.autograd.grad` on the same network; None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.normal(size=(B, T, D)))
    targets = torch.as_tensor(rng.integers(0, V, size=(B, T)))
    step = getattr(torch.nn, CELLS[cell])(D, H, dtype=torch.float64)
    readout = torch.nn.Linear(H, V, dtype=torch.float64)
    for parameter in (*step.parameters(), *readout.parameters()):
        parameter.requires_grad_(False)  # as above: no gradient of a parameter is formed
    state: Any = torch.zeros(B, H, dtype=torch.float64, requires_grad=True)
    state = (state, torch.zeros(B, H, dtype=torch.float64)) if cell == "lstm" else state
    hidden, losses = [], []
    for t in range(T):
        state = step(x[:, t], state)
        hidden.append(state[0] if cell == "lstm" else state)
        losses.append(torch.nn.functional.cross_entropy(readout(hidden[-1]), targets[:, t], reduction="sum") / B)

    def walk() -> None:
        for s in range(T):
            for gradient in torch.autograd.grad(losses[s], hidden[: s + 1], retain_graph=True):
                gradient.norm(dim=-1)

    return walk


def main() -> None:
    """Print both ratios for each cell that was asked for."""
    if "--one-thread" in sys.argv:
        one_thread()
    print(f"full lag matrix, T={T} B={B} H={H}, float64, {threads()}; goal: at most {GOAL} of either")
    for cell in [one for one in sys.argv[1:] if one != "--one-thread"] or list(LAYERS):
        repeats = PASSES.get(cell, 1)
        loss = network(cell)
        one_sweep(loss)  # warm
        sweep_time = median_time(lambda loss=loss: one_sweep(loss), 5)  # type: ignore[misc]
        pruned_time = median_time(lambda loss=loss: one_sweep(loss, 1e-16), 5)  # type: ignore[misc]
        own = median_time(lambda loss=loss: separate_passes(loss), repeats)  # type: ignore[misc]
        walk = torch_passes(cell)
        torch_time = median_time(walk, repeats) if walk else float("nan")
        tracemalloc.start()
        one_sweep(loss)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(
            f"{cell:5} one sweep {sweep_time:.2f} s; {T} passes of this engine {own:.2f} s: "
            f"ratio {sweep_time / own:.3f}; of PyTorch {torch_time:.2f} s: ratio {sweep_time / torch_time:.3f}; "
            f"{peak / 1e6:.0f} MB at the peak; down to a gain of 1e-16: {pruned_time / sweep_time:.2f} of the whole"
        )


if __name__ == "__main__":
    main()
