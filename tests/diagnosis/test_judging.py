"""How findings become a verdict: ranks, flags, the word for a layer, whose pace stands at the top, and what passes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.chosen_loss import known_loss
from rnngraph.diagnosis.diagnose import (
    _flags,
    _headline,
    _order,
    _spectrum,
    _verdict,
    assert_healthy,
    found_of,
    known_flags,
)
from rnngraph.diagnosis.finding import Finding
from rnngraph.diagnosis.headline import VERDICTS
from rnngraph.diagnosis.rules.signal import find_dead_inputs, find_non_finite
from rnngraph.diagnosis.rules.table import RULES
from rnngraph.diagnosis.slope import half_life, theil_sen, weighted_median
from rnngraph.diagnosis.thresholds import Thresholds, thresholds_from
from rnngraph.trace.magnitudes import Magnitudes, Status
from tests.diagnosis.stand_ins import a_credit, a_layer, a_network, a_recurrence, a_state
from tests.diagnosis.verdict_networks import recorded

INF, NAN = math.inf, math.nan


def found(rule: str, severity: str = "warning") -> Finding:
    return Finding(rule, severity, {}, {}, "", "", "")


# ---- from findings to a verdict
def test_errors_come_first_then_what_is_no_verdict_but_a_warning_and_notes_last() -> None:
    some = [
        found("bypassed", "note"), found("attenuating", "note"), found("blind_span"), found("saturated"),
        found("vanishing"), found("exploding", "error"), found("dead", "error"),
    ]  # fmt: skip
    assert [one.rule for one in sorted(some, key=_order)] == [
        "dead", "exploding", "saturated", "vanishing", "blind_span", "attenuating", "bypassed",
    ]  # fmt: skip


def test_an_error_comes_before_a_warning_of_a_higher_rank() -> None:
    some = [found("dead"), found("vanishing", "error"), found("non_finite", "note")]
    assert [one.rule for one in sorted(some, key=_order)] == ["vanishing", "dead", "non_finite"]


def test_flags() -> None:
    assert _flags([]) == ("healthy",)
    assert _flags([found("few_losses", "note"), found("no_signal", "note")]) == ("healthy",)
    assert _flags([found("no_signal", "error"), found("vanishing")]) == ("no_signal", "vanishing")
    assert _flags([found("no_signal"), found("vanishing")]) == ("vanishing", "no_signal")
    assert _flags([found("no_signal")]) == ("healthy", "no_signal")
    assert _flags([found("attenuating", "note")]) == ("attenuating",)
    assert _flags([found("saturated")]) == ("saturated", "vanishing")
    assert _flags([found("blind_span")]) == ("healthy", "blind_span")
    assert _flags([found("blind_span"), found("vanishing")]) == ("vanishing", "blind_span")
    assert _flags([found("a_rule_of_ones_own")]) == ("healthy", "a_rule_of_ones_own")


def test_what_a_build_fails_on() -> None:
    diagnosis = SimpleNamespace(
        flags=("healthy", "readout"), findings=[found("bypassed", "note"), found("too_short", "note")]
    )
    for name, fails in (
        ("healthy", True),
        ("readout", True),
        ("bypassed", True),
        ("too_short", False),
        ("dead", False),
    ):
        assert found_of(diagnosis, ["vanishing", name]) == (name,) * fails  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "severity", "names"),
    [
        ("vanishing", "warning", {"vanishing", "attenuating", "warning"}),  # less is left than where it is attenuated
        ("attenuating", "note", {"attenuating"}),
        ("dead", "error", {"dead", "error", "warning"}),
    ],
)
def test_what_is_worse_fails_a_build_too(rule: str, severity: str, names: set[str]) -> None:
    diagnosis = SimpleNamespace(flags=(rule,), findings=[found(rule, severity)])
    asked = {"vanishing", "attenuating", "dead", "error", "warning", "healthy"}
    assert {name for name in asked if found_of(diagnosis, [name]) == (rule,)} == names  # type: ignore[arg-type]


def test_every_verdict_is_the_name_of_a_rule() -> None:
    assert set(VERDICTS) <= set(RULES)
    assert len(set(RULES)) == len(RULES)


@pytest.mark.parametrize(("decades", "word"), [
    (-4.0, "vanishing"), (-3.99, "attenuating"), (-2.0, "attenuating"), (-1.99, "healthy"), (-INF, "vanishing"),
    (NAN, "healthy"),
])  # fmt: skip
def test_the_word_for_a_layer_is_by_what_it_keeps(decades: float, word: str) -> None:
    assert _verdict(a_layer(left=decades), []).verdict == word


@pytest.mark.parametrize("rule", [*VERDICTS, "readout", "bypassed"])
def test_or_by_what_was_found_of_it(rule: str) -> None:
    assert _verdict(a_layer(), [found("gate_timescale", "note"), found(rule)]).verdict == rule
    assert _verdict(a_layer(), [found("gate_timescale", "note")]).verdict == "healthy"
    if rule != "non_finite":
        assert _verdict(a_layer(), [found(rule), found("non_finite")]).verdict == "non_finite"


def test_the_pace_at_the_top_is_that_of_the_layer_that_grows_most() -> None:
    layers = [a_layer(peak=peak) for peak in (NAN, 1.0, 3.0, 2.0)]
    head = SimpleNamespace(layer=layers[1])
    network = a_network(layers, head=head)
    assert _headline(layers, network, "exploding") is layers[2]
    assert _headline(layers, network, "vanishing") is layers[1]


def test_an_explosion_is_told_of_the_path_on_which_most_is_left() -> None:
    tape, both = rg.Tape(), []
    for name, kept in (("grows", 1.3), ("fades", 0.5)):
        layer = nn.RNN(3, 3, name=name)
        for parameter in layer.parameters():
            own = kept if "Wh" in parameter.name else 1.0
            parameter.value[...] = own * np.eye(3) if "W" in parameter.name else 0.0
        both.append(layer(tape.input(np.zeros((2, 31, 3)), name=f"into {name}"))[:, 30])
    diagnosis = rg.diagnose(rg.record((both[0] + both[1]).sum(), lags=True))
    assert diagnosis.verdict == "exploding"
    assert diagnosis.decades == pytest.approx(29 * math.log10(1.3))  # of lag 1
    assert diagnosis.rate == pytest.approx(math.log(1.3))


def judged(monkeypatch: pytest.MonkeyPatch, *rules: str, flags: tuple[str, ...] | None = None, **options: Any) -> bool:
    """Whether a diagnosis with these findings and flags passes."""
    made = SimpleNamespace(findings=[found(rule) for rule in rules], flags=flags or rules, full=str)
    monkeypatch.setattr("rnngraph.diagnosis.diagnose.diagnose", lambda trace, **others: made)
    try:
        assert_healthy(SimpleNamespace(), **options)
    except AssertionError:
        return False
    return True


def test_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ("saturated", "vanishing")
    assert not judged(monkeypatch, "vanishing")
    assert judged(monkeypatch, "vanishing", allow=["vanishing"])
    assert judged(monkeypatch, "saturated", flags=both, allow=["saturated"])  # one finding, both flags
    assert not judged(monkeypatch, "saturated", "vanishing", flags=both, allow=["saturated"])  # another layer vanishes
    assert not judged(monkeypatch, "vanishing", "blind_span", flags=both, allow=["saturated"])
    assert judged(monkeypatch, "attenuating")
    assert not judged(monkeypatch, "attenuating", horizon=9)
    assert judged(monkeypatch, "readout")
    assert judged(monkeypatch, "healthy", "blind_span", horizon=9)


def test_names_that_are_no_flags() -> None:
    assert known_flags(["dead", "readout"], "allow") == ("dead", "readout")
    for name, words in (("vanishin", r"did you mean vanishing\?$"), ("qqqqqqqq", r"blind_span\.$")):
        with pytest.raises(rg.InputError, match=words):
            known_flags([name], "allow")
        with pytest.raises(rg.InputError, match=r"\?$|\.$"):
            thresholds_from({name: 1.0})


# ---- thresholds
@pytest.mark.parametrize("changes", [
    {"vanishing": -2.0}, {"attenuating": -4.0}, {"attenuating": 2.0}, {"exploding": -2.0}, {"attenuating": 0.01},
    {"exploding": 0.0, "attenuating": -1.0}, {"unwritten": 0.0}, {"readout": 0.0}, {"timescale": 1.0}, {"dead": 0.0},
    {"dead": 1.001}, {"epsilon": 0.0}, {"coverage": 1.001}, {"vanishing": INF}, {"vanishing": "low"}, {"dead": True},
])  # fmt: skip
def test_thresholds_out_of_order(changes: Any) -> None:
    with pytest.raises(rg.InputError):
        Thresholds(**changes)


@pytest.mark.parametrize("changes", [
    {"vanishing": -2.001}, {"attenuating": 0.0}, {"exploding": 0.001}, {"unwritten": -0.001}, {"readout": 0.001},
    {"timescale": 1.001}, {"dead": 1.0}, {"dead": 0.001}, {"epsilon": 1},
])  # fmt: skip
def test_thresholds_at_the_end_of_their_range(changes: Any) -> None:
    name, value = next(iter(changes.items()))
    assert Thresholds(**changes).as_dict()[name] == value


def test_the_thresholds_are_these() -> None:
    # As the page on verdicts has them, and what it says of each.
    assert Thresholds().as_dict() == {
        "vanishing": -4, "exploding": 2, "attenuating": -2, "unwritten": -6, "readout": 1, "participation": 0.5,
        "blind": 0.01, "saturated": 0.5, "activation_share": 0.5, "activation_gain": 0.25, "dead": 0.5,
        "epsilon": 0.01, "coverage": 0.1, "timescale": 2,
    }  # fmt: skip


def test_the_limits_that_are_out_of_order_are_named() -> None:
    with pytest.raises(rg.InputError, match="they are -5, -6 and 3"):
        Thresholds(vanishing=-5.0, attenuating=-6.0, exploding=3.0)


@pytest.mark.parametrize(("given", "expected"), [(0, 0), (7, 7), ("12", 12), ("9" * 18, 10**18 - 1), ("last", "last")])
def test_which_loss_is_meant(given: Any, expected: Any) -> None:
    assert known_loss(given) == expected


@pytest.mark.parametrize("odd", [-1, "9" * 19, "-1", "lsat", 1.5, True])
def test_what_is_no_loss(odd: Any) -> None:
    with pytest.raises(rg.InputError, match="give last, total or the timestep"):
        known_loss(odd)


# ---- slopes
def test_slopes_of_many_points_are_those_of_some() -> None:
    rng = np.random.default_rng(0)
    x, y = np.arange(200.0), rng.normal(size=200)
    kept = np.linspace(0, 199, 48).round().astype(int)
    slopes = [(y[b] - y[a]) / (x[b] - x[a]) for place, a in enumerate(kept) for b in kept[place + 1 :]]
    assert theil_sen(x, y) == np.median(slopes)
    few = [(y[b] - y[a]) / (b - a) for a in range(48) for b in range(a + 1, 48)]
    assert theil_sen(x[:48], y[:48]) == np.median(few)
    assert theil_sen(x[:2], np.array([1.0, 4.0])) == 3


def test_a_median_by_weight() -> None:
    assert weighted_median(np.array([2.0, 1.0]), np.array([3.0, 1.0])) == 2
    assert weighted_median(np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, 1.0, 1.0, 1.0])) == 3
    assert weighted_median(np.array([5.0, 9.0]), np.array([2.0, 0.0])) == 5


def test_a_half_life() -> None:
    assert half_life(-math.log(2) / 7) == pytest.approx(7)
    assert half_life(0.0) is None
    assert half_life(0.3) is None
    assert half_life(-INF) is None
    assert half_life(NAN) is None


# ---- numbers that are none, and inputs that get nothing
def broken(way: str, *, timestep: int = 0, name: str = "", node: int = 3) -> Any:
    graph = SimpleNamespace(
        first_nonfinite=lambda: {way: node}, ops=["log"], op=[0] * 9, scopes=["rnn"], scope=[0] * 9,
        timestep=[timestep] * 9, names={str(node): name} if name else {}, describe=lambda node: "log",
    )  # fmt: skip
    return find_non_finite(a_network(trace=SimpleNamespace(graph=graph)))


def test_the_operation_that_a_number_first_comes_out_of() -> None:
    forward = broken("forward", timestep=0, name="loss")
    assert dict(forward.where) == {"node": 3, "op": "log", "scope": "rnn", "timestep": 0, "name": "loss"}
    assert "division of 0" in forward.advice
    backward = broken("backward", timestep=-1)
    assert dict(backward.where) == {"node": 3, "op": "log", "scope": "rnn"}
    assert "Clipping cannot help" in backward.advice


@pytest.mark.parametrize(
    ("entries", "states", "count"), [(0, [0, 0], 0), (2, [0, 0], 2), (1, [3, 4], 8), (0, [1, 0], 1)]
)
def test_numbers_that_are_none_in_a_layer_are_counted(entries: int, states: list[int], count: int) -> None:
    graph = SimpleNamespace(first_nonfinite=dict)
    layer = a_layer(
        states=tuple(a_state(nonfinite=np.array([one, 0])) for one in states), credit=a_credit(nonfinite=entries)
    )
    finding = find_non_finite(a_network([a_layer(), layer], trace=SimpleNamespace(graph=graph)))
    assert (finding is None) == (count == 0)
    if finding is not None:
        assert finding.evidence["entries"] == count


def at_inputs(*inputs: Any, states: Any = ((1.0, 8.0), (4.0,)), norm: float = 10.0, **layer: Any) -> Any:
    """A layer with gradients up to 8 in float32, and what arrives at its inputs."""
    own = tuple(a_state(grad=Magnitudes.of(np.array(one))) for one in states)
    trace = SimpleNamespace(
        dtype="float32", inputs=[SimpleNamespace(name=f"x{k}", steps=one) for k, one in enumerate(inputs)],
    )  # fmt: skip
    first = a_layer(states=own, trace=trace, **layer)
    above = a_layer(name="above", recurrence=a_recurrence(layer=1))
    known = [SimpleNamespace(name=f"x{k}", weight=norm, recurrences=(first.name,)) for k in range(min(len(inputs), 2))]
    read = [SimpleNamespace(input=one) for one in known]
    return find_dead_inputs(a_network([above, first], trace=trace, paths=read))


def of(*norms: float) -> Magnitudes:
    return Magnitudes.of(np.array(norms))


EPS = float(np.finfo(np.float32).eps)


def test_an_input_that_gets_nothing() -> None:
    finding = at_inputs(of(1.0, 0.0), of(0.0, 0.0))
    assert finding.where["input"] == "x1"
    assert "is exactly zero" in finding.text
    assert finding.evidence["largest_state_gradient"] == 8
    assert at_inputs(of(0.0, 1.0)) is None
    assert at_inputs(of(1.0), of(1.0), of(0.0)) is None  # nothing reads the third
    padded = a_recurrence(valid=np.arange(8) < np.array([[8], [5]]))
    assert at_inputs(of(0.0), recurrence=padded) is not None
    small = at_inputs(of(0.5 * EPS, 79.9 * EPS))  # below eps · 10 · 8
    assert "is at most" in small.text
    assert small.evidence["largest_input_gradient"] == pytest.approx(79.9 * EPS)
    assert at_inputs(of(80.1 * EPS)) is None
    assert at_inputs(of(1e-30), norm=NAN) is None  # without the weight only a zero tells
    assert at_inputs(of(0.0), norm=NAN) is not None


def test_an_input_of_what_no_loss_reaches_need_get_nothing() -> None:
    trace = SimpleNamespace(dtype="float32", inputs=[SimpleNamespace(name="x", steps=of(0.0))])
    silent = a_layer(name="aux", credit=a_credit(seeds=0), trace=trace)
    layers = [silent, a_layer(trace=trace)]
    for readers, said in ((("aux", "rnn"), False), (("rnn",), True)):
        read = SimpleNamespace(input=SimpleNamespace(name="x", weight=1.0, recurrences=readers))
        finding = find_dead_inputs(a_network(layers, trace=trace, paths=[read]))
        assert (finding is not None) == said
    unknown = [SimpleNamespace(input=None)]  # who reads it
    assert find_dead_inputs(a_network(layers, trace=trace, paths=unknown)) is None
    assert find_dead_inputs(a_network(layers[1:], trace=trace, paths=unknown)) is not None


def test_where_nothing_can_be_said_of_an_input() -> None:
    unseen = Magnitudes.unobserved((2,))
    assert at_inputs(unseen) is None
    assert at_inputs(of(0.0), states=((0.0,),)) is None
    assert at_inputs(of(0.0), recurrence=a_recurrence(layer=1)) is None
    assert at_inputs(of(0.0), recurrence=a_recurrence(valid=np.zeros((2, 8), bool))) is None
    lost = of(0.0, 0.0)
    lost.status[1] = Status.UNDERFLOW
    assert at_inputs(lost) is None  # not zero, but too small
    partly = of(0.0, 0.0)
    partly.status[1] = Status.UNOBSERVED
    assert at_inputs(partly) is not None  # what was seen is zero


# ---- the spectrum
def test_weights_with_either_number_are_listed() -> None:
    weights = [
        SimpleNamespace(name=name, spectral_radius=radius, largest_singular_value=value)
        for name, radius, value in (("both", 0.9, 1.1), ("radius", 0.9, NAN), ("value", NAN, 1.1), ("none", NAN, NAN))
    ]
    one = SimpleNamespace(name="rnn", lyapunov=np.array([-0.1]), singular=np.array([0.9]), product_log=-3.0)
    document = _spectrum(SimpleNamespace(spectrum=(one,), parameters=weights))  # type: ignore[arg-type]
    assert document is not None
    assert list(document["weights"]) == ["both", "radius", "value"]
    assert _spectrum(SimpleNamespace(spectrum=(), parameters=weights)) is None  # type: ignore[arg-type]


def test_layers_are_named_by_what_is_wrong_with_them() -> None:
    diagnosis = rg.diagnose(recorded(nn.RNN(6, 24, init="orthogonal", gain=3.0)))
    assert [one.verdict for one in diagnosis.by_layer] == ["exploding"]
