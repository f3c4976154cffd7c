"""Every rule exactly at its limit and just beside it, on layers and paths that are made up of what it reads."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis.rules.carriers import (
    find_blind_span,
    find_bypassed,
    find_few_losses,
    find_few_samples,
    find_sample_differs,
)
from rnngraph.diagnosis.rules.gradient import find_exploding, find_gate_timescale, find_readout
from rnngraph.diagnosis.rules.path import find_attenuating, find_saturated, find_unwritten, find_vanishing
from rnngraph.diagnosis.rules.reach import find_too_short, find_truncated
from rnngraph.diagnosis.rules.signal import find_dead, find_masked_samples, find_no_signal, find_silent_samples
from rnngraph.diagnosis.update import Update
from rnngraph.trace.magnitudes import Magnitudes
from tests.diagnosis.stand_ins import a_credit, a_layer, a_network, a_path, a_recurrence, a_state

INF, NAN = math.inf, math.nan
LN10 = math.log(10)


# ---- bypassed, few losses, few samples, blind spans
@pytest.mark.parametrize(("own", "end_to_end", "found"), [
    (-4.0, -3.99, True), (-3.99, -1.0, False), (-INF, -1.0, True), (-4.0, -4.0, False), (-9.0, NAN, False),
    (NAN, -1.0, False),
])  # fmt: skip
def test_bypassed(own: float, end_to_end: float, found: bool) -> None:
    layer, carrier = a_layer(decades=own, decades_from_first=own), a_layer(name="other")
    network = a_network([layer, carrier], a_path(decades=end_to_end), carriers=lambda one: [carrier])
    assert (find_bypassed(network, layer) is not None) == found


@pytest.mark.parametrize(("other", "found"), [(-4.01, False), (-4.0, True), (-3.99, True), (NAN, False)])
def test_who_carries_does_so_a_decade_better(other: float, found: bool) -> None:
    """A gradient that is at the limit in one of two states of one chain has not passed it by."""
    layer, carrier = a_layer(decades=-5.0, decades_from_first=-5.0), a_layer(name="other", decades_from_first=other)
    network = a_network([layer, carrier], a_path(), carriers=lambda one: [carrier])
    assert (find_bypassed(network, layer) is not None) == found


def test_a_layer_on_no_path_is_not_bypassed_nor_one_that_is_read_poorly() -> None:
    layer = a_layer(decades=-9.0, decades_from_first=-9.0)
    assert find_bypassed(a_network([layer], None), layer) is None
    poorly = a_layer(decades=-9.0, decades_from_first=-1.0)
    assert find_bypassed(a_network([poorly], a_path()), poorly) is None


@pytest.mark.parametrize(("names", "words"), [
    (["a"], "a carries it"), (["a", "b"], "a, b carry it")
])  # fmt: skip
def test_who_carries_it_is_named(names: list[str], words: str) -> None:
    layer = a_layer(decades=-5.0, decades_from_first=-5.0)
    carriers = [a_layer(name=name) for name in names]
    finding = find_bypassed(a_network([layer], a_path(), carriers=lambda one: carriers), layer)
    assert finding is not None
    assert words in finding.text
    assert finding.evidence["carriers"] == len(names)


@pytest.mark.parametrize(("share", "horizon", "found"), [
    (0.5, 40, False), (0.49, 40, True), (0.49, 0, False), (NAN, 40, False), (0.49, 1, True),
])  # fmt: skip
def test_few_losses(share: float, horizon: int, found: bool) -> None:
    finding = find_few_losses(a_network(), a_path(participation=(share, 1.0), horizon=horizon))
    assert (finding is not None) == found
    if finding is not None:
        assert finding.evidence["losses"] == 8
        assert "Most of the gradient comes from about 4 of 8 losses" in finding.text


def test_of_several_paths_each_is_named() -> None:
    one = a_path(a_layer(name="behind"), participation=(0.2, 0.2))
    network = a_network(paths=(one, a_path()))
    few = [rule(network, one) for rule in (find_few_losses, find_few_samples)]
    assert [finding.text[:46] for finding in few if finding] == [
        "Most of the gradient of behind comes from abou", "Most of what arrives at lag 40 of behind is of",
    ]  # fmt: skip


@pytest.mark.parametrize(("share", "decades", "found"), [
    (0.5, -1.0, False), (0.49, -1.0, True), (0.49, -4.0, False), (0.49, -3.99, True), (0.49, NAN, False),
    (NAN, -1.0, False), (0.9, -9.0, False),
])  # fmt: skip
def test_few_samples(share: float, decades: float, found: bool) -> None:
    finding = find_few_samples(a_network(), a_path(participation=(1.0, share), decades=decades))
    assert (finding is not None) == found
    if finding is not None:
        assert finding.evidence["samples"] == 2
        assert "is of about 1 of 2 samples" in finding.text


def blind(shares: Any, *, joint: bool = True, valid: Any = None) -> Any:
    """One loss that hears these shares of the input at each step, in two samples."""
    with np.errstate(divide="ignore"):
        log = np.log(np.array(shares, float) / 2)
    steps = log.shape[-1]
    lags = (SimpleNamespace(losses=np.arange(1), samples=np.arange(2), available=1, joint=joint),)
    recurrence = a_recurrence(valid=np.ones((2, steps), bool) if valid is None else np.array(valid))
    read = SimpleNamespace(name="words", log=np.broadcast_to(log, (2, 1, steps)))
    return find_blind_span(a_network(), a_path(a_layer(recurrence=recurrence, lags=lags), input=read))


def test_blind_spans() -> None:
    finding = blind([1.0, 0.011, 0.009, 0.0, NAN, 0.5])
    assert finding.where["timestep"] == 2
    assert dict(finding.evidence) == {"positions": 3, "of": 6}  # what was not measured is not heard
    assert "(t = 2 to 4)" in finding.text
    assert blind([1.0, 0.02, 0.5]) is None
    assert blind([1.0, 0.0], joint=False) is None
    assert blind([0.0, 0.0]) is None
    padded = blind([1.0, 0.0, 0.0], valid=[[True, True, False], [True, False, False]])
    assert dict(padded.evidence) == {"positions": 1, "of": 2}


# ---- one sample beside the others
def compared(decades: Any, high: Any = None, samples: Any = None, horizon: int = 3, **facts: Any) -> Any:
    """Samples with these decades left at each lag, (B, 3), and these at most of their losses."""
    values = np.array(decades, float) * LN10
    most = values if high is None else np.array(high, float) * LN10
    middle = np.nanmedian(values, axis=0)

    def peak(lag: int) -> float:
        return float(np.nanmax(np.nanmedian(most[:, :lag], axis=0)))

    curve = SimpleNamespace(sample_median=values, sample_high=most, median=middle, peak=peak)
    rows = np.arange(len(values)) if samples is None else np.array(samples)
    return find_sample_differs(a_layer(curve=curve, horizon=horizon, lags=(SimpleNamespace(samples=rows),), **facts))


GOOD, BAD = [-0.1, -0.2, -0.3], [-1.0, -2.0, -5.0]


def test_the_sample_that_fades_is_named() -> None:
    finding = compared([GOOD, GOOD, BAD, GOOD], samples=[3, 5, 7, 9])
    assert finding.where["sample"] == 7
    assert finding.severity == "warning"
    numbers = finding.evidence
    assert (numbers["label"], numbers["lag"], numbers["samples"]) == ("vanishing", 3, 4)
    assert numbers["decades"] == pytest.approx(-5)
    assert numbers["median_decades"] == pytest.approx(-0.3)
    assert numbers["smallest_decades"] == pytest.approx(-5)
    assert numbers["largest_decades"] == pytest.approx(-0.3)


def test_a_sample_is_judged_at_its_own_last_lag() -> None:
    finding = compared([GOOD, GOOD, GOOD, [-0.1, -4.5, NAN], [NAN, NAN, NAN]])
    assert finding.where["sample"] == 3
    assert finding.evidence["lag"] == 2
    assert finding.evidence["median_decades"] == pytest.approx(-0.2)
    assert finding.evidence["samples"] == 4


@pytest.mark.parametrize(("decades", "found"), [(-4.1, False), (-4.79, False), (-4.81, True)])
def test_a_decade_from_the_median_is_no_difference(decades: float, found: bool) -> None:
    others = [-0.1, -1.0, -3.8]
    assert (compared([others, others, others, [-0.1, -1.0, decades]]) is not None) == found


@pytest.mark.parametrize(("decades", "found"), [(-4.0, True), (-3.99, False)])
def test_what_is_vanishing_of_one_sample(decades: float, found: bool) -> None:
    assert (compared([GOOD, GOOD, GOOD, [-0.1, -1.0, decades]]) is not None) == found


@pytest.mark.parametrize(("peak", "found"), [(2.0, True), (1.99, False)])
def test_what_explodes_of_one_sample_however_near(peak: float, found: bool) -> None:
    others = [[0.1, 0.5, 1.5]] * 3
    values, high = [*others, [0.1, 0.5, 1.6]], [*others, [0.1, peak, 1.6]]
    finding = compared(values, high=high, peak=2.0)
    assert (finding is not None) == found
    assert compared(values, high=high, peak=1.99) is None  # beside the others it grows from next to nothing
    if found:
        assert finding.evidence["label"] == "exploding"


def test_a_whole_that_grows_and_does_not_explode() -> None:
    finding = compared([*[[0.1, 0.5, 1.5]] * 3, [-0.1, -1.0, -4.5]])
    assert finding.where["sample"] == 3


def test_of_two_that_explode_the_one_further_from_the_median_is_named() -> None:
    others, same, further = [[0.1, 0.5, 1.5]] * 3, [0.1, 0.5, 1.5], [0.1, 0.5, 1.9]
    finding = compared([*others, same, further], high=[*others, [0.1, 2.0, 1.5], [0.1, 2.0, 1.9]], peak=2.0)
    assert finding.where["sample"] == 4


def test_the_few_are_the_odd_ones() -> None:
    # Two of five explode; the whole is said to, and the three that do not are not odd for that.
    high = [[0.0, 3.0, 3.0], [0.0, 3.0, 3.0], GOOD, GOOD, GOOD]
    values = np.array([GOOD, GOOD, GOOD, GOOD, GOOD]) * LN10
    curve = SimpleNamespace(
        sample_median=values, sample_high=np.array(high) * LN10, median=values[0], peak=lambda lag: 3.0 * LN10
    )
    finding = find_sample_differs(
        a_layer(curve=curve, horizon=3, peak=3.0, lags=(SimpleNamespace(samples=np.arange(5)),))
    )
    assert finding is not None
    assert finding.evidence["label"] == "exploding"
    # Of two and two the ones that differ from the whole are named.
    curve.sample_median, curve.sample_high = values[:4], np.array(high[:4]) * LN10
    finding = find_sample_differs(
        a_layer(curve=curve, horizon=3, peak=3.0, lags=(SimpleNamespace(samples=np.arange(4)),))
    )
    assert finding is not None
    assert finding.evidence["label"] == "healthy"
    assert finding.severity == "note"


def test_where_most_are_off_and_none_explodes_there_is_no_odd_one() -> None:
    # Of the first two nothing is left at lag 3, as of the median: they do not die unlike others.
    assert compared([[-0.1, -0.2, -INF]] * 2 + [[-0.1, -5.0, NAN]] * 2 + [[-0.1, -0.2, -1.0]]) is None


def test_what_explodes_in_the_whole_is_told_in_decades() -> None:
    # All of them grow by 1.2 decades, which is 2.8 nats: nobody explodes, and nobody differs.
    assert compared([[0.1, 0.5, 1.2]] * 3 + [[0.1, 0.5, 1.1]]) is None


def test_of_samples_that_differ_the_furthest_is_named() -> None:
    finding = compared([GOOD] * 5 + [BAD, [-1.0, -2.0, -7.0], BAD])
    assert finding.where["sample"] == 6


# ---- exploding, the gate's time constant, readout
def grown(*decades: float, **facts: Any) -> Any:
    """A layer whose gradient grows by so many decades by lag, from the first loss on."""
    peak = max(decades)
    known = {"peak": peak, "peak_lag": decades.index(peak) + 1, "horizon": len(decades), "growth": np.array(decades)}
    facts = {**known, **facts}
    return a_layer(**facts)


@pytest.mark.parametrize(("peak", "found"), [(2.0, True), (1.99, False), (NAN, False)])
def test_exploding(peak: float, found: bool) -> None:
    assert (find_exploding(grown(0.5, 2.0, 2.5, peak=peak)) is not None) == found


def test_where_it_passes_and_where_it_ends() -> None:
    finding = find_exploding(grown(0.5, 2.001, 1.0, 3.5, 3.0, rate=0.3))
    assert finding is not None
    assert (finding.evidence["passed_lag"], finding.evidence["peak_lag"]) == (2, 4)
    assert finding.cause == "weights"
    assert "(doubled every" in finding.text
    falling = find_exploding(grown(0.5, 3.0, 1.0, rate=-0.3))
    assert falling is not None
    assert "every" not in falling.text


def test_an_explosion_stands_where_the_gradient_is_largest() -> None:
    grad = Magnitudes.of(np.array([1.0, 5.0, 0.0, 9.0, 2.0, 9.0, 1.0, 1.0]))
    finding = find_exploding(grown(3.0, states=(a_state(grad=grad),)))
    assert finding is not None
    assert (finding.where["timestep"], finding.where["node"]) == (3, 13)
    silent = find_exploding(grown(3.0, states=(a_state(grad=Magnitudes.of(np.zeros(8))),)))
    assert silent is not None
    assert "timestep" not in silent.where


GATE = SimpleNamespace(name="lstm.f")


def gated(scales: Any, rate: float, gate: Any = GATE, **facts: Any) -> Any:
    return find_gate_timescale(a_layer("lstm", gate=gate, rate=rate, gate_timescales=lambda: np.array(scales), **facts))


def test_the_time_constant_of_a_gate() -> None:
    finding = gated([5.0, 10.0, 30.0], -1 / 25.0)  # the median unit keeps 10 steps; 25 are measured
    assert finding.evidence["ratio"] == pytest.approx(2.5)
    assert finding.evidence["gate_timescale"] == 10
    assert finding.evidence["longest_gate_timescale"] == 30
    assert finding.evidence["measured_timescale"] == pytest.approx(25)
    assert "carry more" in finding.text
    less = gated([10.0], -1 / 4.0)
    assert less.evidence["ratio"] == pytest.approx(2.5)
    assert "take away" in less.text
    assert gated([8.0], -0.0625) is None  # twice exactly
    assert gated([8.0], -0.0624) is not None
    assert gated([], -0.1) is None
    assert gated([10.0], 0.0) is None
    assert gated([10.0], 0.5) is None
    assert gated([10.0], NAN) is None
    assert gated([10.0], -1.0, gate=None) is None
    assert gated([1000.0], -1 / 399) is not None  # ten horizons are 400 steps
    assert gated([1000.0], -1 / 401) is None
    shut = a_state(carried=Magnitudes.of(np.where(np.arange(8) == 4, 1e-6, 0.9)))
    assert gated([10.0], -1 / 25.0, states=(shut,)) is None  # one step is not what a gate's time constant is of


@pytest.mark.parametrize(("decades", "from_first", "found"), [
    (-4.0, -3.0, True), (-4.0, -3.01, False), (-3.99, -1.0, False), (-6.0, -4.0, False), (-6.0, -3.99, True),
    (-INF, -1.0, True), (-6.0, NAN, False),
])  # fmt: skip
def test_readout(decades: float, from_first: float, found: bool) -> None:
    finding = find_readout(a_layer(decades=decades, decades_from_first=from_first))
    assert (finding is not None) == found


def test_what_is_lost_at_the_readout_is_said() -> None:
    finding = find_readout(a_layer(decades=-6.0, decades_from_first=-1.0))
    assert finding is not None
    assert finding.evidence["once_decades"] == 5
    assert "only 1e-5 of it gets through" in finding.text
    assert "keeps 10 % up to lag 40" in finding.text


# ---- on the way to an input
def on_path(decades: float, asked: int | None = None, carriers: Any = (), layer: Any = None, **facts: Any) -> Any:
    """The rules that hold on a path with so much left, by name."""
    path = a_path(layer, **{"decades": decades, "alone": decades, "reach": 3, **facts})
    network = a_network([path.layer], path, asked=asked, carriers=lambda one: list(carriers))
    rules = (find_unwritten, find_saturated, find_vanishing, find_attenuating)
    found = [one for rule in rules if (one := rule(network, path)) is not None]
    assert len(found) <= 1
    return found[0] if found else None


FLAT: dict[str, Any] = {"saturated": 0.9, "activation": -2.0, "weights": 0.0}


@pytest.mark.parametrize(("decades", "expected"), [
    (-1.99, None), (-2.0, "attenuating"), (-3.99, "attenuating"), (-4.0, "vanishing"), (-INF, "vanishing"), (NAN, None),
])  # fmt: skip
@pytest.mark.parametrize("flat", [False, True])
def test_what_is_left_at_the_input(decades: float, expected: str | None, flat: bool) -> None:
    finding = on_path(decades, layer=a_layer(**(FLAT if flat else {})))
    if flat and expected == "vanishing":
        expected = "saturated"
    assert (finding and finding.rule) == expected


@pytest.mark.parametrize(("decades", "severities"), [(-3.0, ("note", "warning")), (-5.0, ("warning", "error"))])
@pytest.mark.parametrize("flat", [False, True])
def test_a_need_makes_it_grave(decades: float, severities: tuple[str, str], flat: bool) -> None:
    layer = a_layer(**(FLAT if flat else {}))
    assert tuple(on_path(decades, asked=asked, layer=layer).severity for asked in (None, 40)) == severities


def test_losses_that_weigh_nothing() -> None:
    # The few losses that are so late weigh 1e-6; of theirs, a tenth is left.
    finding = on_path(-7.0, alone=-1.0)
    assert finding.rule == "vanishing"
    assert finding.cause == "losses"
    assert "weigh 1e-6 of the mean" in finding.text
    assert on_path(-7.0, alone=-4.0).cause != "losses"
    assert on_path(-7.0, alone=-3.99).cause == "losses"
    assert on_path(-7.0, alone=-1.0, layer=a_layer(**FLAT)).rule == "vanishing"


@pytest.mark.parametrize(("decades", "alone", "written", "expected", "severity"), [
    (-1.0, -1.0, -6.0, "unwritten", "error"), (-1.0, -1.0, -5.99, None, ""), (-5.0, -5.0, -1.0, "unwritten", "warning"),
    (-4.0, -4.0, NAN, "unwritten", "warning"), (-3.99, -3.99, -1.0, "attenuating", "note"),
    (-7.0, -1.0, -1.0, "vanishing", "warning"), (NAN, NAN, -9.0, None, ""), (-3.0, -3.0, -7.0, "unwritten", "error"),
])  # fmt: skip
def test_unwritten(decades: float, alone: float, written: float, expected: str | None, severity: str) -> None:
    finding = on_path(decades, carriers=[a_layer(name="keeper")], alone=alone, written=written)
    assert (finding and finding.rule) == expected
    if finding is not None:
        assert finding.severity == severity
    if expected == "unwritten":
        assert finding.text.startswith("keeper keeps what it is given")
        assert on_path(decades, alone=alone, written=written) is None or decades <= -2  # nobody carries it


@pytest.mark.parametrize(("kept", "expected"), [(-3.21, "unwritten"), (-3.22, "vanishing")])
def test_an_input_that_fades_as_its_layer_does_is_not_unwritten(kept: float, expected: str) -> None:
    keeper = a_layer(name="keeper", decades=-3.9, decades_from_first=kept)
    assert on_path(-4.1, carriers=[keeper], alone=-4.21).rule == expected


def test_half_of_the_lag_is_asked_for() -> None:
    asked: list[int] = []

    def update(lag: int) -> Update:
        asked.append(lag)
        return Update(16, -4.0)

    path = a_path(decades=-5.0, alone=-5.0, written=-1.0, horizon=41)
    network = a_network([path.layer], path, carriers=lambda one: [path.layer], update_from=update)
    finding = find_unwritten(network, path)
    assert finding is not None
    assert asked == [20]
    assert (finding.severity, finding.evidence["update_lag"], finding.evidence["update_decades"]) == ("error", 16, -4.0)


def test_dead_units_have_not_faded() -> None:
    state = a_state(saturated=np.ones(8))
    assert on_path(-INF, layer=a_layer("relu", states=(state,))) is None


def test_the_lag_of_the_advice_is_one_at_least() -> None:
    assert "for lag 40" in on_path(-5.0, layer=a_layer("lstm")).advice
    assert "for lag 1," in on_path(-5.0, layer=a_layer("lstm"), horizon=0).advice


# ---- how far anything can be judged
def short(horizon: int, *, asked: int | None = None, reached: Any = ((4,), (4,)), **facts: Any) -> Any:
    """A layer judged at a horizon, whose samples have pairs up to these lags."""
    medians = np.full((len(reached), 8), np.nan)
    for row, (last,) in enumerate(reached):
        medians[row, :last] = 0.0
    pairs = (~np.isnan(medians)).sum(axis=0)
    of_pairs: dict[str, Any] = {"curve": SimpleNamespace(sample_median=medians), "sums": SimpleNamespace(pairs=pairs)}
    return a_layer(horizon=horizon, asked=asked, **of_pairs, **facts)


def test_too_short() -> None:
    layer, other = short(0, reached=((0,), (0,))), a_layer(name="other", horizon=1)
    assert find_too_short(a_network([layer]), layer).severity == "warning"  # type: ignore[union-attr]
    beside = find_too_short(a_network([layer, other]), layer)
    assert beside is not None
    assert beside.severity == "note"
    assert "other can be judged" in beside.text
    assert "the first step" in beside.advice
    backwards = short(0, reached=((0,), (0,)), credit=a_credit(reverse=True))
    assert "the last timestep" in find_too_short(a_network([backwards]), backwards).advice  # type: ignore[union-attr]
    nothing = short(0, reached=((0,), (0,)), credit=a_credit(nonfinite=3))
    assert find_too_short(a_network([nothing]), nothing) is None
    some = short(0, reached=((1,), (0,)), credit=a_credit(nonfinite=3))
    assert find_too_short(a_network([some]), some) is not None
    assert find_too_short(a_network([short(1)]), short(1)) is None


@pytest.mark.parametrize(("horizon", "asked", "reached", "found"), [
    (4, 4, ((4,), (4,)), False), (4, 6, ((4,), (4,)), True), (4, 4, ((4,), (2,)), False),
    (4, 4, ((4,), (2,), (2,)), True), (4, 4, ((4,), (2,), (0,)), False), (4, None, ((4,), (2,), (2,)), False),
])  # fmt: skip
def test_a_horizon_that_few_samples_reach(horizon: int, asked: int | None, reached: Any, found: bool) -> None:
    layer = short(horizon, asked=asked, reached=reached)
    finding = find_too_short(a_network([layer]), layer)
    assert (finding is not None) == found
    cut = short(horizon, asked=asked, reached=reached, window=3)
    assert find_too_short(a_network([cut]), cut) is None


def test_truncated() -> None:
    assert find_truncated(a_layer()) is None
    finding = find_truncated(a_layer(window=5, horizon=4))
    assert finding is not None
    assert "over more than 4 steps" in finding.text
    assert dict(finding.evidence) == {"window": 5, "judged_to_lag": 4}


# ---- whether there is anything
@pytest.mark.parametrize(("share", "found"), [(4, False), (5, True)])
def test_dead(share: int, found: bool) -> None:
    state = a_state(saturated=np.where(np.arange(8) < share, 1.0, 0.5))
    assert (find_dead(a_layer("relu", states=(state,))) is not None) == found


def silence(*, zero: Any = False, masked: bool = False, seeds: int = 3, nonfinite: int = 0) -> Any:
    states = tuple(a_state(grad=Magnitudes.of(np.zeros(8) if one else np.ones(8))) for one in np.atleast_1d(zero))
    valid = np.ones((2, 8), bool) & (not masked)
    credit = a_credit(seeds=seeds, nonfinite=nonfinite)
    layer = a_layer(states=states, recurrence=a_recurrence(valid=valid), credit=credit)
    return find_no_signal(a_network([layer]), layer)


def test_no_signal() -> None:
    assert silence() is None
    assert silence(zero=[True, False]) is None
    assert silence(seeds=0, nonfinite=1) is None
    assert "every step is masked" in silence(masked=True).text
    assert "exactly zero" in silence(zero=[True, True]).text
    assert silence(seeds=0) is not None


def test_no_signal_in_one_of_several_is_a_warning() -> None:
    silent, heard = a_layer(name="aux", credit=a_credit(seeds=0)), a_layer()
    for others, severity in (([silent], "error"), ([silent, silent], "error"), ([heard, silent], "warning")):
        finding = find_no_signal(a_network(others), silent)
        assert finding is not None
        assert (finding.severity, finding.text[:25]) == (severity, "No loss reaches aux: its ")


def test_samples_without_a_loss() -> None:
    log = np.zeros((2, 8, 9))
    log[1] = -INF
    lags = (SimpleNamespace(losses=np.arange(8), samples=np.arange(2), available=8, log=log),)
    finding = find_silent_samples(a_layer(lags=lags))
    assert finding is not None
    assert finding.where["sample"] == 1
    assert "in 1 sample (1)" in finding.text
    valid = np.ones((2, 8), bool)
    valid[1] = False
    assert find_silent_samples(a_layer(lags=lags, recurrence=a_recurrence(valid=valid))) is None
    valid[0, 5:] = False  # a part is no more than a part
    masked = find_masked_samples(a_layer(lags=lags, recurrence=a_recurrence(valid=valid)))
    assert masked is not None
    assert "all of it is masked" in masked.text
    assert masked.evidence["samples"] == 1


@pytest.mark.parametrize(("taken", "available", "found"), [(8, 8, True), (3, 8, False), (4, 8, True), (3, 3, True)])
def test_of_too_few_losses_nobody_can_tell_that_a_sample_has_none(taken: int, available: int, found: bool) -> None:
    log = np.zeros((2, taken, 9))
    log[1] = -INF
    lags = (SimpleNamespace(losses=np.arange(taken), samples=np.arange(2), available=available, log=log),)
    assert (find_silent_samples(a_layer(lags=lags)) is not None) == found


def test_a_sample_is_silent_where_all_of_its_states_are() -> None:
    heard, deaf = np.full((2, 8, 9), NAN), np.full((2, 8, 9), -INF)
    heard[:, 3, 4] = 0.0
    known = {"losses": np.arange(8), "samples": np.arange(2), "available": 8}
    lags = (SimpleNamespace(**known, log=deaf), SimpleNamespace(**known, log=heard))
    assert find_silent_samples(a_layer("lstm", lags=lags)) is None


def test_many_silent_samples_are_not_all_named() -> None:
    valid = np.zeros((7, 8), bool)
    finding = find_masked_samples(a_layer(recurrence=a_recurrence(valid=valid, batch=7)))
    assert finding is not None
    assert "in 7 samples (0, 1, 2, 3, 4, ...)" in finding.text
    five = find_masked_samples(a_layer(recurrence=a_recurrence(valid=valid[:5], batch=5)))
    assert five is not None
    assert "(0, 1, 2, 3, 4):" in five.text
