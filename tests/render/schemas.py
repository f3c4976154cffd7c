"""The published schemas, and which of their keys real documents have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS: dict[str, Any] = {
    path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
    for path in (files("rnngraph") / "render" / "schemas").iterdir()
}


def faults(name: str, document: Any, part: Any = None) -> list[str]:
    """Say where a document, or a part of one, is not as its schema has it."""
    schema = SCHEMAS[name]
    node = schema if part is None else {**part, "$defs": schema.get("$defs", {})}
    found = Draft202012Validator(node).iter_errors(document)
    return [f"{one.json_path}: {one.message[:200]}" for one in found]


def objects(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk over every part of a schema that says what an object's keys are, and name its place."""
    if isinstance(node, dict):
        if "properties" in node or "additionalProperties" in node:
            yield place, node
        for key, one in node.items():
            yield from objects(one, f"{place}/{key}")
    elif isinstance(node, list):
        for key, one in enumerate(node):
            yield from objects(one, f"{place}/{key}")


def visited(name: str, node: Any, value: Any, place: str = "") -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Walk over the objects of a document together with the part of its schema that names their keys."""
    if "$ref" in node:
        place = node["$ref"].removeprefix("#")
        yield from visited(name, SCHEMAS[name]["$defs"][place.rpartition("/")[2]], value, place)
    for number, one in enumerate(node.get("anyOf", ())):
        if value is not None:
            yield from visited(name, one, value, f"{place}/anyOf/{number}")
    if isinstance(value, dict) and "properties" in node:
        yield place, node, value
        for key, below in value.items():
            if key in node["properties"]:
                yield from visited(name, node["properties"][key], below, f"{place}/properties/{key}")
    elif isinstance(value, dict) and "additionalProperties" in node:
        for below in value.values():
            yield from visited(name, node["additionalProperties"], below, f"{place}/additionalProperties")
    elif isinstance(value, list):
        for below in value:
            yield from visited(name, node.get("items", {}), below, f"{place}/items")
