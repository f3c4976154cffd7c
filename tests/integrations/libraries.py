"""Libraries that train, loaded by the test that needs one: each takes seconds, in every process that gathers tests."""

from __future__ import annotations

import warnings
from typing import Any

import pytest


def loaded(library: str, ours: str) -> tuple[Any, Any]:
    """Load a library and the callback for it; skip where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that it imports
        return pytest.importorskip(library), pytest.importorskip(f"rnngraph.integrations.{ours}").MonitorCallback
