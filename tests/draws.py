"""Arrays drawn at random, the same for the same shape and seed."""

from __future__ import annotations

from typing import Any

import numpy as np


def draw(*shape: int, scale: float = 0.5, seed: int = 0, dtype: Any = np.float64) -> Any:
    """Draw from a normal distribution about 0."""
    return np.asarray(np.random.default_rng((seed, *shape)).normal(size=shape) * scale, dtype)
