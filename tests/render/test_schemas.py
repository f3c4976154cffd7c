"""The published schemas, held to what the commands print: of every cell, shape, verdict and status."""

from __future__ import annotations

import inspect
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rnngraph.cli.app import COMMANDS
from rnngraph.cli.options.declare import with_options
from rnngraph.diagnosis.thresholds import Thresholds
from tests.render.printed import fill, printed_documents
from tests.render.schemas import SCHEMAS, faults, objects, visited

# Keys without a value in any document here.
NEVER = {
    "diagnose": {"floor", "parameter", "op", "scope"},
    "lags": {"floor"},
}
_WHERE = "/properties/findings/items/properties/where/properties"
OPTIONAL = {
    *(f"{_WHERE}/{key}" for key in (
        "state", "layer", "direction", "timestep", "sample", "parameter", "input", "node", "op", "scope",
    )),
    "/properties/layers/items/properties/live",
    *(f"/$defs/place/properties/{key}" for key in ("peak", "saturated")),
}  # fmt: skip


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Gather what the commands print, by schema."""
    return printed_documents(fill(tmp_path_factory.mktemp("schemas")))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_document_is_as_its_schema_has_it(documents: dict[str, list[Any]], name: str) -> None:
    assert documents[name]
    for document in documents[name]:
        assert not faults(name, document)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_of_a_schema_has_a_value_in_a_document(documents: dict[str, list[Any]], name: str) -> None:
    seen = {
        f"{place}/properties/{key}"
        for document in documents[name]
        for place, _, one in visited(name, SCHEMAS[name], document)
        for key, value in one.items()
        if value is not None
    }
    every = {f"{place}/properties/{key}" for place, one in objects(SCHEMAS[name]) for key in one.get("properties", ())}
    if find_spec("torch") is None:
        every = {place for place in every if "/live" not in place}
    missing = {place for place in every - seen if place.rpartition("/")[2] not in NEVER.get(name, ())}
    assert not missing, sorted(missing)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_key_that_is_dropped_added_or_of_another_type_is_a_fault(documents: dict[str, list[Any]], name: str) -> None:
    parts: dict[str, tuple[Any, dict[str, Any]]] = {}
    for document in sorted(documents[name], key=lambda one: len(str(one)), reverse=True):  # of each part the smallest
        parts |= {place: (node, one) for place, node, one in visited(name, SCHEMAS[name], document)}
    for place, (node, one) in parts.items():
        assert faults(name, {**one, "added": 1}, node), place
        for key in one:
            less = {other: value for other, value in one.items() if other != key}
            assert bool(faults(name, less, node)) is (f"{place}/properties/{key}" not in OPTIONAL), f"{place}/{key}"
            assert faults(name, {**one, key: {"of another": ["type"]}}, node), f"{place}/{key}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_says_what_every_key_is(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    open_maps = 0
    for place, one in objects(schema):
        if "properties" not in one:
            open_maps += 1
            assert isinstance(one["additionalProperties"], dict), place
            continue
        assert one["additionalProperties"] is False, place
        assert set(one["required"]) <= set(one["properties"]), place
        for key, value in one["properties"].items():
            assert value.get("description", "").endswith((".", "...")), f"{place}/{key}"
    assert open_maps == {"diagnose": 2, "decay": 3}.get(name, 0)


def test_every_command_that_writes_json_has_a_schema() -> None:
    writing = {
        command.__name__ for command, _ in COMMANDS if "json" in inspect.signature(with_options(command)).parameters
    }
    assert writing | {"picture"} == set(SCHEMAS)


def test_the_thresholds_are_those_of_the_diagnosis() -> None:
    listed = SCHEMAS["diagnose"]["properties"]["thresholds"]["properties"]
    assert set(listed) == {field.name for field in fields(Thresholds)}
