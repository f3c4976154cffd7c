"""Networks that people build and that once were measured wrongly; each against a closed form or a plain sweep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.curve import lag_curve
from rnngraph.errors import InputError
from rnngraph.nn import Parameter
from rnngraph.trace.lag_options import LagOptions
from tests.linear_cells import orthogonal
from tests.trace.lag_networks import by_hand, captioner, measured


def encoder_and_decoder(encoded: int, decoded: int) -> Any:
    """h halves at every step of the encoder and is kept by the decoder, which bears a loss at every step."""
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 3)), "h0")
    states: dict[str, list[Any]] = {"encoder.h": [], "decoder.h": []}
    for name, time, factor in (("encoder.h", encoded, 0.5), ("decoder.h", decoded, 1.0)):
        for t in range(time):
            with tape.scope(t=t):
                h = h * factor
            states[name].append(h)
    tape.state("encoder.h", states["encoder.h"], initial=start)
    tape.state("decoder.h", states["decoder.h"], initial=states["encoder.h"][-1])
    total = states["decoder.h"][0].sum()
    for h in states["decoder.h"][1:]:
        total = total + h.sum()
    return total


@pytest.mark.parametrize(("encoded", "decoded"), [(40, 5), (40, 1), (5, 6), (6, 6)])
def test_a_decoders_losses_enter_its_encoder_at_the_end(encoded: int, decoded: int, tmp_path: Any) -> None:
    trace = rg.record(encoder_and_decoder(encoded, decoded), lags=LagOptions("all", "all", floor=0))
    encoder, decoder = trace.lags
    assert (encoder.births == encoded - 1).all()
    np.testing.assert_array_equal(decoder.births, [list(range(decoded))] * 2)
    curve = lag_curve([encoder], "forward")
    np.testing.assert_allclose(curve.median, math.log(0.5) * np.arange(1, encoded), rtol=1e-12)
    assert (curve.pairs == 2 * decoded).all()
    assert curve.seeds == 2 * decoded
    np.testing.assert_allclose(lag_curve([decoder], "forward").median, 0, atol=1e-12)
    trace.save(tmp_path / "run.npz")
    np.testing.assert_array_equal(rg.Trace.load(tmp_path / "run.npz").lags[0].births, encoder.births)


def test_an_encoder_that_forgets_is_not_healthy() -> None:
    diagnosis = rg.diagnose(rg.record(encoder_and_decoder(40, 3), lags=True))
    assert diagnosis.verdict == "vanishing"
    assert diagnosis.horizon == 39
    assert diagnosis.decades == pytest.approx(39 * math.log10(0.5))


@pytest.mark.parametrize("layers", [{"num_layers": 2}, {"num_layers": 2, "bidirectional": True}])
def test_losses_enter_the_layers_of_a_stack_at_their_own_step(layers: dict[str, Any]) -> None:
    for trace in measured(captioner(nn.LSTM(4, 6, **layers))).values():
        np.testing.assert_array_equal(trace.births, [list(range(7))] * 3)


def test_samples_with_a_loss_are_taken_first() -> None:
    mask = np.zeros((32, 12), bool)
    mask[[10, 20, 21], 11] = True
    loss = captioner(nn.RNN(4, 6), batch=32, time=12, mask=mask)
    trace = measured(loss, LagOptions(samples=5))["rnn.h"]
    assert {10, 20, 21} <= set(trace.samples.tolist())
    assert len(trace.samples) == 5
    assert measured(loss, LagOptions(samples=2))["rnn.h"].samples.tolist() == [10, 21]


@pytest.mark.parametrize("samples", [3, 8, 10])
def test_the_spectrum_of_a_part_of_the_batch(samples: int) -> None:
    weight = 0.8 * orthogonal(4)
    loss = by_hand(lambda h, _: h @ h.tape.constant(weight), np.ones((10, 4)), time=12, readout=np.arange(1.0, 5))
    found = rg.spectrum(loss, 4, samples=samples)
    np.testing.assert_allclose(found.lyapunov, math.log(0.8), rtol=1e-12)
    np.testing.assert_allclose(found.singular, 0.8, rtol=1e-9)
    assert found.product_log == pytest.approx(12 * math.log(0.8), rel=1e-9)


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
    assert (found[1::2] == -np.inf).all()
    assert rg.diagnose(trace).verdict == "vanishing"
    with pytest.raises(InputError, match="reads states from before the last one"):
        rg.spectrum(loss)


def test_an_operand_with_an_axis_of_its_own() -> None:
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    weight = tape.parameter(Parameter("cell.W", rng.normal(size=(4, 4))))
    h = tape.input(rng.normal(size=(2, 3, 4)), "h0")
    for t in range(3):
        with tape.scope(t=t):
            h = (h @ weight).tanh()
    loss = (h * h).mean()
    (parameter,) = rg.record(loss).parameters
    assert parameter.grad.value == pytest.approx(float(np.linalg.norm(rg.gradients(loss)["cell.W"])))
    # The same network with the axis folded into the batch.
    flat = rg.Tape()
    weight = flat.parameter(Parameter("cell.W", weight.value))
    h = flat.input(tape.nodes[1].value.reshape(6, 4), "h0")
    for t in range(3):
        with flat.scope(t=t):
            h = (h @ weight).tanh()
    np.testing.assert_allclose(parameter.steps.value, rg.record((h * h).mean()).parameters[0].steps.value, rtol=1e-12)


def test_states_are_declared_once() -> None:
    tape = rg.Tape()
    states = []
    h = tape.input(np.ones((1, 2)), "h0")
    for t in range(3):
        with tape.scope(t=t):
            h = h * 0.5
        states.append(h)
    tape.state("cell.h", states)
    with pytest.raises(InputError, match=r"'cell.h' was declared already"):
        tape.state("cell.h", states)
    with pytest.raises(InputError, match="got states of 'cell', declared already"):
        tape.state("other.h", states)
