"""The page read by axe-core: no violation, in light and dark, wide and on a phone, closed and opened."""

from __future__ import annotations

from pathlib import Path

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
Look = tuple[str, str]


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
    ("words", ("wide", "light"), ("phone", "dark")), ("both-ways", ("narrow", "light"), ("wide", "dark")),
    ("explodes", ("phone", "light"), ("narrow", "dark")), ("no lags", ("phone", "light"), ("wide", "dark")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "first", "second"), CASES)
def test_nothing_stands_in_a_readers_way(show: Open, name: str, first: Look, second: Look) -> None:
    one = show(traces()[name], context={"bypass_csp": True, "color_scheme": "light"})
    look(one, first)
    if name == "words":
        assert violations(one) == []  # nor before it is opened
    one.open_every_step()
    for details in ("#weights", "#findings"):
        if one.page.is_visible(details):
            one.page.click(f"{details} > summary")
    for size_and_scheme in (first, second):
        look(one, size_and_scheme)
        assert violations(one) == []
    if name == "no lags":
        one.page.keyboard.press("?")
        assert violations(one) == []  # the help is read too


def look(one: Opened, size_and_scheme: Look) -> None:
    size, scheme = size_and_scheme
    one.page.set_viewport_size(SIZES[size])
    one.page.emulate_media(color_scheme=scheme)
    one.settle()
