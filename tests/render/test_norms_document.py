from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from rnngraph.diagnosis.chosen_loss import seen
from rnngraph.render.report.norms.norms_json import norms_json
from tests.render.exact_networks import exact
from tests.render.norms_trace import magnitudes_of_every_status, norms_trace, state_trace
from tests.typed import strict


def magnitude(value: float) -> dict[str, object]:
    return {"value": value, "log10": float(np.log10(value)), "status": "ok"}


def test_the_whole_document_of_one_step() -> None:
    state = state_trace(1, saturated=np.array([0.25]))
    trace = norms_trace(1, states=(state,), valid=np.array([[True], [False]]))
    assert json.loads(norms_json(trace)) == {
        "schema": 1,
        "model": "a model",
        "batch": 2,
        "timesteps": 1,
        "dtype": "float64",
        "loss": 1.5,
        "states": [
            {
                "name": "rnn.h",
                "layer": 0,
                "direction": "forward",
                "kind": "h",
                "initial": magnitude(0.1),
                "steps": [
                    {
                        "t": 0,
                        "label": "word0",
                        "valid": 1,
                        "grad": {"value": 1.0, "log10": 0.0, "status": "ok"},
                        "immediate": magnitude(0.6),
                        "carried": {"value": 0.0, "log10": None, "status": "zero"},
                        "gain": None,
                        "saturated": 0.25,
                        "quantiles": {"q10": magnitude(0.1), "q50": magnitude(0.5), "q90": magnitude(0.9)},
                    }
                ],
            }
        ],
        "parameters": [{"name": "rnn.Wh", "grad": magnitude(2.5), "steps": [magnitude(0.25)], "cancellation": 0.75}],
        "inputs": [{"name": "x", "steps": [magnitude(0.125)]}],
        "headline": None,
        "seen_from": None,
    }


def test_what_is_seen_from_one_loss() -> None:
    trace = exact(0.5, timesteps=12)
    document = json.loads(norms_json(trace, seen(trace, 9)))
    assert set(document["headline"]) == {"where", "why", "try"}
    assert document["headline"]["where"].startswith("The gradient ")
    found = document["seen_from"]
    assert {key: found[key] for key in ("t", "clock", "samples", "joint")} == {
        "t": 9, "clock": 0, "samples": 2, "joint": False
    }  # fmt: skip
    (row,) = found["rows"]
    assert (row["name"], row["recurrence"], row["states"], row["cut"]) == ("rnn.h", "rnn", ["rnn.h"], False)
    assert [step["t"] for step in row["steps"]] == [*range(9, -1, -1), None]
    assert [step["lag"] for step in row["steps"]] == list(range(11))
    np.testing.assert_allclose([step["log10"] for step in row["steps"]], np.arange(11) * np.log10(0.5), atol=1e-12)
    assert not any(step["zero"] for step in row["steps"])


def test_every_status_has_its_word_and_no_number_that_json_lacks() -> None:
    trace = norms_trace(5, states=(state_trace(5, grad=magnitudes_of_every_status()),))
    steps = strict(norms_json(trace))["states"][0]["steps"]
    assert [step["grad"] for step in steps] == [
        {"value": 1e-200, "log10": -200.0, "status": "ok"},
        {"value": 0.0, "log10": None, "status": "zero"},
        {"value": 0.0, "log10": None, "status": "underflow"},
        {"value": None, "log10": None, "status": "nonfinite"},
        {"value": None, "log10": None, "status": "unobserved"},
    ]


def test_labels_and_losses_that_are_missing_are_null() -> None:
    trace = norms_trace(2, labels=(None, "ein 'Wört\"chen\n"), loss=float("nan"))
    trace = replace(trace, parameters=(replace(trace.parameters[0], cancellation=float("nan")),))
    document = json.loads(norms_json(trace))
    assert [step["label"] for step in document["states"][0]["steps"]] == [None, "ein 'Wört\"chen\n"]
    assert document["loss"] is None
    assert document["parameters"][0]["cancellation"] is None
    assert "\n" not in norms_json(trace)
    assert norms_json(trace).isascii()
