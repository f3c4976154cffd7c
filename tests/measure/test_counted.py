"""How far a walk is, told to whoever listens: every step of every recurrence once, whatever the source."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.progress import listening

T = 30


def tape_run(layers: int, lags: bool) -> None:
    hidden = nn.LSTM(3, 4, num_layers=layers)(rg.Tape().input(np.ones((2, T, 3))))
    rg.record((hidden * hidden).sum(), lags=lags)


def torch_run(layers: int, lags: bool) -> None:
    import torch

    from rnngraph.torch import watch

    model = torch.nn.LSTM(3, 4, num_layers=layers, batch_first=True)
    with watch(model) as seen:
        model(torch.ones(2, T, 3))[0].square().sum().backward()
    seen.trace(lags=lags)


def jax_run(layers: int, lags: bool) -> None:
    import jax
    import jax.numpy as jnp

    def loss(weights: Any, xs: Any) -> Any:
        for weight in weights:

            def step(h: Any, x: Any, weight: Any = weight) -> Any:
                h = jnp.tanh(x + h @ weight)
                return h, h

            xs = jax.lax.scan(step, jnp.zeros((2, 3)), xs)[1]
        return (xs**2).sum()

    rg.jax.watch(loss, [jnp.eye(3) * 0.5] * layers, jnp.ones((T, 2, 3)), lags=lags)


SOURCES: dict[str, Any] = {"tape": tape_run}
SOURCES |= {name: run for name, run in (("torch", torch_run), ("jax", jax_run)) if find_spec(name) is not None}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("source", SOURCES)
def test_every_step_is_told_and_the_last_number_is_the_whole(source: str, layers: int) -> None:
    told: list[str] = []
    with listening(told.append):
        SOURCES[source](layers, lags=True)
    for work in ("walking the loss back", f"walking {T} losses back"):
        found = [re.fullmatch(rf".*{work}: step ([\d,]+) of ([\d,]+)", one) for one in told]
        numbers = [(int(one[1]), int(one[2])) for one in found if one]
        assert numbers[-1] == (T * layers, T * layers)
        assert [done for done, _ in numbers] == sorted({done for done, _ in numbers})


def test_a_thousand_steps_are_counted_though_many_are_walked_in_one_go() -> None:
    hidden, told = nn.RNN(2, 3)(rg.Tape().input(np.ones((1, 1000, 2)))), list[str]()
    with listening(told.append):
        rg.record(hidden[:, -1].sum(), lags=True)
    assert told[-1].endswith("walking 1 loss back: step 1,000 of 1,000")
