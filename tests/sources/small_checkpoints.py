"""Small checkpoints of this package's own layers, and what `load` makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rnngraph import nn
from rnngraph.sources.checkpoint import Loaded, load
from rnngraph.sources.options import ModelOptions

Array = np.ndarray[Any, np.dtype[Any]]
X = np.random.default_rng(0).normal(size=(2, 6, 3))


def saved(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def loaded(weights: Any, data: Any = None, **options: Any) -> Loaded:
    return load(ModelOptions(str(weights), None if data is None else str(data), **options))


def our_layer(**options: Any) -> nn.LSTM:
    return nn.LSTM(3, 4, seed=1, **options)


def our_arrays(layer: Any, prefix: str = "") -> dict[str, Array]:
    return {prefix + name: value for name, value in layer.state_dict().items()}
