"""Which path stands for a network, how far credit reaches on all of them, and the few numbers of a path and a layer."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.diagnose import network_in
from rnngraph.diagnosis.evidence import at_timestep, end_of_memory, evidence, overflow_lag
from rnngraph.diagnosis.layer import _growth, _steps_read, _window, no_lags
from rnngraph.diagnosis.network import Network, Path
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import FORWARD, REVERSE, WITHOUT_LAGS
from tests.diagnosis.stand_ins import LIMITS, a_layer, a_recurrence, a_state
from tests.diagnosis.verdict_networks import linear, recorded
from tests.linear_cells import orthogonal

INF, NAN = math.inf, math.nan
LN10 = math.log(10)


def path(*left: float, reach: int | None = None, longest: int | None = None, layer: Any = None, **facts: Any) -> Path:
    """A path with so many decades left by lag, judged at the last of them."""
    sums: Any = SimpleNamespace(longest=len(left) if longest is None else longest, **facts)
    return Path(None, a_layer() if layer is None else layer, sums, np.array(left), len(left), reach)


def network(*paths: Path, layers: Any = (), trace: Any = None) -> Network:
    return Network(trace, LIMITS, None, tuple(layers), paths)


def test_the_head_is_the_path_on_which_least_is_left_and_the_loudest_that_on_which_most_is() -> None:
    less, more, none = path(0.0, -3.0), path(0.0, -1.0), path()
    for some in ((less, more, none), (none, more, less)):
        assert network(*some).head is less
        assert network(*some).loudest is more
    assert network(none).head is none


def test_the_reach_is_that_of_the_path_that_ends_first() -> None:
    early, late = path(reach=3, longest=9), path(reach=5, longest=9)
    whole, unknown = path(reach=2, longest=2), path(reach=None, longest=0)
    for some in ((early, late, whole, unknown), (unknown, whole, late, early)):
        assert network(*some).ending is early  # the one that is heard to its end does not end
        assert network(*some).reach == 3
        assert not network(*some).whole
    assert network(whole, path(reach=4, longest=4)).reach == 4  # where none ends, the longest says how far is known
    assert network(whole, path(reach=4, longest=4)).whole
    assert network(unknown).reach is None
    assert network(unknown).ending is None
    for reaches in ((0, 1), (1, 0)):
        assert network(*[path(reach=one, longest=4) for one in reaches]).reach == 0
    assert network(whole, unknown).whole  # of what is known


def test_a_path_is_whole_where_all_that_was_measured_is_reached() -> None:
    assert path(reach=4, longest=4).whole
    assert not path(reach=3, longest=4).whole
    assert not path(reach=None, longest=0).whole


def test_what_is_written() -> None:
    layer = a_layer(sums=SimpleNamespace(arrived=np.array([3.0, 5.0, NAN])))

    def written(*arrived: float, of: Any = layer, weight: float = 10.0) -> float:
        fed: Any = SimpleNamespace(name="x", weight=weight)
        one = Path(fed, of, SimpleNamespace(arrived=np.array(arrived)), np.zeros(3), 3, 3)  # type: ignore[arg-type]
        assert one.shut(one.written) == (not math.isnan(one.written))
        return one.written

    assert written(1.0, -4.0, -INF) == pytest.approx((1.0 - 5.0) / LN10 - 1)
    assert written(-INF, -INF, -INF) == -INF  # nothing arrives at any lag: shut, and not wide open
    nowhere = a_layer(sums=SimpleNamespace(arrived=np.array([-INF, NAN])))
    assert math.isnan(written(1.0, of=nowhere))
    for weight in (0.0, NAN):
        assert math.isnan(written(1.0, weight=weight))
    assert math.isnan(path(0.0, layer=layer).written)
    assert written(1.0, weight=0.5) == pytest.approx(-4.0 / LN10 + math.log10(2))
    assert path(0.0, layer=layer).where == layer.where
    fed = Path(SimpleNamespace(name="x"), layer, SimpleNamespace(), np.zeros(1), 1, 1)  # type: ignore[arg-type]
    assert fed.where == {**layer.where, "input": "x"}


def test_a_layer_lies_on_the_path_of_what_it_reads() -> None:
    """Two that take the same steps and read inputs of their own; a third lies above them."""
    first, second, above = (a_layer(name=name) for name in ("first", "second", "above"))
    paths = [
        replace(path(-1.0, layer=one), input=SimpleNamespace(recurrences=(one.name,)))  # type: ignore[arg-type]
        for one in (first, second)
    ]
    found = network(*paths, layers=[first, second, above])
    assert [found.path_of(one) for one in (first, second, above)] == [*paths, paths[0]]


def test_carriers_take_the_same_steps_and_keep() -> None:
    keeps, fades = a_layer(name="keeps", decades=-3.99), a_layer(name="fades", decades=-4.0)
    other = a_layer(name="other", recurrence=a_recurrence(name="other", clock=1))
    assert network(layers=[keeps, fades, other]).carriers(fades) == [keeps]
    both: Any = SimpleNamespace(recurrences=("fades", "other"))
    assert network(replace(path(-1.0), input=both), layers=[keeps, fades, other]).carriers(fades) == [keeps, other]


def test_the_path_of_a_layer_is_that_of_its_clock_and_direction() -> None:
    def on(**facts: Any) -> Path:
        return path(0.0, layer=a_layer(recurrence=a_recurrence(**facts)))

    forward, reverse, other = on(), on(direction="reverse"), on(clock=1)
    unjudged = path(layer=a_layer())
    for some in ((forward, reverse, other), (other, reverse, forward)):
        assert network(*some).path_of(forward.layer) is forward
        assert network(*some).path_of(reverse.layer) is reverse
        assert network(*some).path_of(other.layer) is other
    assert network(reverse, other).path_of(forward.layer) is reverse
    assert network(other).path_of(forward.layer) is None
    assert network(unjudged).path_of(forward.layer) is None


def test_without_inputs_the_lowest_layer_of_each_direction_ends_the_way() -> None:
    trace = recorded(nn.LSTM(6, 5, num_layers=2, bidirectional=True))
    found = network_in(replace(trace, input_lags=()))
    assert [one.layer.name for one in found.paths] == ["lstm", "lstm_l0_reverse"]
    assert all(one.input is None for one in found.paths)
    fed = network_in(trace)
    assert [(one.layer.name, one.input is not None) for one in fed.paths] == [("lstm", True), ("lstm_l0_reverse", True)]


def test_a_direction_that_does_not_read_the_input_is_no_path_of_its_own() -> None:
    trace = recorded(nn.LSTM(6, 5, bidirectional=True))
    (one,) = trace.input_lags
    alone = replace(trace, input_lags=(replace(one, recurrences=("lstm",)),))
    assert [way.layer.name for way in network_in(alone).paths] == ["lstm"]


def test_an_input_that_the_layers_above_read_too_is_one_path_a_direction() -> None:
    trace = recorded(nn.RNN(6, 5, num_layers=2))
    (one,) = trace.input_lags
    again = replace(trace, input_lags=(replace(one, recurrences=("rnn", "rnn_l1")),))
    assert [way.layer.name for way in network_in(again).paths] == ["rnn"]


def test_what_is_heard_at_its_own_step_alone_reaches_nowhere() -> None:
    trace = recorded(nn.RNN(6, 5))
    (one,) = trace.input_lags
    log = np.where(np.arange(one.log.shape[2]) == trace.lags[0].losses[:, None], 0.0, -INF)
    deaf = replace(trace, input_lags=(replace(one, log=np.broadcast_to(log, one.log.shape).copy()),))
    assert network_in(deaf).reach == 0


# ---- evidence
def test_what_a_layer_rests_on() -> None:
    layer = a_layer("lstm", gate_timescales=lambda: np.array([1.0, 2.0, 6.0]))
    found = evidence(layer)
    assert (found["gate_timescale"], found["longest_gate_timescale"]) == (2.0, 6.0)
    assert not {"gate", "gate_timescale", "spectral_radius"} & set(evidence(a_layer()))
    assert "gate_timescale" not in rg.diagnose(recorded(nn.RNN(6, 5))).findings[0].evidence


@pytest.mark.parametrize(("decades_a_lag", "expected"), [(0.1, 366), (0.091, 398), (0.0895, None)])
def test_the_lag_at_which_a_float_overflows(decades_a_lag: float, expected: int | None) -> None:
    # 38.53 decades of room in float32, of which 4 were grown at lag 40, from a gradient of 1e2: 32.53 more.
    start = np.array([[-INF, 2 * LN10, 0.0]])
    layer = a_layer(rate=decades_a_lag * LN10, peak=4.0, credit=SimpleNamespace(start=start))
    assert overflow_lag(layer) == expected  # within ten times the lag that is judged


def test_nothing_overflows_that_does_not_grow_or_is_not_there() -> None:
    start = np.zeros((1, 3))
    for rate in (0.0, -1.0, NAN):
        assert overflow_lag(a_layer(rate=rate, credit=SimpleNamespace(start=start))) is None
    assert overflow_lag(a_layer(rate=1.0, credit=SimpleNamespace(start=start - INF))) is None
    assert overflow_lag(a_layer(rate=1e3, peak=38.0, credit=SimpleNamespace(start=start))) == 41
    assert overflow_lag(a_layer(rate=1.0, peak=99.0, credit=SimpleNamespace(start=start))) == 1  # it has, long ago


@pytest.mark.parametrize(("t", "node"), [(-1, None), (0, 10), (7, 17), (8, None)])
def test_a_timestep_is_one_of_the_layers(t: int, node: int | None) -> None:
    assert at_timestep(a_layer(), t) == ({} if node is None else {"timestep": t, "node": node})


def test_where_the_memory_ends() -> None:
    credit = SimpleNamespace(
        arrivals=np.array([[2, 3], [5, 7]]), timestep=lambda step: step, reverse=False,
        taken_steps=lambda sample: np.array([0, 1, 2, 3]) if sample == 0 else np.array([0, 1, 3, 4, 5, 7]),
    )  # fmt: skip
    layer = a_layer(credit=credit)
    # Back from the last step of the longer sample, 7: one step is 5, two are 4, three are 3, four are 1.
    assert [end_of_memory(path(reach=reach, layer=layer)).get("timestep") for reach in (0, 1, 4, 5, 6, None)] == [
        7, 5, 1, 0, None, None,
    ]  # fmt: skip
    assert end_of_memory(path(reach=1, layer=a_layer())) == {}


# ---- a layer
@pytest.mark.parametrize(("reverse", "expected"), [(False, 4), (True, 3)])
def test_the_window_between_cuts(reverse: bool, expected: int) -> None:
    cut = np.array([False, True, False, False, False])
    direction = REVERSE if reverse else FORWARD
    assert _window(a_recurrence(cut=cut, direction=direction)) == expected
    assert _window(a_recurrence(cut=cut & False, direction=direction)) is None


def test_a_layer_sums_its_steps_up_by_mean_and_median() -> None:
    trace = recorded(nn.RNN(6, 5), time=5)
    activation, weights = np.array([-9.0, -0.3, -0.2, -0.1, NAN]), np.array([-9.0, -0.7, -0.6, -0.5, NAN])
    state = replace(
        trace.states[0],
        saturated=np.array([0.0, 0.0, 0.0, 0.5, 1.0]),
        gain_activation=activation,
        gain_weights=weights,
    )
    (one,), batch = trace.recurrences, trace.batch
    padded = replace(one, valid=np.arange(5) < np.where(np.arange(batch) == 1, 3, 5)[:, None])  # of one sample alone
    (layer,) = network_in(replace(trace, states=(state,), recurrences=(padded,))).layers
    assert layer.saturated == pytest.approx(0.3)
    assert layer.activation == pytest.approx(-0.25)
    assert layer.weights == pytest.approx(-0.65)
    assert layer.gate_timescales().shape == (0,)


def test_the_time_constants_of_the_gate_that_keeps() -> None:
    trace = recorded(nn.LSTM(6, 5, num_layers=2), time=5)
    known = {"lstm": [-0.5, -0.25, NAN, 0.0, -INF], "lstm_l1": [-1.0, -1.0, -2.0, 0.3, -4.0]}
    gates = [
        replace(one, log_mean=np.array(known[one.recurrence]) if one.gate == "f" else np.full(5, -9.0))
        for one in reversed(trace.gates)
    ]
    below, above = network_in(replace(trace, gates=tuple(gates))).layers
    np.testing.assert_allclose(below.gate_timescales(), [2.0, 4.0])
    np.testing.assert_allclose(above.gate_timescales(), [1.0, 1.0, 0.5, 0.25])


def grown(*decades: float, reads: int = 1) -> tuple[float, int]:
    """The largest gain of a layer that has grown by so many decades at each lag."""
    sums: Any = SimpleNamespace(
        arrived=np.array(decades) * LN10 + 3,
        first=np.full(len(decades), decades[0] * LN10 + 3),
        started=np.full(len(decades), 3.0),
    )
    growth = _growth(sums, len(decades), 1.0, reads=reads)
    layer = replace(network_in(recorded(nn.RNN(6, 5), time=5)).layers[0], growth=growth)
    return layer.peak, layer.peak_lag


def test_the_largest_gain_and_its_lag() -> None:
    # Ten times as much at the first step back is a jump, and grows from there; less than that is growth.
    jumps: Any = (((1.0, 1.5, 1.25), 0.5, 2), ((0.99, 1.5, 1.25), 1.5, 2), ((1.0,), 1.0, 1))
    for decades, peak, lag in (((0.5, 2.5, NAN, 1.0), 2.5, 2), ((-0.5, -1.0), -0.5, 1), *jumps):
        found = grown(*decades)
        assert found[0] == pytest.approx(peak)
        assert found[1] == lag
    peak, lag = grown(NAN, NAN)
    assert math.isnan(peak)
    assert lag == 0
    # Of a loss that reads three steps, twice and three times as much is no growth, and no more than that.
    added = np.log10([2, 3, 4, 5])
    peak, lag = grown(*added, reads=3)
    assert peak == pytest.approx(math.log10(5 / 3))
    assert lag == 4
    assert grown(*added, reads=9)[0] == pytest.approx(0.0)


def test_the_steps_that_a_loss_reads() -> None:
    assert _steps_read(a_state(immediate=Magnitudes.of(np.array([0.0, 2.0, 0.0, 1.0])))) == 2
    assert _steps_read(a_state(immediate=Magnitudes.of(np.zeros(3)))) == 1


def test_what_is_left_against_lag_one_and_against_lag_nought() -> None:
    trace = linear(0.9 * orthogonal(4), time=31)
    found = network_in(trace)
    (layer,), (way,) = found.layers, found.paths
    assert layer.decades == pytest.approx(30 * math.log10(0.9))
    assert layer.decades_from_first == pytest.approx(29 * math.log10(0.9))
    assert way.alone == pytest.approx(29 * math.log10(0.9))
    assert network_in(trace, horizon=7).paths[0].horizon == 7


def test_a_horizon_is_shorter_than_the_sequence() -> None:
    for time, words in ((1, "one timestep has no lag"), (2, "choose 1 to 1")):
        with pytest.raises(rg.InputError, match=words):
            rg.diagnose(recorded(nn.RNN(6, 5), time=time), horizon=2)
    assert rg.diagnose(recorded(nn.RNN(6, 5), time=2), horizon=1).horizon == 1


def test_why_there_are_no_lags() -> None:
    assert "lags=True" in str(no_lags(SimpleNamespace(notes=("other",))))  # type: ignore[arg-type]
    told = SimpleNamespace(notes=(f"{WITHOUT_LAGS}a loop", "other", f"{WITHOUT_LAGS}a hook"))
    assert str(no_lags(told)).startswith(f"{WITHOUT_LAGS}a loop; {WITHOUT_LAGS}a hook; rnngraph norms")  # type: ignore[arg-type]
