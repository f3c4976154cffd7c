"""A flax model, watched as it is: two recurrent layers of flax, and a loss at the last step.

The loss function is the one that is trained with. Run `python examples/jax_flax.py [picture.svg]`.
"""

from __future__ import annotations

import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import rnngraph as rg

SAMPLES, STEPS, INPUTS, UNITS = 8, 24, 3, 16


class Memory(nn.Module):  # type: ignore[misc]
    """Two layers; the answer is read off the last state of the second."""

    @nn.compact  # type: ignore[untyped-decorator]
    def __call__(self, x: Any) -> Any:
        """Give an answer a sample."""
        below = nn.RNN(nn.OptimizedLSTMCell(UNITS), name="below")(x)
        above = nn.RNN(nn.SimpleCell(UNITS), name="above")(below)
        return nn.Dense(1)(above[:, -1])


def main() -> None:
    """Ask how far back the model learns."""
    model = Memory()
    x = jax.random.normal(jax.random.key(0), (SAMPLES, STEPS, INPUTS))
    params = model.init(jax.random.key(1), x)

    def loss(params: Any, x: Any, target: Any) -> Any:
        return jnp.mean((model.apply(params, x)[:, 0] - target) ** 2)

    print(rg.jax.scans(loss, params, x, x[:, 0, 0]))
    trace = rg.jax.watch(loss, params, x, x[:, 0, 0])
    print(rg.diagnose(trace, trial=rg.jax.trial(loss, params, x, x[:, 0, 0])))
    for parameter in trace.parameters[:4]:
        print(f"{parameter.name}: {parameter.grad.value:.2g}")
    if len(sys.argv) > 1:
        rg.render(trace, sys.argv[1])


if __name__ == "__main__":
    main()
