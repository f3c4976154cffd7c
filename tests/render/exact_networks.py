"""Networks of which every step back keeps exactly a known factor: tanh at rest, with a multiple of the unit matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.trace.model import Trace


def exact(
    r: float, *, timesteps: int = 60, labels: Any = None, layers: int = 1, both: bool = False, last: bool = False,
    name: str = "exact network", lags: Any = True,
) -> Trace:  # fmt: skip
    """Record a network with a loss at every step, or on the last alone, whose gradient a step back makes `r` times."""
    tape, units = rg.Tape(), 4
    tape.model = name
    if labels is not None:
        tape.step_labels = labels
    layer = rg.nn.RNN(units, units, num_layers=layers, bidirectional=both)
    for parameter in layer.parameters():
        recurrent = "Wh" in parameter.name
        parameter.value[...] = (
            (r if recurrent else 0.1) * np.eye(*parameter.value.shape) if "W" in parameter.name else 0
        )
    hidden = layer(tape.input(np.zeros((2, timesteps, units)), name="x"))
    read = hidden[:, timesteps - 1] if last else hidden
    return rg.record((read * np.linspace(1.0, 2.0, hidden.shape[2])).sum(), lags=lags)
