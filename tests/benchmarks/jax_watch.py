"""What watching a JAX loss costs, over `jax.jit(jax.value_and_grad(loss))`; compiling is not counted.

T = 200 steps of an LSTM of flax with 64 units and 16 samples, a loss at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import rnngraph as rg
from tests.benchmarks.row import Row, ratios

T, H, N, D, LOSSES = 200, 64, 16, 32, 32
NORMS, LAGS = 2.0, 8.0


def network() -> tuple[Callable[[Any, Any], Any], Any, Any]:
    """Make a loss, weights and a batch."""
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    layer = nn.RNN(nn.OptimizedLSTMCell(H))
    x = jax.random.normal(jax.random.key(0), (N, T, D))
    weights = layer.init(jax.random.key(1), x)
    return lambda weights, x: jnp.mean(layer.apply(weights, x) ** 2), weights, x


def over_gradients(what: str) -> list[float]:
    """Compare the compiled programs, or the whole trace, with value_and_grad; NaN where flax is not installed."""
    try:
        loss, weights, x = network()
    except ImportError:
        return [float("nan")]
    import jax

    from rnngraph.sources.jax.function import Options
    from rnngraph.sources.jax.watch import recorded

    plain = jax.jit(jax.value_and_grad(loss))

    def theirs() -> None:
        jax.block_until_ready(plain(weights, x))

    recording = recorded(loss, (weights, x), Options(weights=what == "weights"))

    def norms() -> None:
        jax.block_until_ready(recording.programs.whole(recording.arrays))

    def lags() -> None:
        rg.jax.watch(loss, weights, x, lags=rg.LagOptions(losses=LOSSES), weights=False)

    def trace() -> None:
        rg.jax.watch(loss, weights, x, lags=False, weights=False)

    ours = {"norms": norms, "weights": norms, "trace": trace, "lags": lags}[what]
    return ratios(ours, theirs, rounds=5, each=5)


def rows() -> Iterator[Row]:
    """Give the rows."""
    size = f"JAX, flax LSTM ({N}, {T}, {D}, {H})"
    yield Row(f"{size}: norms and both parts, over value_and_grad", NORMS, partial(over_gradients, "norms"))
    yield Row(f"{size}: a whole trace without lags", NORMS, partial(over_gradients, "trace"))
    yield Row(f"{size}: a whole trace with {LOSSES} lags", LAGS, partial(over_gradients, "lags"))
    yield Row(f"{size}: norms and each step's part of the weights", 2.8, partial(over_gradients, "weights"))
