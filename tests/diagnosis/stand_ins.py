"""Layers, paths and networks made up of the facts that a rule reads, so that each stands exactly at its limit."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.nn.cells import CELLS
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import FORWARD

LIMITS = Thresholds()
NONE = np.zeros((2, 8), bool)


def a_recurrence(**facts: Any) -> Any:
    """A recurrence of eight steps and two samples."""
    known = {"name": "rnn", "layer": 0, "direction": FORWARD, "clock": 0, "timesteps": 8, "batch": 2}
    return SimpleNamespace(**{**known, "valid": np.ones((2, 8), bool), "cut": np.zeros(8, bool), **facts})


def a_state(**facts: Any) -> Any:
    """A state whose gradient is 1 everywhere."""
    known = {"name": "rnn.h", "kind": "h", "recurrence": "rnn", "nodes": np.arange(10, 18)}
    grad = Magnitudes.of(np.ones(8))
    return SimpleNamespace(
        **{**known, "grad": grad, "carried": grad, "saturated": np.zeros(8), "nonfinite": np.zeros(8, int), **facts}
    )


def a_credit(**facts: Any) -> Any:
    """A credit of three losses, all of which arrive."""
    known = {"arrivals": np.empty((0, 0), int), "start": np.zeros((2, 8)), "reverse": False, "unused": NONE}
    return SimpleNamespace(**{**known, "seeds": 3, "nonfinite": 0, **facts})


def a_layer(cell: str = "tanh", **facts: Any) -> Any:
    """A layer that keeps everything over 40 steps."""
    name = facts.pop("name", "rnn")
    recurrence = facts.pop("recurrence", None) or a_recurrence(name=name)
    states = facts.pop("states", (a_state(name=f"{name}.h", recurrence=name),))
    known: dict[str, Any] = {
        "name": name, "limits": LIMITS, "recurrence": recurrence, "cell": CELLS[cell].facts, "states": states,
        "horizon": 40, "asked": None, "left": -0.5, "decades": -0.5, "decades_from_first": -0.5,
        "peak": 0.0, "peak_lag": 1,
        "rate": -0.03, "half_life": math.log(2) / 0.03, "saturated": 0.0, "activation": -0.01, "weights": -0.02,
        "gate": None, "window": None, "update": None,
        "trace": SimpleNamespace(parameters=(), dtype="float32", recurrent_weight=lambda state: None),
        "where": {"state": f"{name}.h", "layer": recurrence.layer, "direction": recurrence.direction},
        "sums": SimpleNamespace(reach=lambda epsilon: 40),
        "lags": (SimpleNamespace(losses=np.arange(8), samples=np.arange(2), available=8, joint=False),),
        "credit": a_credit(),
        "gate_timescales": lambda: np.empty(0),
    }  # fmt: skip
    return SimpleNamespace(**{**known, **facts})


def a_path(layer: Any = None, **facts: Any) -> Any:
    """A path on which all is well; `participation` is of losses and samples."""
    shares = facts.pop("participation", (1.0, 1.0))
    known: dict[str, Any] = {
        "input": None, "layer": a_layer() if layer is None else layer, "horizon": 40, "reach": 40, "decades": -0.5,
        "alone": -0.5, "written": math.nan, "whole": True,
        "sums": SimpleNamespace(participation=lambda lag: shares, longest=40),
    }  # fmt: skip
    path = SimpleNamespace(**{**known, **facts})
    path.where = path.layer.where
    path.shut = lambda limit: path.written <= limit
    return path


def a_network(layers: Any = (), path: Any = None, **facts: Any) -> Any:
    """A network whose layers all lie on one path."""
    known: dict[str, Any] = {
        "limits": LIMITS, "asked": None, "layers": tuple(layers), "paths": (path,),
        "trace": SimpleNamespace(lags=(SimpleNamespace(joint=False),), recurrences=()),
        "path_of": lambda layer: path, "carriers": lambda layer: [], "update_from": lambda lag: None,
    }  # fmt: skip
    return SimpleNamespace(**{**known, **facts})
