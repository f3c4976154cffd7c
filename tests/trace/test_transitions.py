"""Which steps copy, cut and reset, however they are written, and which ways lead from state to state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.curve import lag_curve
from rnngraph.errors import InputError
from rnngraph.measure.combine import combination
from rnngraph.measure.lag_options import LagOptions
from rnngraph.measure.routes import Routes
from rnngraph.nn import Parameter
from tests.linear_cells import orthogonal
from tests.trace.lag_networks import by_hand, measured


def copying(form: str, new: Any, before: Any, taken: float) -> Any:
    """Take the new state, or copy the one before, in three ways of writing it."""
    mask = np.full(before.shape, taken)
    if form == "where":
        return rg.where(mask > 0, new, before)
    if form == "towards":
        return before + mask * (new - before)
    return mask * new + (1 - mask) * before


@pytest.mark.parametrize("form", ["where", "towards", "mixed"])
def test_copies_count_neither_in_lags_nor_in_the_spectrum(form: str) -> None:
    loss = by_hand(
        lambda h, _: h @ h.tape.constant(0.5 * orthogonal(4)), np.ones((2, 4)), time=60, readout=np.ones(4),
        after=lambda new, before, t: copying(form, new, before, float(t % 3 == 0)),
    )  # fmt: skip
    curve = lag_curve([measured(loss)["cell.h"]], "forward")
    assert curve.longest == 19
    np.testing.assert_allclose(curve.median[:19], math.log(0.5) * np.arange(1, 20), rtol=1e-9)
    np.testing.assert_allclose(rg.spectrum(loss, 4).lyapunov, math.log(0.5), rtol=1e-9)


def test_a_truncated_recurrence_has_the_exponents_of_its_steps() -> None:
    layer = nn.RNN(3, 3, truncate=7)
    for name, value in {"Wh": 0.8 * orthogonal(3), "Wx": np.zeros((3, 3)), "b": np.zeros(3)}.items():
        layer.parameter(name).value[...] = value
    hidden = layer(rg.Tape().input(np.zeros((1, 30, 3))))
    np.testing.assert_allclose(rg.spectrum(hidden.sum(), 3).lyapunov, math.log(0.8), rtol=1e-12)


def resets(form: str, keep: Any) -> Any:
    """An orthogonal recurrence that forgets everything where an episode ends."""
    weight = orthogonal(4)
    tape = rg.Tape()
    h = start = tape.input(np.zeros((8, 4)), "h0")
    x = np.random.default_rng(1).normal(size=(60, 8, 4))
    states, total = [], None
    for t in range(60):
        kept = np.broadcast_to(keep[:, t : t + 1], (8, 4))
        with tape.scope(t=t):
            if form == "multiplied":
                h = (h * kept.astype(float)) @ tape.constant(weight) + x[t]
            elif form == "chosen":
                h = rg.where(kept, h, np.zeros((8, 4))) @ tape.constant(weight) + x[t]
            else:
                h = (h @ tape.constant(weight)) * kept.astype(float) + x[t]
        states.append(h)
        part = (h * x[(t + 7) % 60]).sum()
        total = part if total is None else total + part
    tape.state("cell.h", states, initial=start)
    return total


@pytest.mark.parametrize("form", ["multiplied", "chosen", "after"])
def test_resets_cut_the_samples_that_they_reset(form: str) -> None:
    keep = np.random.default_rng(0).random((8, 60)) > 0.05
    trace = rg.record(resets(form, keep), lags=LagOptions("all", "all"))
    severed = trace.lags[0].severed
    np.testing.assert_array_equal(severed[:, 1:], ~keep[:, 1:])
    diagnosis = rg.diagnose(trace)
    assert diagnosis.verdict == "healthy"
    assert diagnosis.decades == pytest.approx(0, abs=1e-9)


def skipping(steps: int) -> Any:
    """h_t = h_{t-2} W with a W of 0.3 Q, so that only even lags carry anything."""
    tape = rg.Tape()
    weight = tape.parameter(Parameter("cell.W", 0.3 * orthogonal(4)))
    start = tape.input(np.ones((2, 4)), "h0")
    states: list[Any] = []
    for t in range(steps):
        with tape.scope(t=t):
            states.append((states[t - 2] if t > 1 else start) @ weight)
    tape.state("cell.h", states, initial=start)
    return states[-1].sum()


def test_a_recurrence_over_two_steps_is_not_cut() -> None:
    loss = skipping(41)
    trace = rg.record(loss, lags=LagOptions("all", "all"))
    assert not trace.lags[0].severed.any()
    found = trace.lags[0].log[0, 0, 1:][::-1]
    np.testing.assert_allclose(found[::2] - found[0], math.log(0.3) * np.arange(21), rtol=1e-9, atol=1e-12)
    assert np.isnan(found[1::2]).all()  # no way leads there
    assert rg.diagnose(trace).verdict == "vanishing"
    with pytest.raises(InputError, match="reads states from before the last one"):
        rg.spectrum(loss)


@pytest.mark.parametrize("time", [30, 31])
@pytest.mark.parametrize("skip", [2, 3])
def test_steps_that_no_way_leads_to_are_no_pairs(skip: int, time: int) -> None:
    tape = rg.Tape()
    start = tape.input(np.ones((2, 4)), "h0")
    states: list[Any] = []
    for t in range(time):
        with tape.scope(t=t):
            states.append((states[t - skip] if t >= skip else start) @ orthogonal(4))
    tape.state("cell.h", states, initial=start)
    diagnosis = rg.diagnose(rg.record(states[-1].sum(), lags=True))
    assert diagnosis.verdict == "healthy"
    assert diagnosis.decades == pytest.approx(0, abs=1e-12)
    assert diagnosis.horizon % skip == 0


def test_states_that_another_carries_are_not_cut() -> None:
    weight, tape = 0.9 * orthogonal(4), rg.Tape()
    top = tape.input(np.ones((2, 4)), "h0")
    states: dict[str, list[Any]] = {"mid.h": [], "top.h": []}
    for t in range(30):
        with tape.scope(t=t):
            mid = top @ weight
            top = mid @ weight
        states["mid.h"].append(mid)
        states["top.h"].append(top)
    for name, tensors in states.items():
        tape.state(name, tensors)
    trace = rg.record(top.sum(), lags=True)
    for lags in trace.lags:
        assert not lags.severed[:, 1:].any()
        np.testing.assert_allclose(lag_curve([lags], "forward").median, 2 * math.log(0.9) * np.arange(1, 30), rtol=1e-9)
    with pytest.raises(InputError, match="declared by another name"):
        rg.spectrum(top.sum(), stack="top")


def masked(form: str, h: Any, kept: Any) -> Any:
    """One step of 0.7 Q for the samples that are kept, and a copy for the others, in ways that people write it."""
    weight, taken = 0.7 * orthogonal(4), np.broadcast_to(kept[:, None], (4, 4)).astype(float)
    new = h @ weight
    forms: dict[str, Callable[[], Any]] = {
        "where": lambda: rg.where(taken > 0, new, h),
        "lerp": lambda: h + taken * (new - h),
        "back": lambda: h - taken * (h - new),
        "other": lambda: new + (1 - taken) * (h - new),
        "nested": lambda: rg.where(taken > 0, rg.where(taken > 0, new, h), h) * 1.0,
        "inner": lambda: h + rg.where(taken > 0, new - h, 0 * new),
        "packed": lambda: new if kept.all() else rg.concatenate([h[: kept.sum()] @ weight, h[kept.sum() :]]),
    }
    return forms[form]()


@pytest.mark.parametrize("form", ["where", "lerp", "back", "other", "nested", "inner", "packed"])
def test_padding_is_seen_however_it_is_written(form: str) -> None:
    tape = rg.Tape()
    h = tape.input(np.ones((4, 4)), "h0")
    states = []
    for t in range(60):
        with tape.scope(t=t):
            h = masked(form, h, t < np.array([60, 20, 20, 20]))
        states.append(h)
    tape.state("cell.h", states)
    diagnosis = rg.diagnose(rg.record(h.sum(), lags=True))
    assert diagnosis.horizon == 19
    assert diagnosis.decades == pytest.approx(19 * math.log10(0.7))
    assert diagnosis.rate == pytest.approx(math.log(0.7))
    assert rg.spectrum(h.sum(), 1).lyapunov[0] == pytest.approx(math.log(0.7))


def test_a_reset_that_is_written_as_a_difference() -> None:
    tape = rg.Tape()
    h = tape.input(np.ones((2, 4)), "h0")
    states = []
    for t in range(40):
        with tape.scope(t=t):
            keep = np.full((2, 4), float(t not in (15, 30)))
            h = (h - h * (1 - keep)) @ orthogonal(4) + float(t)
        states.append(h)
    tape.state("cell.h", states)
    diagnosis = rg.diagnose(rg.record(states[-1].sum() + states[14].sum(), lags=True))
    assert diagnosis.verdict == "truncated"
    assert diagnosis.decades == pytest.approx(0, abs=1e-9)


def test_the_window_of_an_encoder_that_is_shorter_than_its_decoder() -> None:
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    encoded = nn.RNN(4, 6, name="enc", truncate=5)(tape.input(rng.normal(size=(2, 10, 4)), "x"))[:, 9]
    decoded = nn.RNN(4, 6, name="dec")(tape.input(rng.normal(size=(2, 40, 4)), "y"), encoded)
    diagnosis = rg.diagnose(rg.record((decoded * decoded).sum(), lags=True))
    (finding,) = [finding for finding in diagnosis.findings if finding.rule == "truncated"]
    assert finding.evidence["window"] == 5


@pytest.mark.parametrize("form", ["long", "shared"])
def test_a_step_of_many_sums_is_neither_too_deep_nor_too_wide(form: str) -> None:
    # A sum of 1,500 terms, and an inner loop in which every value is used twice: 2^40 ways.
    tape = rg.Tape()
    p, q = tape.input(np.ones((2, 3)), "p"), tape.input(np.ones((2, 3)), "q")
    states = []
    for t in range(4):
        with tape.scope(t=t):
            if form == "long":
                start = p
                for _ in range(1500):
                    p = p + start * 1e-6
            else:
                for _ in range(40):
                    p, q = p - q * 0.01, q + p * 0.01
                p = p + q * 0.0
                q = p * 1.0
        states.append(p)
    tape.state("cell.h", states)
    (lags,) = rg.record(states[-1].sum(), lags=True).lags
    assert not lags.severed[:, 1:].any()
    assert not lags.copied.any()


def test_a_sum_of_very_many_parts_is_taken_as_one() -> None:
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 3)), "h0")
    states, sums = [], []
    for t in range(2):
        with tape.scope(t=t):
            total = h.tanh()
            for width in (3, 40):
                for k in range(width):
                    total = total - (h * (0.1 + k + width)).tanh()
                sums.append(total)
            h = total.tanh()
        states.append(h)
    tape.state("cell.h", states, initial=start)
    routes = Routes(tape)
    few, many = (combination(routes, one.id) for one in sums[2:])
    assert sorted(float(value[0]) for value in few.values()) == [-1, -1, -1, 1]
    assert len(many) <= 12
    assert {value.shape for value in many.values()} == {(2,)}
