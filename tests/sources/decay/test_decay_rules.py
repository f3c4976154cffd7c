"""What is found: each rule on tensors that break it and on its neighbours that do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.sources.decay.rule_functions import Judging
from rnngraph.sources.decay.rules import RULES, known_rules
from rnngraph.trace.decay import five_numbers

MAMBA2 = {"model_type": "mamba2"}


def start(heads: int = 32, seed: int = 0) -> dict[str, Any]:
    """Draw Mamba-2's published start."""
    draw = np.random.default_rng(seed)
    dt = np.exp(draw.uniform(math.log(1e-3), math.log(0.1), heads))
    return {"m.A_log": np.log(draw.uniform(1, 16, heads)), "m.dt_bias": np.log(np.expm1(dt))}


def found(state: dict[str, Any], config: Any = MAMBA2, **options: Any) -> dict[str, Any]:
    """Give the findings by rule."""
    (layer,) = rg.decay(state, config=config, **options).layers
    return {one.rule: one for one in layer.findings}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("heads", [4, 24, 128])
def test_the_published_start_is_in_order(heads: int, seed: int) -> None:
    assert not found(start(heads, seed), fresh=True, context=4096)


def test_a_start_of_mamba_1_depends_on_the_number_of_its_states() -> None:
    draw = np.random.default_rng(0)
    bias = np.log(np.expm1(np.exp(draw.uniform(math.log(1e-3), math.log(0.1), 512))))
    for states in (2, 16, 256):
        state = {"A_log": np.tile(np.log(np.arange(1, states + 1)), (512, 1)), "dt_proj.bias": bias}
        assert not found(state, config=None, fresh=True)
    assert set(found(state | {"A_log": np.zeros((512, 256))}, config=None, fresh=True)) == {"differs"}


def test_constant_zeros_have_exactly_one_step_and_are_no_memory() -> None:
    state = {"m.A_log": np.zeros(32, np.float32), "m.dt_bias": np.zeros(32, np.float32)}
    findings = found(state, fresh=True)
    assert set(findings) == {"no_memory", "uniform", "differs"}
    assert findings["no_memory"].evidence["longest"] == pytest.approx(1.0)
    assert findings["no_memory"].severity == "error"


def test_a_longest_head_of_more_than_a_step_is_a_memory() -> None:
    findings = found({"m.A_log": np.zeros(32), "m.dt_bias": np.linspace(-0.1, 5, 32)}, fresh=True)
    assert "no_memory" not in findings


def test_a_bias_of_one_differs_with_both_quantiles() -> None:
    state = start() | {"m.dt_bias": np.ones(32)}
    findings = found(state, fresh=True)
    assert set(findings) == {"no_memory", "differs"}
    evidence = findings["differs"].evidence
    half_lives = math.log(2) / np.exp(state["m.A_log"]) / math.log1p(math.e)
    assert evidence["q50"] == pytest.approx(np.median(half_lives))
    assert evidence["published_q50"] == pytest.approx(9.8)
    assert "published start" in findings["differs"].text


def test_a_start_of_few_heads_is_no_difference_by_chance() -> None:
    state = {"m.A_log": np.log([1.0, 1.0, 1.0]), "m.dt_bias": np.log(np.expm1([0.001, 0.0012, 0.0015]))}
    assert not found(state, fresh=True)


def test_what_no_draw_can_give_differs_however_few_the_heads() -> None:
    assert "differs" in found({"m.A_log": np.log([3.0]), "m.dt_bias": np.log(np.expm1([1e-6]))}, fresh=True)


def test_a_family_whose_start_is_uniform_may_be_so() -> None:
    assert not found({"gk_proj.1.bias": np.zeros(64)}, config=None, fresh=True)


def test_never_forgets_is_judged_by_the_shortest_and_the_context() -> None:
    state = {"nu_log": np.log(math.log(2) / np.array([2000.0, 5000.0, 9000.0]))}
    assert "never_forgets" in found(state, config=None, fresh=True, context=1024)
    assert "never_forgets" not in found(state, config=None, fresh=True, context=4096)
    assert "never_forgets" not in found(state, config=None, fresh=True)


@pytest.mark.parametrize(
    ("value", "rules"),
    [(np.nan, {"non_finite"}), (np.inf, {"non_finite"}), (-np.inf, {"non_finite", "frozen"}), (-200.0, {"frozen"})],
)
def test_what_is_broken_is_found_in_any_checkpoint(value: float, rules: set[str]) -> None:
    state = start()
    state["m.A_log"][3] = value
    findings = found(state)
    assert set(findings) == rules
    assert all(one.severity == "error" for one in findings.values())


def test_an_infinite_rate_is_a_half_life_of_zero_and_a_rate_of_zero_is_endless() -> None:
    state = start()
    state["m.A_log"][:2] = np.inf, -np.inf
    half_lives = rg.decay(state, config=MAMBA2).layers[0].half_lives
    assert half_lives[0] == 0
    assert half_lives[1] == math.inf


def test_an_eigenvalue_on_the_wrong_side_grows() -> None:
    findings = found({"Lambda_re": np.array([-0.5, 0.01]), "log_step": np.zeros(2)}, config=None)
    assert set(findings) == {"grows"}


def test_without_fresh_a_start_is_not_judged() -> None:
    assert not found({"m.A_log": np.zeros(32), "m.dt_bias": np.zeros(32)})


LONG = np.log(math.log(2) / np.array([2000.0, 5000.0]))
BREAKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "non_finite": ({"nu_log": np.array([0.0, np.nan])}, {}),
    "frozen": ({"nu_log": np.array([0.0, -np.inf])}, {}),
    "grows": ({"Lambda_re": np.array([-0.5, 0.1]), "log_step": np.zeros(2)}, {}),
    "no_memory": ({"nu_log": np.array([0.0, 1.0])}, {"fresh": True}),
    "never_forgets": ({"nu_log": LONG}, {"fresh": True, "context": 100}),
    "uniform": ({"nu_log": np.full(2, -3.0)}, {"fresh": True}),
    "differs": ({"nu_log": np.linspace(-2.0, 1.0, 64)}, {"fresh": True}),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_fires(rule: Any) -> None:
    state, options = BREAKS[rule.name]
    finding = found(state, config=None, **options)[rule.name]
    assert finding.evidence
    assert all(text.endswith(".") for text in (finding.text, finding.cause, finding.advice))


@pytest.mark.parametrize(
    ("names", "judging", "words"),
    [
        (["vanishing"], Judging(), "no finding of decay"),
        (["no-memory"], Judging(), "give --fresh"),
        (["never_forgets"], Judging(fresh=True), "give --context"),
    ],
)
def test_a_rule_that_cannot_fire_is_refused(names: list[str], judging: Judging, words: str) -> None:
    with pytest.raises(InputError, match=words):
        known_rules(names, judging)


@pytest.mark.parametrize(
    ("values", "truth"),
    [
        ([1, 2, 3, 4, 5], (1, 1.4, 3, 4.6, 5)),
        ([1, math.inf], (1, math.inf, math.inf, math.inf, math.inf)),
        ([0, 0, math.nan], (0, 0, 0, 0, 0)),
        ([math.inf, math.inf], (math.inf,) * 5),
    ],
)
def test_quantiles_take_infinity_as_a_number(values: list[float], truth: tuple[float, ...]) -> None:
    assert five_numbers(np.array(values, np.float64)) == pytest.approx(truth)
