"""What the tests of every folder may ask for, and how the libraries that they compare with are to run."""

from __future__ import annotations

import os

# Before NumPy and PyTorch count the cores: threads of small products only wait for each other.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.render.browser import chromium

# How long an example takes says how busy the machine is.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


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
