"""What the tests of every folder may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.render.browser import chromium


@pytest.fixture(scope="session")
def running_browser() -> Iterator[Any]:
    """One Chromium a worker; skips where there is none."""
    with chromium() as started:
        yield started


@pytest.fixture
def browser(running_browser: Any) -> Iterator[Any]:
    """The browser for one test, whose pages are closed when it ends."""
    before = list(running_browser.contexts)
    yield running_browser
    for context in running_browser.contexts:
        if context not in before:
            context.close()
