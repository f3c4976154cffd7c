"""Two networks beside each other: who reaches further, where they part, what is left out, and what is worse."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.sentences import percent
from rnngraph.errors import FileError, InputError
from rnngraph.history.compare.norms_apart import APART, LASTING, NormsApart, first_apart, lasting
from rnngraph.history.compare.worse import worse
from rnngraph.render.report.comparison_report import comparison_table
from rnngraph.trace.model import Trace
from tests.diagnosis.verdict_networks import linear
from tests.history.trainings import gain, network, reach, save


def recorded(layer: Any, *, time: int = 30, batch: int = 3) -> Trace:
    x = rg.Tape().input(np.random.default_rng(0).normal(size=(batch, time, layer.input_size)), "x")
    return rg.record((layer(x) ** 2).sum(), lags=True)


def norm(rate: float, back: int, *, every: bool) -> float:
    """The norm of the state's gradient so many steps before the last, of that at the last step."""
    return sum(rate**k for k in range(back + 1)) if every else rate**back


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(("one", "two"), [(0.9, 0.7), (0.8, 0.95), (0.99, 0.6)])
def test_curves_and_parting_are_the_closed_form(one: float, two: float, every: bool) -> None:
    comparison = rg.compare(network(one, every=every), network(two, every=every))
    at_input, states = comparison.curves
    assert (at_input.name, states.name) == ("x into relu", "relu")
    for curves in comparison.curves:
        lag = curves.horizon
        assert curves.gains == pytest.approx((gain(one, lag), gain(two, lag)))
        assert curves.reaches == (reach(one), reach(two))
        apart = [lag for lag in range(1, 40) if abs(gain(one, lag) - gain(two, lag)) >= APART]
        assert curves.parts == apart[0]
    (norms,) = comparison.norms
    ratios = [math.log10(norm(two, k, every=every) / norm(one, k, every=every)) for k in range(40)]
    np.testing.assert_allclose(norms.b - norms.a, ratios, atol=1e-9)
    expected = next((k for k in range(40) if abs(ratios[k]) >= APART), None)
    assert norms.parts == expected
    if expected is not None:
        assert norms.timesteps == (39 - expected, 39 - expected)
        assert norms.by == pytest.approx(ratios[expected])
        assert comparison.parting is norms
        assert f"at t = {39 - expected}, {expected} steps before the last" in str(comparison)
    else:
        assert "The norms of all losses together stay within ×3.2" in str(comparison)


def test_the_size_of_the_loss_does_not_matter() -> None:
    two = network(0.7)
    states = tuple(
        replace(one, grad=replace(one.grad, value=one.grad.value * 1e30), initial=one.initial) for one in two.states
    )
    comparison = rg.compare(network(0.7), replace(two, states=states))
    assert comparison.parting is None
    assert comparison.norms[0].start == pytest.approx(30)


def test_the_layer_that_parts_first_is_named() -> None:
    def stack(upper: float, lower: float) -> Trace:
        layer = nn.LSTM(2, 4, num_layers=2)
        for key, bias in (("b", lower), ("b_l1", upper)):
            layer.parameter(key).value[4:8] = bias
        return recorded(layer)

    comparison = rg.compare(stack(0.0, 0.0), stack(6.0, 0.0))
    assert comparison.parting is not None
    assert comparison.parting.recurrence == "lstm_l1"
    comparison = rg.compare(stack(0.0, 0.0), stack(0.0, 6.0))
    assert comparison.parting is not None
    assert comparison.parting.recurrence == "lstm"
    f, o = ({gate.name: gate for gate in comparison.gates}[name] for name in ("lstm.f", "lstm.o"))
    assert f.mean[1] == pytest.approx(1 / (1 + math.exp(-6)), abs=0.01)
    assert f.saturated[1] > 0.9 > f.saturated[0]
    assert o.mean[0] == pytest.approx(o.mean[1], abs=0.1)
    assert comparison.verdicts[0][0] == "lstm"


def test_the_first_on_the_way_back_goes_before_and_then_the_upper_one() -> None:
    def apart(state: str, layer: int, parts: int | None) -> NormsApart:
        return NormsApart("r", state, layer, np.zeros(9), np.zeros(9), 0.0, parts, (0, 0))

    late, soon, below, never = apart("late", 3, 7), apart("soon", 1, 4), apart("below", 0, 4), apart("never", 2, None)
    assert first_apart([late, below, soon, never]) is soon
    assert first_apart([never]) is None


def test_two_of_one_place_have_no_partner() -> None:
    def decoders(*names: str) -> Trace:
        x = rg.Tape().input(np.ones((1, 6, 2)), "x")
        first, *others = [(nn.RNN(2, 3, name=name)(x) ** 2).sum() for name in names]
        return rg.record(sum(others, start=first), lags=True)

    comparison = rg.compare(decoders("a", "b"), decoders("a", "c", "d"))
    assert comparison.left_out == (
        "only A has b: nothing of B is set against that", "only B has c, d: nothing of A is set against that",
    )  # fmt: skip


def test_a_trace_and_itself_do_not_differ() -> None:
    trace = network(0.8)
    comparison = rg.compare(trace, trace)
    assert repr(comparison).startswith(f"Both reach lag {reach(0.8)}: ")
    assert "is left at lag 39 in A" in str(comparison)
    assert comparison.parting is None
    assert [one.parts for one in comparison.curves] == [None, None]
    assert comparison.left_out == ()
    assert worse(comparison, tolerance=0.0) == ()


def unlike(*rates: float) -> Trace:
    """A sample a rate, whose loss reads the unit that keeps so much a step."""
    layer, units = nn.RNN(2, len(rates), nonlinearity="relu"), np.eye(len(rates))
    for parameter in layer.parameters():
        key = parameter.name.rpartition(".")[2][:2]
        parameter.value[...] = {"Wh": np.diag(rates), "Wx": 0.5}.get(key, 0.0)
    hidden = layer(rg.Tape().input(np.ones((len(rates), 20, 2)), "x"))
    return rg.record((hidden[:, 19] * units).sum(), lags=True)


@pytest.mark.parametrize(("one", "two", "words"), [
    ((0.9, 0.8), (0.6, 0.5), "further apart than that"), ((0.9, 0.5), (0.8, 0.6), "no further apart than that"),
])  # fmt: skip
def test_the_spread_of_each_is_said_beside_the_difference(one: Any, two: Any, words: str) -> None:
    comparison = rg.compare(unlike(*one), unlike(*two))
    lag = comparison.curves[0].horizon
    ends = [[gain(rate, lag) for rate in rates] for rates in (one, two)]  # 10 % of the way between two is 10 %
    said = [f"from {percent(low + (high - low) / 10)} to {percent(high + (low - high) / 10)}" for high, low in ends]
    expected = f"Of single losses and samples it is {said[0]} in A, and {said[1]} in B: the two are {words}."
    assert str(comparison).splitlines()[1] == expected


def test_what_was_measured_to_the_end_may_reach_further() -> None:
    one, two = network(1.0), network(0.99)
    assert str(rg.compare(one, two)).startswith("Both reach lag 39 at least: all is left at lag ")
    (row,) = [row for row in comparison_table(rg.compare(one, two)) if row[0] == "x into relu: reach"]
    assert row[1:] == ("39+", "39+")


def test_what_is_wrong_in_b_alone_is_worse() -> None:
    healthy, explodes = network(1.0), network(1.2)  # 1.2**26 is over a hundred
    (said,) = worse(rg.compare(healthy, explodes), tolerance=9.0)
    assert said.startswith("relu explodes: ")
    assert worse(rg.compare(explodes, healthy), tolerance=0.0) == ()
    assert worse(rg.compare(explodes, explodes), tolerance=0.0) == ()
    needed = rg.compare(healthy, network(0.7), horizon=30)  # 0.7**29 is 3e-5: an error, within the tolerance
    assert needed.b.diagnosis.verdict == "vanishing"
    assert worse(needed, tolerance=9.0) == ()


def test_exact_zeros_part_from_numbers_and_not_from_zeros() -> None:
    cut = recorded(nn.RNN(2, 3, truncate=10))
    comparison = rg.compare(cut, cut)
    assert {one.parts for one in comparison.curves} | {one.parts for one in comparison.norms} == {None}
    comparison = rg.compare(network(0.9), network(0.0))
    assert [one.parts for one in comparison.curves] == [1, 1]
    assert comparison.norms[0].parts == 1
    assert comparison.norms[0].by == -math.inf
    assert "from there on B has ×0 of what A has" in str(comparison)
    assert "from there on A has nothing" in str(rg.compare(network(0.0), network(0.9)))
    assert comparison.curves[0].gains[1] == -math.inf
    assert "nothing in B" in str(comparison)


@pytest.mark.parametrize(
    ("apart", "place"),
    [
        ([0, 1, 1, 1, 0], 1), ([1, 1, 0, 1, 1], None), ([0, 0, 1, 1], None), ([1, 1], 0), ([0, 1], None), ([], None),
        ([1, 0, 0, 1, 1, 1], 3),
    ],
)  # fmt: skip
def test_apart_is_for_three_steps_at_least(apart: list[int], place: int | None) -> None:
    assert LASTING == 3
    assert lasting(np.array(apart, bool)) == place


def test_the_reverse_direction_is_walked_from_its_own_end() -> None:
    def both(backwards: float) -> Trace:
        layer = nn.LSTM(2, 4, bidirectional=True)
        layer.parameter("b_l0_reverse").value[4:8] = backwards
        return recorded(layer)

    before = both(0.0)
    norms = {one.state: one for one in rg.compare(before, both(6.0)).norms}
    for state in before.states:
        walked = state.grad.log10 if state.direction == "reverse" else state.grad.log10[::-1]
        first = np.flatnonzero(np.isfinite(walked))[0]
        np.testing.assert_allclose(norms[state.name].a[first:], walked[first:] - walked[first], rtol=1e-9, atol=1e-9)
    assert norms["lstm.c"].parts is None
    parted = norms["lstm.c_l0_reverse"]
    assert parted.timesteps == (parted.parts, parted.parts)  # the walk back begins at the first timestep


def test_other_lengths_are_compared_as_far_as_they_go() -> None:
    comparison = rg.compare(network(0.9, time=20), network(0.95, time=40))
    (said,) = comparison.left_out
    assert said == "relu takes 20 steps in A and 40 in B: lags up to 19 are compared, and norms from the end back"
    curves = comparison.curves[0]
    assert (curves.longest, curves.horizon, curves.reaches) == (19, 19, (19, 19))
    assert curves.gains == pytest.approx((gain(0.9, 19), gain(0.95, 19)))
    assert len(comparison.norms[0].a) == 20
    parted = rg.compare(network(0.9, time=20), network(0.7, time=40))
    assert parted.parting is not None
    assert parted.parting.timesteps[1] - parted.parting.timesteps[0] == 20


def test_other_recurrences_are_left_out_and_named() -> None:
    comparison = rg.compare(recorded(nn.LSTM(2, 4, num_layers=2)), recorded(nn.LSTM(2, 4)))
    assert comparison.left_out == ("only A has lstm_l1: nothing of B is set against that",)
    assert [name for name, _, _ in comparison.verdicts] == ["lstm"]
    comparison = rg.compare(recorded(nn.LSTM(2, 4)), recorded(nn.GRU(2, 4)))
    assert comparison.left_out == ("A's lstm is set against B's gru, which has its place and another name",)
    assert [one.name for one in comparison.curves] == ["x into lstm | x into gru", "lstm | gru"]
    assert [one.state for one in comparison.norms] == ["lstm.h | gru.h"]
    assert comparison.gates == ()  # i, f, o, g against r, z, n


def test_nothing_in_common() -> None:
    encoder, decoder = nn.RNN(2, 3, name="encoder"), nn.RNN(2, 3, name="decoder")
    x = rg.Tape().input(np.ones((1, 5, 2)), "x")
    two = rg.record((encoder(x) ** 2).sum() + (decoder(x) ** 2).sum(), lags=True)
    with pytest.raises(
        InputError, match="no recurrence in common: A has rnn, B has encoder, decoder; compare networks"
    ):
        rg.compare(recorded(nn.RNN(2, 3)), two)


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "found"),
    [
        (0.9, 0.9, 0.0, []),
        (0.9, 0.8, 0.1, ["reach fell from lag 39 to lag 21", "0.02 % is left, and 1.8 % was"]),
        (0.9, 0.8, 5.0, []),
        (0.8, 0.9, 0.0, []),
        (1.0, 0.99, 0.1, ["68 % is left, and all was"]),  # 38 log10(0.99) is -0.166
        (1.0, 0.99, 0.17, []),
        (0.72, 0.71, 0.1, ["lag 39 2e-6 is left"]),  # a reach of 15 became one of 14
        (1.05, 1.0, 0.0, []),  # what is more than all counts as all
        (1.3, 1.0, 0.0, []),
        (1.0, 1.1, 0.0, []),  # 41 times
        (0.5, 0.0, 1.0, ["reach fell from lag 7 to lag 0", "nothing is left"]),
    ],
)
def test_what_is_worse(before: float, after: float, tolerance: float, found: list[str]) -> None:
    said = worse(rg.compare(network(before), network(after)), tolerance=tolerance)
    assert len(said) == len(found)
    for text, words in zip(said, found, strict=True):
        assert text.startswith("x into relu: ")
        assert words in text


def test_a_network_that_went_silent_is_worse() -> None:
    layer = nn.RNN(2, 3, nonlinearity="relu", name="relu")
    silent = rg.record((layer(rg.Tape().input(np.ones((2, 40, 2)), "x")) * 0.0).sum(), lags=True)
    comparison = rg.compare(network(0.9), silent)
    said, why = worse(comparison)
    assert said == "relu: at lag 39 1.8 % was left in A, and of B nothing could be measured."
    assert why.startswith("No loss reaches relu: its gradient is exactly zero at every step")
    assert "No credit of both could be measured" in str(comparison)
    with pytest.raises(InputError, match="of A no credit could be measured"):
        worse(rg.compare(silent, network(0.9)))


@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf, "0.1", True])
def test_a_tolerance_is_a_number(tolerance: Any) -> None:
    with pytest.raises(InputError, match="the tolerance is"):
        worse(rg.compare(network(0.9), network(0.9)), tolerance=tolerance)


def test_folders_are_compared_at_their_ends(tmp_path: Path) -> None:
    a = save(tmp_path / "a", [0.7, 0.75, 0.8, 0.85, 0.9])
    b = save(tmp_path / "b", [0.9, 0.85, 0.8, 0.75, 0.7])
    comparison = rg.compare(a, b)
    assert comparison.curves[0].reaches == (reach(0.9), reach(0.7))
    assert (comparison.a.label, comparison.b.label) == (f"{a}, step 400", f"{b}, step 400")
    text = str(comparison)
    assert "A, the training: Opening since step 0" in text
    assert "B, the training: Closing since step 0" in text
    mixed = rg.compare(a / "step-000000000.npz", b)
    assert mixed.curves[0].reaches == (reach(0.7), reach(0.7))
    assert mixed.a.history is None
    (b / "step-000000400.npz").write_bytes(b"damaged")
    assert rg.compare(a, b).b.measurement.step == 300


def test_a_need_is_the_lag_that_is_compared_at() -> None:
    comparison = rg.compare(network(0.9), network(0.8), horizon=10)
    assert comparison.curves[0].horizon == 10
    assert comparison.curves[0].gains == pytest.approx((gain(0.9, 10), gain(0.8, 10)))
    with pytest.raises(InputError, match="A: the horizon is 40, but the sequence has 40 timesteps"):
        rg.compare(network(0.9), network(0.8), horizon=40)
    with pytest.raises(InputError, match="the horizon is 0"):
        rg.compare(network(0.9), network(0.8), horizon=0)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    good = network(0.9)
    (tmp_path / "bad.npz").write_bytes(b"no")
    (tmp_path / "empty").mkdir()
    without = rg.record(nn.RNN(2, 3)(rg.Tape().input(np.ones((1, 5, 2)))).sum())
    for a, b, kind, words in (
        (tmp_path / "missing.npz", good, FileError, "is not a file"),
        (good, tmp_path / "bad.npz", FileError, "damaged"),
        (good, tmp_path / "empty", FileError, "holds no trace"),
        (good, 3, InputError, "B: the loss is a int; pass the scalar Tensor"),
        (without, good, InputError, "A: the trace holds no lags"),
        (good, tmp_path / ("a" * 5000), FileError, "cannot be used"),
    ):
        with pytest.raises(kind, match=words):
            rg.compare(a, b)  # type: ignore[arg-type]


def test_linear_cells_without_an_input_are_compared_by_their_states() -> None:
    (curves,) = rg.compare(linear(0.9 * np.eye(3)), linear(0.8 * np.eye(3))).curves
    assert curves.a.counts
    assert not curves.a.at_input
    assert curves.gains == pytest.approx((gain(0.9, 89), gain(0.8, 89)))
