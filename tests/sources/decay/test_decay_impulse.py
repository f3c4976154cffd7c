"""Every formula against the running module: after an impulse, zeros come in, and the state halves as was read."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rnngraph as rg  # noqa: E402
from tests.sources.decay.running_modules import ROWS, Running, built, cached, logarithm  # noqa: E402

FIRST, LAST = 8, 40  # past the window of a short convolution; long enough that rounding is small


def states(row: Running, layer: Any, config: Any) -> tuple[Any, Any]:
    """Run the layer to two lengths."""
    with torch.no_grad():
        if row.state is not None:
            return row.state(layer, config, FIRST), row.state(layer, config, LAST)
        return logarithm(cached(layer, config, FIRST)), logarithm(cached(layer, config, LAST))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_state_halves_in_the_steps_that_were_read(row: Running) -> None:
    if row.package:
        pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library: deprecations, and kernels that are not there
        layer, config = built(row)
        early, late = states(row, layer, config)
    report = rg.decay(layer, config={} if config is None else config)
    assert [(one.family, one.judged) for one in report.layers] == [(row.family, True)]
    half_lives = report.layers[0].half_lives
    seen = largest(early, half_lives.shape, (early - late) / (LAST - FIRST))  # nats a step
    assert np.isfinite(seen).all()
    assert np.ptp(half_lives) > 0.2
    assert np.abs(seen * half_lives / np.log(2) - 1).max() < 1e-5


def largest(early: Any, shape: tuple[int, ...], rates: Any) -> Any:
    """Take of the numbers that share a decay the one of the largest state, which rounding touches least."""
    flat = early.reshape(*shape, -1)
    place = np.where(np.isfinite(flat), flat, -np.inf).argmax(axis=-1)
    return np.take_along_axis(rates.reshape(*shape, -1), place[..., None], axis=-1)[..., 0]


def test_at_least_eight_families_run() -> None:
    assert len({row.family for row in ROWS}) >= 8
