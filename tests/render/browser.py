"""Opens pages in a headless Chromium, for the tests of the interactive page; skips where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

# The shell is the browser without its window; it opens a page for a fifth of the processor time.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

# Two frames, longer than any delay with which the page puts off its drawing, and the frame that shows it.
SETTLED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
    setTimeout(() => requestAnimationFrame(() => setTimeout(done)), 150))))"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    api = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, headless=True, args=ARGUMENTS)
        yield Browser(running)
        running.close()


class Browser:
    """A running browser. A page that a test is done with is used again, which takes half as long as a new one."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self.lent: list[Opened] = []
        self._spare: dict[str, list[Opened]] = {}

    def open(self, path: Path, text: str, *, address: str = "", stopped: bool = False, **context: Any) -> Opened:
        """Open the text as a page from disk; with `stopped` its clock goes only as far as `page.clock` lets it."""
        kind = "" if stopped else repr(sorted(context.items()))
        spare = self._spare.get(kind)
        one = spare.pop() if spare else Opened(self.running, kind, context)
        self.lent.append(one)
        if stopped:
            one.page.clock.install(time=0)
            one.page.clock.pause_at(1)
        one.turn_to(path, text, address)
        return one

    def take_back(self, one: Opened) -> None:
        """Keep a page for the next test that wants one of its kind; close one in which something went wrong."""
        self.lent.remove(one)
        if one.wrong or not one.kind:
            one.context.close()
            return
        one.page.goto("about:blank")
        one.page.mouse.move(0, 0)  # else the next page would begin with the pointer on it
        self._spare.setdefault(one.kind, []).append(one)


class Opened:
    """A page from disk with everything that went wrong in it: errors, complaints of the policy, requests."""

    def __init__(self, running: Any, kind: str, context: dict[str, Any]) -> None:
        self.path, self.kind = Path(), kind
        self.context = running.new_context(**{"viewport": {"width": 1300, "height": 800}, "offline": True} | context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type in {"error", "warning"} else None
        )
        self.page.on("dialog", self._close_dialog)
        self.page.on(
            "request",
            lambda request: self.wrong.append(request.url) if not self._is_own(request.url) else None,
        )

    def turn_to(self, path: Path, text: str, address: str = "") -> None:
        """Open another text as a page in the place of this one, which is faster than a page of its own."""
        self.path = path
        path.write_text(text, encoding="utf-8")
        self.page.goto(path.as_uri() + address)

    def _is_own(self, address: str) -> bool:
        return address.partition("#")[0] == self.path.as_uri()

    def _close_dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def open_every_step(self) -> None:
        """Open the graph of every step, if it is not open."""
        if self.page.get_attribute("#all", "open") is None:
            self.page.click("#all > summary")
        self.page.wait_for_selector("#columns .column", state="attached")

    def settle(self) -> None:
        """Wait until the page has drawn what it was asked for: timers run in the order in which they are due."""
        self.page.evaluate(SETTLED)

    def shown(self, selector: str) -> list[str]:
        """Return the text of every element."""
        return [str(text) for text in self.page.locator(selector).all_text_contents()]

    def count(self, selector: str) -> int:
        """Count elements."""
        return int(self.page.locator(selector).count())

    def focused(self) -> str:
        """Return what a screen reader says of the element with the focus."""
        return str(self.page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"))

    def scale(self) -> float:
        """Return how much the drawing is magnified."""
        transform = self.page.get_attribute("#world", "transform")
        return float(transform.split("scale(")[1].split()[0].strip(")"))
