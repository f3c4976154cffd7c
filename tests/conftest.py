"""What the tests of every folder may ask for, and how the libraries that they compare with are to run."""

from __future__ import annotations

import gc
import os
import signal

# Before NumPy and PyTorch count the cores: threads of small products only wait for each other.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from collections.abc import Generator, Iterator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

from tests.render.browser import Browser, chromium

# What looks into the parts that need PyTorch is collected where that is installed.
collect_ignore_glob = [] if find_spec("torch") else ["sources/torch/*", "monitor/test_what_goes_wrong.py"]

# How long an example takes says how busy the machine is.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is collected out of every search for garbage: with PyTorch these are a million objects that stay."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()
    return result


@pytest.fixture(scope="session")
def running_browser() -> Iterator[Browser]:
    """One Chromium a worker; skips where there is none."""
    with chromium() as started:
        yield started


@pytest.fixture
def browser(running_browser: Browser) -> Iterator[Browser]:
    """The browser for one test, which gives its pages back when it ends."""
    before = list(running_browser.lent)
    yield running_browser
    for one in [one for one in running_browser.lent if one not in before]:
        running_browser.take_back(one)


@pytest.fixture
def heeded() -> Iterator[None]:
    """Let what a test starts heed Ctrl-C, which a shell has ignored for the whole suite that runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
