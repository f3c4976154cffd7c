"""Every row of the table of families, held to tensors of known half-lives and to draws from its published start."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.sources.decay.families import FAMILIES
from rnngraph.trace.decay import SHARES
from tests.sources.decay.family_fixtures import FIXTURES, OTHER_FORMS, Fixture

EVERY = {**{name: (name, fixture) for name, fixture in FIXTURES.items()}, **OTHER_FORMS}


def test_every_family_has_a_fixture_and_a_name_of_its_own() -> None:
    assert [family.name for family in FAMILIES] == list(FIXTURES)


@pytest.mark.parametrize("name", EVERY)
def test_a_layer_is_read_as_it_was_made(name: str) -> None:
    family, fixture = EVERY[name]
    state = {f"net.{key}": np.asarray(value, np.float64) for key, value in fixture.tensors.items()}
    report = rg.decay(state, config=fixture.config)
    assert [one.family for one in report.layers] == [family]
    layer = report.layers[0]
    np.testing.assert_allclose(layer.half_lives, fixture.truth, rtol=1e-12)
    known = np.asarray(fixture.truth)
    assert layer.n == known.size
    assert (layer.quantiles[0], layer.quantiles[-1]) == pytest.approx((known.min(), known.max()))
    assert layer.judged
    assert not layer.findings
    assert not report.unread
    assert layer.name == (
        "net_l0" if family in ("lstm", "gru") else "net.att" if "att.w0" in fixture.tensors else "net"
    )


def test_half_precision_changes_a_half_life_by_no_more_than_its_digits() -> None:
    torch = pytest.importorskip("torch")
    fixture: Fixture = FIXTURES["mamba-1"]
    state = {name: torch.tensor(value, dtype=torch.bfloat16) for name, value in fixture.tensors.items()}
    np.testing.assert_allclose(rg.decay(state).layers[0].half_lives, fixture.truth, rtol=0.03)


def steps(draw: np.random.Generator, size: int) -> Any:
    """Draw dt log-uniform in [0.001, 0.1]."""
    return np.exp(draw.uniform(math.log(1e-3), math.log(0.1), size))


def ramp(first: float, last: float, bend: float) -> Any:
    """Run over the channels of a layer from `first` to `last`."""
    return first + (last - first) * np.linspace(0, 1, 4096) ** bend


# Half-lives as the authors' initialisation gives them, by the plain arithmetic of the recurrence.
SIZE = 200_000
DRAWN: dict[str, tuple[Callable[[np.random.Generator], Any], Callable[[np.random.Generator], Any] | None]] = {
    "mamba-1": (lambda r: math.log(2) / np.outer(steps(r, SIZE // 10), np.arange(1, 17)), None),
    "mamba-2": (lambda r: math.log(2) / (r.uniform(1, 16, SIZE) * steps(r, SIZE)), None),
    "gated-deltanet": (lambda r: math.log(2) / (r.uniform(0, 16, SIZE) * steps(r, SIZE)), None),
    "kda": (lambda r: math.log(2) / (r.uniform(1, 16, SIZE) * steps(r, SIZE)), None),
    "kda-bounded": (lambda r: math.log(2) / (5 * (1 - np.exp(-steps(r, SIZE)))), None),
    "gla": (lambda r: 16 * np.ones(8), None),
    "rwkv-4": (lambda r: math.log(2) / np.exp(ramp(-5, 3, 0.7)), lambda r: math.log(2) / np.exp(ramp(-5, 3, 2.0))),
    "rwkv-5/6": (
        lambda r: math.log(2) / np.exp(ramp(-6, -1, 0.7)),
        lambda r: math.log(2) / np.exp(ramp(-6, -1, 2.0)),
    ),
    "rwkv-7": (
        lambda r: math.log(2) * math.exp(0.5) * (1 + np.exp(-ramp(-6.5, -1.5, 0.85))),
        lambda r: math.log(2) * math.exp(0.5) * (1 + np.exp(-ramp(-6.5, -1.5, 1.85))),
    ),
    "rg-lru": (lambda r: math.log(2) / (-4 * np.log(np.sqrt(r.uniform(0.81, 0.998001, SIZE)))), None),
    "lru": (lambda r: math.log(2) / -np.log(np.sqrt(r.uniform(0.81, 0.998001, SIZE))), None),
    "s4d": (lambda r: math.log(2) / (0.5 * steps(r, SIZE)), None),
    "s5": (lambda r: math.log(2) / (0.5 * steps(r, SIZE)), None),
    "mlstm": (lambda r: math.log(2) / np.log1p(np.exp(-np.linspace(3, 6, 8))), None),
}


@pytest.mark.parametrize("family", [one for one in FAMILIES if one.start is not None], ids=lambda one: one.name)
def test_the_published_start_is_what_its_initialisation_gives(family: Any) -> None:
    first, last = DRAWN[family.name]
    start = family.start(16) if callable(family.start) else family.start
    for five, draw in ((start.low, first), (start.high, last or first)):
        drawn = np.quantile(draw(np.random.default_rng(0)), SHARES)
        inner = slice(0, 4) if family.name == "gated-deltanet" else slice(0, 5)  # U(0, 16) has no longest half-life
        np.testing.assert_allclose(five[inner], drawn[inner], rtol=0.04)
