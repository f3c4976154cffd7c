"""The page read by axe-core: no violation, in light and dark, wide and on a phone, closed and opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rnngraph.trace.model import Trace
from tests.render.browser import Opened
from tests.render.page.opened import Open, network, replace_labels, show
from tests.traces import make_trace

__all__ = ["show"]

AXE = Path(__file__).parents[3] / ".venv/web/node_modules/axe-core/axe.min.js"
pytestmark = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: see tools/web/package.json")

SIZES = {
    "wide": {"width": 1440, "height": 900},
    "narrow": {"width": 900, "height": 900},
    "phone": {"width": 390, "height": 844},
}
RULES = {"resultTypes": ["violations"]}


def violations(one: Opened) -> list[str]:
    if not one.page.evaluate("typeof window.axe === 'object'"):
        one.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = one.page.evaluate("(rules) => axe.run(document, rules)", RULES)["violations"]
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def traces() -> dict[str, Trace]:
    words = tuple(f"word{t}" for t in range(60))
    return {
        "words": replace_labels(network("from-one-loss"), words),
        "both-ways": network("bidirectional"),
        "explodes": network("exploding"),
        "no lags": make_trace(timesteps=5),
    }


# Every trace in both schemes and in two widths, and every width in both schemes.
CASES = [
    ("words", "wide", "light"), ("words", "phone", "dark"), ("both-ways", "narrow", "light"),
    ("both-ways", "wide", "dark"), ("explodes", "phone", "light"), ("explodes", "narrow", "dark"),
    ("no lags", "phone", "light"), ("no lags", "wide", "dark"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "size", "scheme"), CASES)
def test_nothing_stands_in_a_readers_way(show: Open, name: str, size: str, scheme: str) -> None:
    context: dict[str, Any] = {"viewport": SIZES[size], "color_scheme": scheme, "bypass_csp": True}
    one = show(traces()[name], context=context)
    one.open_every_step()
    for details in ("#weights", "#findings"):
        if one.page.is_visible(details):
            one.page.click(f"{details} > summary")
    one.settle()
    assert violations(one) == []


def test_nor_before_it_is_opened(show: Open) -> None:
    one = show(traces()["words"], context={"bypass_csp": True})
    one.settle()
    assert violations(one) == []


def test_the_help_is_read_too(show: Open) -> None:
    one = show(network("gru"), context={"bypass_csp": True})
    one.page.keyboard.press("?")
    assert violations(one) == []
