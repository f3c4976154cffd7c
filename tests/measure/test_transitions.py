"""Copies, cuts and resets that were declared, and steps that a gradient passes by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.credit import credit_of
from rnngraph.diagnosis.curve import lag_curve
from rnngraph.diagnosis.sums import sums_of
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from rnngraph.nn import Parameter
from tests.linear_cells import orthogonal
from tests.measure.lag_networks import measured


def copying(form: str, new: Any, before: Any, taken: float) -> Any:
    """Take the new state, or copy the one before, in ways that people write it."""
    mask = np.full(before.shape, taken)
    forms: dict[str, Callable[[], Any]] = {
        "where": lambda: rg.where(mask > 0, new, before),
        "towards": lambda: before + mask * (new - before),
        "mixed": lambda: mask * new + (1 - mask) * before,
        "back": lambda: before - mask * (before - new),
        "inner": lambda: before + rg.where(mask > 0, new - before, 0 * new),
    }
    return forms[form]()


@pytest.mark.parametrize("form", ["where", "towards", "mixed", "back", "inner"])
def test_declared_copies_count_neither_in_lags_nor_in_the_spectrum(form: str) -> None:
    tape, states = rg.Tape(), []
    h = start = tape.input(np.ones((2, 4)), "h0")
    taken = np.arange(60) % 3 == 0
    for t in range(60):
        with tape.scope(t=t):
            h = copying(form, h @ tape.constant(0.5 * orthogonal(4)), h, float(taken[t]))
        states.append(h)
    tape.state("cell.h", states, initial=start, mask=np.broadcast_to(taken, (2, 60)))
    loss = h.sum()
    curve = lag_curve([measured(loss)["cell.h"]], "forward")
    assert sums_of(curve.credit).longest == 19
    np.testing.assert_allclose(curve.median[:19], math.log(0.5) * np.arange(1, 20), rtol=1e-9)
    np.testing.assert_allclose(rg.spectrum(loss, 4).lyapunov, math.log(0.5), rtol=1e-9)


def test_a_residual_step_is_no_copy() -> None:
    # h + f(h) hands h on, but it is a step like any other: nothing was declared to be a copy.
    tape, states = rg.Tape(), []
    h = tape.input(np.ones((2, 4)), "h0")
    for t in range(20):
        with tape.scope(t=t):
            h = h + (h @ (0.1 * orthogonal(4))).tanh()
        states.append(h)
    tape.state("cell.h", states)
    (lags,) = measured(h.sum()).values()
    assert not lags.copied.any()
    assert sums_of(credit_of([lags], "forward")).longest == 19


def test_a_truncated_recurrence_has_the_exponents_of_its_steps() -> None:
    layer = nn.RNN(3, 3, truncate=7)
    for name, value in {"Wh": 0.8 * orthogonal(3), "Wx": np.zeros((3, 3)), "b": np.zeros(3)}.items():
        layer.parameter(name).value[...] = value
    hidden = layer(rg.Tape().input(np.zeros((1, 30, 3))))
    np.testing.assert_allclose(rg.spectrum(hidden.sum(), 3).lyapunov, math.log(0.8), rtol=1e-12)


def resets(form: str, keep: Any, *, declared: bool) -> Any:
    """An orthogonal recurrence that forgets everything where an episode ends."""
    weight, tape = orthogonal(4), rg.Tape()
    h = start = tape.input(np.zeros((8, 4)), "h0")
    x = np.random.default_rng(1).normal(size=(60, 8, 4))
    states, total = [], None
    for t in range(60):
        kept = keep[:, t : t + 1]
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
    tape.state("cell.h", states, initial=start, cuts=~keep if declared else None)
    return total


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("form", ["multiplied", "chosen", "after"])
def test_resets_end_the_lags_of_the_samples_that_they_reset(form: str, declared: bool) -> None:
    keep = np.random.default_rng(0).random((8, 60)) > 0.05
    keep[:, 30] = False
    trace = rg.record(resets(form, keep, declared=declared), lags=LagOptions("all", "all"))
    severed = trace.lags[0].severed
    np.testing.assert_array_equal(severed[:, 1:], ~keep[:, 1:])
    assert not trace.recurrences[0].cut.any()  # nothing is cut where all samples start anew
    begun = f"cell starts anew at {(~keep[:, 1:]).sum()} steps in 8 samples, as where an episode begins"
    assert declared or [note[: len(begun)] for note in trace.notes] == [begun]
    diagnosis = rg.diagnose(trace)
    assert diagnosis.flags == ("healthy",)
    assert diagnosis.decades == pytest.approx(0, abs=1e-9)


def test_a_way_past_the_step_before_is_no_reset() -> None:
    """h takes nothing from the h before, and everything from what an earlier one left in a second path."""
    tape = rg.Tape()
    h = c = start = tape.input(np.ones((2, 1)), "h0")
    states = []
    for t in range(6):
        with tape.scope(t=t):
            h, c = h * float(t != 4) + c, h * 0.5
        states.append(h)
    tape.state("cell.h", states, initial=start)
    trace = rg.record(h.sum(), lags=True)
    assert not trace.lags[0].severed.any()
    # h_5 = h_4 + h_3 / 2, h_4 = h_2 / 2 and h_3 = h_2 + h_1 / 2: h_2 counts once over h_3, and half over h_4.
    np.testing.assert_allclose(np.exp(trace.lags[0].log[0, 0, 3:]), [1.0, 0.5, 1.0, 1.0])


def skipping(steps: int, *, factor: float = 0.3, skip: int = 2) -> Any:
    """h_t = h_{t-skip} W, so that only every skip-th lag carries anything."""
    tape = rg.Tape()
    weight = tape.parameter(Parameter("cell.W", factor * orthogonal(4)))
    start = tape.input(np.ones((2, 4)), "h0")
    states: list[Any] = []
    for t in range(steps):
        with tape.scope(t=t):
            states.append((states[t - skip] if t >= skip else start) @ weight)
    tape.state("cell.h", states, initial=start)
    return states[-1].sum()


def test_a_recurrence_over_two_steps_is_not_cut() -> None:
    trace = rg.record(skipping(41), lags=LagOptions("all", "all"))
    assert not trace.lags[0].severed.any()
    found = trace.lags[0].log[0, 0, 1:][::-1]
    np.testing.assert_allclose(found[::2] - found[0], math.log(0.3) * np.arange(21), rtol=1e-9, atol=1e-12)
    assert np.isnan(found[1::2]).all()  # the gradient passes them by
    assert rg.diagnose(trace).verdict == "vanishing"


@pytest.mark.parametrize("time", [30, 31])
@pytest.mark.parametrize("skip", [2, 3])
def test_steps_that_a_gradient_passes_by_are_no_pairs(skip: int, time: int) -> None:
    diagnosis = rg.diagnose(rg.record(skipping(time, factor=1.0, skip=skip), lags=True))
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


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"mask": np.ones((2, 5), bool)}, r"the mask of state 'cell.h' has shape \(2, 5\)"),
        ({"mask": np.ones((2, 6))}, "dtype float64"),
        ({"cuts": [6]}, r"the cuts of state 'cell.h' are \[6\]; pass timesteps from 0 to 5"),
        ({"cuts": np.ones((3, 6), bool)}, "pass timesteps from 0 to 5, or booleans"),
        ({"batch_axis": 2}, r"has shape \(2, 3\), which has no axis 2"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(declared: dict[str, Any], words: str) -> None:
    tape, states = rg.Tape(), []
    h = tape.input(np.ones((2, 3)))
    for t in range(6):
        with tape.scope(t=t):
            h = h * 0.5
        states.append(h)
    with pytest.raises(InputError, match=words):
        tape.state("cell.h", states, **declared)


@pytest.mark.parametrize("axis", [1, -1])
def test_columns_measure_as_rows_do(axis: int) -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(5, 5)) * 0.6, rng.normal(size=(8, 3, 5))
    traces = []
    for rows in (True, False):
        tape, states, total = rg.Tape(), [], None
        h = tape.input(np.zeros((3, 5) if rows else (5, 3)), "h0")
        for t in range(8):
            with tape.scope(t=t):
                h = (h @ weight + x[t]).tanh() if rows else (tape.constant(weight.T) @ h + x[t].T).tanh()
            states.append(h)
            part = (h * h).sum()
            total = part if total is None else total + part
        tape.state("cell.h", states, batch_axis=0 if rows else axis)
        assert total is not None
        traces.append(rg.record(total, lags=LagOptions("all", "all")))
    one, other = traces
    np.testing.assert_allclose(other.lags[0].log, one.lags[0].log, rtol=1e-13)
    np.testing.assert_allclose(other.states[0].grad.value, one.states[0].grad.value, rtol=1e-14)
    np.testing.assert_allclose(other.states[0].quantiles.value, one.states[0].quantiles.value, rtol=1e-13)
