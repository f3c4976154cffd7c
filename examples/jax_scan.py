"""A recurrence written by hand with `jax.lax.scan`, and what it would be with other recurrent weights.

The step carries a state and the loss so far: every step's part of the loss is told all the same. Run
`python examples/jax_scan.py`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rnngraph as rg

SAMPLES, STEPS, INPUTS, UNITS = 8, 30, 3, 16


def loss(params: Any, x: Any, targets: Any) -> Any:
    """Sum the errors of all steps on the way."""

    def step(carry: Any, now: Any) -> Any:
        h, total = carry
        x, target = now
        h = jnp.tanh(h @ params["recurrent"] + x @ params["input"])
        return (h, total + jnp.mean((h @ params["head"] - target) ** 2)), None

    (_, total), _ = jax.lax.scan(step, (jnp.zeros((SAMPLES, UNITS)), 0.0), (x, targets))
    return total


def main() -> None:
    """Trace the loss with a weak and with a strong recurrent weight."""
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (STEPS, SAMPLES, INPUTS))
    targets = jnp.roll(x[..., :1], 5, axis=0)
    for gain in (0.5, 1.5):
        params = {
            "recurrent": gain * jax.random.normal(keys[1], (UNITS, UNITS)) / np.sqrt(UNITS),
            "input": jax.random.normal(keys[2], (INPUTS, UNITS)) / np.sqrt(INPUTS),
            "head": jax.random.normal(keys[3], (UNITS, 1)) / np.sqrt(UNITS),
        }
        trace = rg.jax.watch(loss, params, x, targets)
        diagnosis = rg.diagnose(trace)
        fall = np.diff(np.median(trace.lags[0].log[:, -1, 1:], axis=0)).mean() / np.log(10)
        print(f"recurrent weight times {gain}: {diagnosis.flags[0]}; {-fall:+.2f} decades a step on the way back")


if __name__ == "__main__":
    main()
