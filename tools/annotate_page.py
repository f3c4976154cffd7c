"""Photograph the page for the page on reading, with a number on each of its parts.

In: the model that ships. Out: `docs/pictures/page.png`. Needs Chromium and Playwright.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from examples.gallery import demo
from rnngraph.graph.draw import draw
from rnngraph.render.page.html import html
from tests.render.browser import chromium

ROOT = Path(__file__).parent.parent
# In the order of the text: what a number stands at the upper left corner of.
PARTS = (
    "#title", "#why", "#play", "#say", "#words", "#picture", "#factors-title", "#map", "#curve", "#link", "#findings",
)  # fmt: skip
PLACE = """(parts) => parts.forEach((part, at) => {
    const box = document.querySelector(part).getBoundingClientRect(), mark = document.createElement('b');
    mark.textContent = at + 1;
    mark.style.cssText = `position:absolute;left:${Math.max(2, box.left - 22)}px;top:${box.top + scrollY}px;width:20px;`
        + 'text-align:center;font:700 12px/20px sans-serif;border-radius:10px;background:#b42318;color:#fff';
    document.body.append(mark);
})"""


def main() -> None:
    """Take the picture."""
    with TemporaryDirectory() as folder, chromium() as browser:
        text = html(draw(demo(timesteps=60), theme="light"))
        one = browser.open(Path(folder) / "page.html", text, viewport={"width": 1200, "height": 1120})
        one.settle()
        one.page.evaluate(PLACE, list(PARTS))
        one.page.screenshot(path=ROOT / "docs" / "pictures" / "page.png")


if __name__ == "__main__":
    main()
