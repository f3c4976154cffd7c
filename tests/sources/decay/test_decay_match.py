"""Which layers are found, what decides between two families, and what is listed because it was not read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import FileError, InputError
from rnngraph.sources.decay.config import Config
from rnngraph.sources.decay.families import FAMILIES
from rnngraph.sources.decay.match import fits
from rnngraph.sources.decay.named import time_step

HEADS = {"m.A_log": np.zeros(4), "m.dt_bias": np.zeros(4)}
CHANNELS = {"m.A_log": np.zeros((1, 1, 2, 1)), "m.dt_bias": np.full(8, -1.0)}


def families(state: dict[str, Any], config: Any = None, **options: Any) -> list[tuple[str, bool]]:
    """Give the families and whether they are judged."""
    return [(one.family, one.judged) for one in rg.decay(state, config=config, **options).layers]


@pytest.mark.parametrize(
    ("state", "names"), [(HEADS, ["mamba-2", "gated-deltanet"]), (CHANNELS, ["kda", "kda-bounded"])]
)
@pytest.mark.parametrize("config", [None, {}, {"model_type": "of_tomorrow"}])
def test_where_nothing_decides_both_are_shown_and_nothing_is_judged(state: Any, names: list[str], config: Any) -> None:
    report = rg.decay(state, config=config, fresh=True, context=8)
    assert [(one.family, one.judged, one.findings) for one in report.layers] == [(name, False, ()) for name in names]
    assert "nothing is judged" in report.notes[0]


@pytest.mark.parametrize(
    ("state", "config", "family"),
    [
        (HEADS, {"model_type": "mamba2"}, "mamba-2"),
        (HEADS, {"model_type": "vision", "text_config": {"model_type": "qwen3_5_text"}}, "gated-deltanet"),
        (HEADS, {"d_model": 8, "ssm_cfg": {"layer": "Mamba2"}}, "mamba-2"),
        (CHANNELS, {"model_type": "kimi_linear"}, "kda"),
        (CHANNELS, {"model_type": "kimi_linear", "lower_bound": -5.0}, "kda-bounded"),
        (CHANNELS, {"model_type": "glm5_next"}, "kda-bounded"),
        (CHANNELS, {"model_type": "glm5_next", "linear_lower_bound": None}, "kda"),
        (CHANNELS, {"model_type": "bailing_hybrid", "kda_safe_gate": False, "kda_lower_bound": -5.0}, "kda"),
    ],
)
def test_the_configuration_decides(state: Any, config: dict[str, Any], family: str) -> None:
    assert families(state, config) == [(family, True)]


def test_errors_that_every_reading_shows_are_said_though_nothing_is_judged() -> None:
    state = {"m.A_log": np.array([0.0, np.nan]), "m.dt_bias": np.zeros(2)}
    assert [one.rule for one in rg.decay(state, fresh=True).findings] == ["non_finite"] * 2
    # A rate of 0 where the gate is a softplus is half of the bound where it is bounded.
    channels = {"m.A_log": np.array([0.0, -np.inf]), "m.dt_bias": np.zeros(8)}
    assert {one.rule for one in rg.decay(channels).findings} == {"non_finite"}


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({"model_type": "zamba2", "time_step_min": 0.002}, (0.002, np.inf)),
        ({"model_type": "mamba2", "time_step_min": 0.002}, (0.0, np.inf)),
        ({"model_type": "bamba", "time_step_limit": [0.01, 0.2]}, (0.01, 0.2)),
        ({"model_type": "bamba", "time_step_limit": [0.0, {"__float__": "Infinity"}]}, (0.0, np.inf)),
    ],
)
def test_the_limits_of_dt_stand_in_the_configuration_only(config: Any, limits: tuple[float, float]) -> None:
    assert tuple(time_step(Config(config)).values()) == limits


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "mamba2", "time_step_limit": "wide"}, "time_step_limit .* is 'wide'"),
        ({"model_type": "zamba2", "time_step_min": [1]}, r"time_step_min .* is \[1\]"),
        ({"model_type": "zamba2", "time_step_min": "soon"}, "time_step_min .* is 'soon'"),
        ({"model_type": "zamba2", "time_step_min": "nan"}, "time_step_min .* is 'nan'"),
        (3, "config is a int; pass a table"),
    ],
)
def test_a_configuration_of_another_kind_is_one_sentence(config: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rg.decay(HEADS, config=config)


# Of every family, what would be no other's.
OWN = {
    f"x.{form.inside}.{name}".replace("..", ".")
    for one in FAMILIES for form in one.forms for name, _ in form.tensors.values()
    if "{tag}" not in name
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["x.A_b_log", "x.A_log", "retnet.decay", "m2.slope_rate", "x.time_decay", "x.dt_bias", *sorted(OWN)]
)
def test_what_looks_like_a_decay_and_is_not_read_is_listed(name: str) -> None:
    report = rg.decay({**HEADS, name: np.zeros((3, 4, 5, 6))})
    assert [one.name for one in report.unread] == [name]


@pytest.mark.parametrize("name", ["ema.decay", "model_ema.decay", "x.weight_decay", "x.weight", "m.norm.bias", "x.w0"])
def test_a_decoy_is_neither_read_nor_listed(name: str) -> None:
    report = rg.decay({**HEADS, name: np.zeros(4)})
    assert not report.unread
    assert {one.name for one in report.layers} == {"m"}


def test_the_decay_of_a_lora_is_no_decay_of_its_own() -> None:
    state = {"att.time_decay": np.zeros((1, 1, 8)), "att.time_decay_w1": np.zeros((8, 4))}
    report = rg.decay(state)
    assert [one.family for one in report.layers] == ["rwkv-5/6"]
    assert not report.unread


def test_a_source_without_any_is_refused_and_fixed_decays_are_named() -> None:
    with pytest.raises(InputError, match="no linear recurrence: none of its 1 tensors"):
        rg.decay({"layer.weight": np.zeros((2, 2))})


def test_wrappers_are_looked_through() -> None:
    state = {f"_orig_mod.module.{name}": value for name, value in HEADS.items()}
    assert {one.name for one in rg.decay(state).layers} == {"m"}


def test_a_plain_layer_has_no_gate() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match="no linear recurrence"):
        rg.decay(torch.nn.RNN(3, 4))


def test_every_layer_and_direction_is_read() -> None:
    torch = pytest.importorskip("torch")
    names = [one.name for one in rg.decay(torch.nn.Sequential(torch.nn.LSTM(3, 4, 2, bidirectional=True))).layers]
    assert names == ["0_l0", "0_l0_reverse", "0_l1", "0_l1_reverse"]


@pytest.mark.parametrize("given", [None, 3, [1, 2]])
def test_what_is_no_source_is_one_sentence(given: Any) -> None:
    with pytest.raises(InputError, match="has no decays to read"):
        rg.decay(given)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({3: np.zeros(3)}, "the key 3"),
        ({"model": {"A_log": np.zeros(3)}}, "is a table itself"),
    ],
)
def test_a_state_dict_of_another_form_is_one_sentence(state: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rg.decay(state)


def test_what_a_state_dict_holds_beside_tensors_is_passed_by() -> None:
    report = rg.decay({**HEADS, "m.calls": 3}, config={"model_type": "mamba2"})
    assert [one.name for one in report.layers] == ["m"]
    assert not report.unread


def test_a_decay_that_is_larger_than_any_is_listed_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnngraph.sources.decay.read.LARGEST", 4)
    state = {**HEADS, "n.A_log": np.zeros(5), "n.dt_bias": np.zeros(5)}
    report = rg.decay(state, config={"model_type": "mamba2"})
    assert [one.name for one in report.layers] == ["m"]
    assert {"more than may be read (4 numbers)" in one.reason for one in report.unread} == {True}


def test_a_layer_without_values_is_listed_and_the_others_are_read() -> None:
    torch = pytest.importorskip("torch")
    meta = {f"n.{name[2:]}": torch.zeros(4, device="meta") for name in HEADS}
    report = rg.decay({**HEADS, **meta}, config={"model_type": "mamba2"})
    assert [one.name for one in report.layers] == ["m"]
    assert [(one.name, "no values" in one.reason) for one in report.unread] == [("n.A_log", True), ("n.dt_bias", True)]


def test_more_decays_than_any_model_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnngraph.sources.decay.read.MOST", 3)
    with pytest.raises(FileError, match="more than 3 decays"):
        rg.decay(HEADS, config={"model_type": "mamba2"})


@pytest.mark.parametrize(
    ("options", "words"), [({"context": 0, "fresh": True}, "context is 0"), ({"context": 9}, "fresh")]
)
def test_options_are_checked(options: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rg.decay(HEADS, **options)


@pytest.mark.parametrize(
    ("written", "shape", "fit"),
    [
        ("D N", (3, 4), True),
        ("D D", (3, 4), False),
        ("H", (0,), False),
        ("1 1 H 1", (1, 1, 5, 1), True),
        ("4H H", (12, 3), True),
        ("4H H", (12, 4), False),
        ("H H*K", (2, 6), True),
        ("H H*K", (2, 2), False),
        ("H H*K", (2, 5), False),
        ("H", (2, 2), False),
    ],
)
def test_shapes_are_read_as_they_are_written(written: str, shape: tuple[int, ...], fit: bool) -> None:
    assert fits(written, shape, {}) is fit


def test_a_size_that_cannot_be_written_is_a_mistake_in_the_table() -> None:
    with pytest.raises(ValueError, match="'H/2' is no size"):
        fits("H/2", (3,), {})
