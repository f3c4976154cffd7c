"""Strict JSON: what has no number in it, such as NaN and infinity, becomes null. In: data, arrays. Out: text, data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def finite(value: float) -> float | None:
    """Give a number, or None where it is NaN or infinite."""
    return value if math.isfinite(value) else None


def json_line(document: dict[str, Any]) -> str:
    """Write a document as one line, without the line's end."""
    return json.dumps(plain(document), allow_nan=False)


def picked(one: object, *names: str) -> dict[str, Any]:
    """Take what stands in a document under the name that it has in the program."""
    return {name: getattr(one, name) for name in names}


def plain(tree: Any) -> Any:
    """Clean the mappings, lists, tuples and arrays of a document of numbers that JSON lacks."""
    if isinstance(tree, np.ndarray):
        tree = tree.tolist()
    if isinstance(tree, Mapping):
        return {key: plain(one) for key, one in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain(one) for one in tree]
    return finite(tree) if isinstance(tree, float) else tree
