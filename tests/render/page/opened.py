"""What the tests of the page share: networks to look at, what opens their pages, and a page's bare modules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.graph.draw import draw
from rnngraph.render.page.html import embedded, html, modules, plain
from rnngraph.render.page.payload import payload
from rnngraph.trace.model import Trace
from tests.graph import mock_networks as mocks
from tests.render.browser import Browser, Opened

Open = Callable[..., Opened]


@cache
def halving(timesteps: int = 60) -> Trace:
    """Record a tanh network at rest, of which every step back keeps exactly a half, with a loss at every step."""
    tape = rg.Tape()
    layer = rg.nn.RNN(3, 4)
    for parameter in layer.parameters():
        parameter.value[...] = 0.5 * np.eye(4) if "Wh" in parameter.name else 0.0
    h = layer(tape.input(np.zeros((2, timesteps, 3))))
    return rg.record((h * np.random.default_rng(3).normal(size=4)).sum(), lags=rg.LagOptions("all", "all"))


def padded() -> Trace:
    mask = np.arange(20) < np.array([[20], [20], [13], [20], [7], [20], [20], [11]])
    return mocks.one_layer(rg.nn.GRU(16, 8, seed=1), timesteps=20, mask=mask)


def replace_labels(trace: Trace, labels: tuple[str, ...]) -> Trace:
    return replace(trace, labels=labels)


NETWORKS: dict[str, Callable[[], Trace]] = mocks.MOCKS | {
    "lstm-stack": lambda: mocks.one_layer(rg.nn.LSTM(16, 8, num_layers=2, seed=1), timesteps=20),
    "lstm-both-ways": lambda: mocks.one_layer(rg.nn.LSTM(16, 8, bidirectional=True, seed=1), timesteps=20),
    "gru": lambda: mocks.one_layer(rg.nn.GRU(16, 8, seed=1), timesteps=20),
    "one-loss": lambda: mocks.remembers(last=True),
    "truncated": lambda: mocks.one_layer(rg.nn.RNN(16, 8, truncate=6, seed=1), timesteps=20),
    "padded": padded,
}


# Those whose pages differ in more than numbers.
UNLIKE = [name for name in NETWORKS if name not in ("lstm-remembers", "saturated", "gru")]


@cache
def network(name: str) -> Trace:
    return NETWORKS[name]()


_WRITTEN: dict[int, tuple[Trace, str]] = {}


def written(trace: Trace) -> str:
    """Write the page of a trace, once for all tests that look at it."""
    _, text = _WRITTEN.get(id(trace)) or _WRITTEN.setdefault(id(trace), (trace, html(draw(trace))))
    return text


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open pages; at the end nothing may have gone wrong in any of them."""
    opened: list[Opened] = []

    def start(
        trace: Trace, *, address: str = "", stopped: bool = False, context: dict[str, Any] | None = None, **options: Any
    ) -> Opened:
        path = tmp_path / f"{len(opened)}.html"
        text = html(draw(trace, **options)) if options else written(trace)
        opened.append(browser.open(path, text, address=address, stopped=stopped, **(context or {})))
        return opened[-1]

    yield start
    for one in opened:
        assert one.wrong == []


def bare(browser: Browser, path: Path, trace: Trace, entry: str, names: tuple[str, ...]) -> Opened:
    """Open a page of one module and those that it needs, with some of its names where a test can reach them."""
    script = "\n".join(plain(name) for name in modules(entry))
    data = embedded(json.loads(json.dumps(payload(draw(trace)))))
    given = "".join(f"window.{name} = {name};" for name in names)
    scripts = f'<script type="application/json" id="data">{data}</script><script>{{{script}\n{given}}}</script>'
    return browser.open(path, f"<!doctype html>{scripts}")
