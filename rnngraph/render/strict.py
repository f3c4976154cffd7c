"""Strict JSON: what has no number in it, such as NaN and infinity, becomes null. In: plain data. Out: text or data."""

from __future__ import annotations

import json
import math
from typing import Any


def finite(value: float) -> float | None:
    """Give a number, or None where it is NaN or infinite."""
    return value if math.isfinite(value) else None


def json_line(document: dict[str, Any]) -> str:
    """Write a document as one line, without the line's end."""
    return json.dumps(plain(document), allow_nan=False)


def plain(tree: Any) -> Any:
    """Clean the dictionaries, lists and tuples of a document of numbers that JSON lacks."""
    if isinstance(tree, dict):
        return {key: plain(one) for key, one in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain(one) for one in tree]
    return finite(tree) if isinstance(tree, float) else tree
