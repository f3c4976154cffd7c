"""A loss of a hand-written scan, as a reader of the page on JAX has it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rnngraph

draw = np.random.default_rng(0)
params = {"Wx": jnp.asarray(draw.normal(size=(4, 8))), "Wh": jnp.asarray(draw.normal(size=(8, 8)) * 0.2)}
batch = jnp.asarray(draw.normal(size=(12, 3, 4)))  # (T, N, D)


def loss_fn(params: Any, batch: Any) -> Any:
    """Sum the squares of the states of a tanh scan."""

    def step(h: Any, x: Any) -> Any:
        h = jnp.tanh(x @ params["Wx"] + h @ params["Wh"])
        return h, (h**2).sum()

    return jax.lax.scan(step, jnp.zeros((3, 8)), batch)[1].sum()


__all__ = ["batch", "loss_fn", "params", "rnngraph"]
