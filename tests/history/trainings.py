"""Trainings whose every number is known: ReLU networks whose recurrent weight is r times the identity.

Inputs, input weights and states are positive, so that every unit is linear: a step back multiplies a gradient by r
exactly. At the input and in the states, what is left at lag k of what there is at lag 1 is r^(k - 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.model import Trace

UNITS = 3


@cache
def network(rate: float, *, time: int = 40, every: bool = False, layers: int = 1, name: str | None = None) -> Trace:
    """Record a network that keeps `rate` a step; its loss is the sum of the last states, or of all of them."""
    layer = nn.RNN(2, UNITS, num_layers=layers, nonlinearity="relu", name=name)
    for parameter in layer.parameters():
        key = parameter.name.rpartition(".")[2][:2]
        parameter.value[...] = {"Wh": rate * np.eye(UNITS), "Wx": 0.5}.get(key, 0.0)
    x = rg.Tape().input(np.ones((2, time, 2)), "x")
    hidden = layer(x)
    return rg.record((hidden if every else hidden[:, time - 1]).sum(), lags=True)


def gain(rate: float, lag: int) -> float:
    """The decades that are left at a lag."""
    return (lag - 1) * math.log10(rate)


def reach(rate: float, time: int = 40) -> int:
    """The last lag at which 1 % is left."""
    return time - 1 if rate >= 1 else min(1 + math.floor(-2 / math.log10(rate)), time - 1)


def half_life(rate: float) -> float | None:
    """The steps in which a gradient halves."""
    return math.log(2) / -math.log(rate) if rate < 1 else None


def save(folder: Path, rates: Sequence[float], *, apart: int = 100, **options: Any) -> Path:
    """Save a training, a trace a rate; the loss of step n is 1 / (1 + n)."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, rate in enumerate(rates):
        name, data = _written(rate, place * apart, **options)
        (folder / name).write_bytes(data)
    return folder


@cache
def _written(rate: float, step: int, **options: Any) -> tuple[str, bytes]:
    with TemporaryDirectory() as folder:
        path = save_step(Path(folder), network(rate, **options), step)
        return path.name, path.read_bytes()


def save_step(folder: Path, trace: Trace, step: int) -> Path:
    """Save one trace as a monitor does."""
    path = folder / f"step-{step:09d}.npz"
    replace(trace, training_step=step, training_loss=1 / (1 + step)).save(path)
    return path
