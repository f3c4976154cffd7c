"""What is called healthy at the lag that a task needs can learn it, and what is called vanishing cannot, now.

A class is told at the first step of a sequence and asked for at the end. Every network is judged before it learns, with
the lag of the task as the horizon, and then trained for a moment with Adam. Run
`python -m tests.benchmarks.learning [SEEDS]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from tests.diagnosis.path_networks import attended

Array = Any
T, D, H, N, STEPS = 50, 4, 24, 32, 150
LEARNED, CHANCE = 0.8, 0.45  # accuracy of four classes


@dataclass(frozen=True, slots=True)
class Task:
    """A network, how it is read, and what its verdict should be."""

    name: str
    verdict: str
    layer: Callable[[int], Any]
    read: Callable[[rg.Tensor, int], rg.Tensor] = lambda hidden, seed: hidden[:, T - 1]


def biased(layer: Any, letter: str, value: float, ending: str = "") -> Any:
    """Set the bias of a gate of an LSTM."""
    place = "ifog".index(letter)
    layer.parameter("b" + ending).value[place * H : (place + 1) * H] = value
    return layer


def lstm(seed: int, **options: Any) -> Any:
    """Make an LSTM."""
    return nn.LSTM(D, H, seed=seed, **options)


def ends(hidden: rg.Tensor, seed: int) -> rg.Tensor:
    """Read both ends of both directions."""
    return rg.concatenate([hidden[:, T - 1, :H], hidden[:, 0, H:]], axis=-1)


TASKS = (
    Task("tanh, last step", "vanishing", lambda s: nn.RNN(D, H, seed=s)),
    Task("tanh, attention", "healthy", lambda s: nn.RNN(D, H, seed=s), attended),
    Task("tanh, mean of all steps", "healthy", lambda s: nn.RNN(D, H, seed=s), lambda h, s: h.mean(axis=1)),
    Task("tanh, first and last step", "healthy", lambda s: nn.RNN(D, H, seed=s), lambda h, s: h[:, 0] + h[:, T - 1]),
    Task("tanh, orthogonal x 4", "exploding", lambda s: nn.RNN(D, H, init="orthogonal", gain=4.0, seed=s)),
    Task("LSTM, default", "vanishing", lstm),
    Task("LSTM, forget bias 5", "healthy", lambda s: lstm(s, forget_bias=5.0)),
    Task("LSTM, chrono", "healthy", lambda s: lstm(s, init="chrono", horizon=T)),
    Task("LSTM, forget bias 8, input gate shut", "unwritten", lambda s: biased(lstm(s, forget_bias=8.0), "i", -20.0)),
    Task("two LSTMs, the lower one keeps", "healthy",
         lambda s: biased(lstm(s, num_layers=2, forget_bias=6.0), "f", -3.0, "_l1")),
    Task("two LSTMs, neither keeps", "vanishing", lambda s: lstm(s, num_layers=2, forget_bias=-3.0)),
    Task("LSTM both ways, read at both ends", "healthy", lambda s: lstm(s, bidirectional=True), ends),
    Task("GRU, default", "vanishing", lambda s: nn.GRU(D, H, seed=s)),
    Task("GRU, chrono", "healthy", lambda s: nn.GRU(D, H, init="chrono", horizon=T, seed=s)),
)  # fmt: skip


def loss_of(task: Task, layer: Any, head: nn.Linear, seed: int, rng: np.random.Generator) -> tuple[rg.Tensor, float]:
    """Record the loss of one batch, and compute the accuracy."""
    y = rng.integers(0, D, size=N)
    x = 0.1 * rng.normal(size=(N, T, D))
    x[:, 0] += 3 * np.eye(D)[y]
    scores = head(task.read(layer(rg.Tape().input(x)), seed))
    accuracy = float(np.mean(scores.value.argmax(axis=-1) == y))
    return nn.temporal_softmax_loss(scores.reshape(N, 1, D), y[:, None]), accuracy


def run(task: Task, seed: int) -> tuple[str, float]:
    """Judge a network at the lag of the task and train it: the verdict, and the accuracy of the last ten batches."""
    layer = task.layer(seed)
    head = nn.Linear(2 * H if len(layer.directions) == 2 else H, D, seed=seed)
    rng = np.random.default_rng(seed)
    loss, _ = loss_of(task, layer, head, seed, rng)
    verdict = rg.diagnose(rg.record(loss, lags=True), horizon=T - 1).verdict
    moments: dict[str, tuple[Array, Array]] = {}
    found = []
    for step in range(1, STEPS + 1):
        loss, accuracy = loss_of(task, layer, head, seed, rng)
        found.append(accuracy)
        gradients = rg.gradients(loss)
        for one in (*layer.parameters(), *head.parameters()):
            g = gradients[one.name]
            m, v = moments.get(one.name, (np.zeros_like(g), np.zeros_like(g)))
            moments[one.name] = m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
            one.value = one.value - 0.01 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
    return verdict, float(np.mean(found[-10:]))


def main() -> None:
    """Print a line a network and seed, and the counts."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    agrees = total = 0
    for task in TASKS:
        for seed in range(seeds):
            verdict, accuracy = run(task, seed)
            learned = accuracy >= LEARNED
            right = verdict == task.verdict and (learned if verdict == "healthy" else accuracy <= CHANCE)
            agrees, total = agrees + right, total + 1
            print(
                f"{task.name:38} seed {seed}  {verdict:10} accuracy {accuracy:4.0%}  {'' if right else 'NOT'}",
                flush=True,
            )
    print(f"verdict and training agree: {agrees} of {total}")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main()
