"""Verdicts on networks whose truth is known, and everything that must not sway them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from rnngraph.render.report.diagnosis import diagnosis_json
from tests.diagnosis.verdict_networks import linear, recorded
from tests.linear_cells import linear_loss, orthogonal


def rules(diagnosis: Any) -> set[str]:
    return {finding.rule for finding in diagnosis.findings}


def found(diagnosis: Any, rule: str) -> Any:
    return next(finding for finding in diagnosis.findings if finding.rule == rule)


@pytest.mark.parametrize("loss", ["every", "last"])
@pytest.mark.parametrize(
    ("layer", "verdict"),
    [
        (lambda: nn.RNN(6, 24), "vanishing"),
        (lambda: nn.RNN(6, 24, init="orthogonal", gain=3.0), "exploding"),
        (lambda: nn.LSTM(6, 24), "vanishing"),
        (lambda: nn.LSTM(6, 24, forget_bias=4.0), "healthy"),
        (lambda: nn.LSTM(6, 24, init="chrono", horizon=90), "healthy"),
        (lambda: nn.GRU(6, 24), "vanishing"),
        (lambda: nn.GRU(6, 24, init="chrono", horizon=90), "healthy"),
        (lambda: nn.RNN(6, 24, truncate=10), "truncated"),
        (lambda: nn.LSTM(6, 24, num_layers=2, bidirectional=True), "vanishing"),
    ],
)
def test_verdicts_of_layers(layer: Any, verdict: str, loss: str) -> None:
    diagnosis = rg.diagnose(recorded(layer(), loss=loss))
    assert diagnosis.verdict == verdict
    assert verdict in diagnosis.flags
    assert diagnosis.horizon == (9 if verdict == "truncated" else 89 if loss == "last" else diagnosis.horizon)


@pytest.mark.parametrize(
    ("g", "verdict"),
    [(0.85, "vanishing"), (0.93, "attenuating"), (1.0, "healthy"), (1.04, "healthy"), (1.08, "exploding")],
)
def test_linear_networks_by_their_gain(g: float, verdict: str) -> None:
    diagnosis = rg.diagnose(linear(g * orthogonal(5)))
    assert diagnosis.verdict == verdict
    assert diagnosis.horizon == 89
    assert diagnosis.decades == pytest.approx(88 * math.log10(g), abs=1e-9)  # of what there is at lag 1
    assert diagnosis.by_layer[0].decades == pytest.approx(89 * math.log10(g), abs=1e-9)
    assert diagnosis.rate == pytest.approx(math.log(g), abs=1e-9)
    if g < 1:
        assert diagnosis.half_life == pytest.approx(math.log(2) / -math.log(g), rel=1e-6)
        assert diagnosis.reach == diagnosis.memory_horizon == 1 + math.floor(math.log(0.01) / math.log(g))
    else:
        assert diagnosis.reach == diagnosis.memory_horizon == 89
        assert diagnosis.whole


def test_a_loss_is_recorded_where_no_trace_is_given() -> None:
    loss = linear_loss(0.9 * orthogonal(5), np.ones((2, 5)), np.arange(1.0, 6.0), 60)
    assert rg.diagnose(loss).rate == pytest.approx(math.log(0.9), abs=1e-9)
    assert rg.assert_healthy(loss).reach == 1 + math.floor(math.log(0.01) / math.log(0.9))


# What sways other tools, and must not sway the verdict.


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("gain", [0.5, 1.0, 3.0])
def test_the_size_of_the_loss_does_not_matter(gain: float, scale: float) -> None:
    def make() -> Any:
        return nn.RNN(6, 24, init="orthogonal", gain=gain)

    one, other = rg.diagnose(recorded(make())), rg.diagnose(recorded(make(), scale=scale))
    assert (one.verdict, one.flags, one.horizon) == (other.verdict, other.flags, other.horizon)
    assert other.decades == pytest.approx(one.decades, abs=1e-9)


def test_a_loss_on_the_last_step_only_is_not_dead() -> None:
    diagnosis = rg.diagnose(linear(orthogonal(5)))
    assert diagnosis.flags == ("healthy",)


def test_the_order_of_the_samples_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 40, 6)), rng.integers(0, 5, size=(5, 40))

    def made(order: Any) -> Any:
        tape = rg.Tape()
        hidden = nn.RNN(6, 24)(tape.input(x[order]))
        return rg.diagnose(rg.record(nn.temporal_softmax_loss(nn.Linear(24, 5)(hidden), y[order]), lags=True))

    one, other = made(np.arange(5)), made(np.array([3, 1, 4, 0, 2]))
    assert one.verdict == other.verdict
    assert one.decades == pytest.approx(other.decades, abs=1e-9)


def test_the_mean_over_time_does_not_matter() -> None:
    def made(reduce: Any) -> Any:
        tape = rg.Tape()
        hidden = nn.RNN(6, 24)(tape.input(np.random.default_rng(0).normal(size=(2, 40, 6))))
        return rg.diagnose(rg.record(reduce(hidden * hidden), lags=True))

    one, other = made(lambda value: value.sum()), made(lambda value: value.mean())
    assert one.verdict == other.verdict == "vanishing"
    assert one.decades == pytest.approx(other.decades, abs=1e-9)


def test_an_exactly_zero_loss_has_no_signal() -> None:
    diagnosis = rg.diagnose(recorded(nn.RNN(6, 24), scale=0.0))
    assert diagnosis.verdict == "no_signal"
    assert diagnosis.flags == ("no_signal",)
    assert math.isnan(diagnosis.decades)


LENGTHS = np.array([90, 60, 90, 75])
MASK = np.arange(90) < LENGTHS[:, None]


@pytest.mark.parametrize("copy", [True, False], ids=["copied", "processed"])
@pytest.mark.parametrize("loss", ["every", "last"])
def test_padding_does_not_look_like_vanishing(copy: bool, loss: str) -> None:
    kept = recorded(nn.LSTM(6, 24, forget_bias=5.0), mask=MASK, copy=copy, loss=loss)
    assert rg.diagnose(kept).flags == ("healthy",)
    lost = recorded(nn.RNN(6, 24), mask=MASK, copy=copy, loss=loss)
    assert rg.diagnose(lost).verdict == "vanishing"


def test_a_last_state_that_was_copied_over_padding_is_counted_from_the_real_one() -> None:
    layer = nn.RNN(6, 24)
    x = np.random.default_rng(0).normal(size=(1, 60, 6))

    def made(time: int) -> Any:
        tape = rg.Tape()
        padded = np.concatenate([x[:, :30], np.zeros((1, time - 30, 6))], axis=1)
        mask = np.arange(time)[None] < 30
        hidden = layer(tape.input(padded), mask=mask if time > 30 else None)
        return rg.diagnose(rg.record((hidden[:, time - 1] * np.arange(24.0)).sum(), lags=True), horizon=29)

    one, other = made(30), made(60)
    assert other.decades == pytest.approx(one.decades, abs=1e-9)
    assert other.rate == pytest.approx(one.rate, abs=1e-9)


def test_a_masked_sample_is_named_and_not_called_vanishing() -> None:
    mask = np.ones((4, 90), bool)
    mask[2] = False
    diagnosis = rg.diagnose(recorded(nn.LSTM(6, 24, forget_bias=5.0), mask=mask))
    assert diagnosis.verdict == "healthy"
    assert found(diagnosis, "masked_samples").where["sample"] == 2
    assert found(diagnosis, "masked_samples").severity == "note"
    assert "in 1 sample (2): all of it is masked." in found(diagnosis, "masked_samples").text
    assert "no_signal" not in diagnosis.flags


def test_transient_growth_is_not_explosion() -> None:
    weight = np.array([[0.9, 1.0], [0.0, 0.9]])
    readout = np.array([1.0, 0.0])
    short = rg.diagnose(linear(weight, time=61, readout=readout))
    assert short.verdict == "healthy"
    long = rg.diagnose(linear(weight, time=200, readout=readout))
    assert long.verdict == "vanishing"
    assert "exploding" not in long.flags
    assert long.decades == pytest.approx(math.log10(199 * 0.9**198 / math.hypot(0.9, 1)), abs=1e-3)


@pytest.mark.parametrize("losses", ["every", "last"])
def test_one_slow_unit_keeps_the_memory(losses: str) -> None:
    diagnosis = rg.diagnose(linear(np.diag([0.999, 0.1, 0.1, 0.1]), losses=losses, readout=np.ones(4)))
    assert diagnosis.verdict == "healthy"
    assert diagnosis.rate == pytest.approx(math.log(0.999), abs=1e-3)


def test_a_short_sequence_is_judged_at_its_own_horizon() -> None:
    diagnosis = rg.diagnose(linear(0.577 * orthogonal(4), time=5))
    assert diagnosis.verdict == "healthy"
    assert diagnosis.horizon == 4
    assert diagnosis.decades == pytest.approx(3 * math.log10(0.577), abs=1e-9)


def test_one_step_is_too_short_and_not_healthy() -> None:
    diagnosis = rg.diagnose(linear(orthogonal(4), time=1))
    assert diagnosis.verdict == "too_short"
    assert diagnosis.flags == ("too_short",)
    assert diagnosis.horizon == 0


def test_chaos_with_saturated_units_explodes() -> None:
    # g = 3: the units saturate, and yet the gradient grows.
    layer = nn.RNN(6, 128, init="normal", gain=3.0)
    diagnosis = rg.diagnose(recorded(layer, inputs=0.1, time=120))
    assert diagnosis.verdict == "exploding"
    assert found(diagnosis, "exploding").evidence["saturated"] > 0.2
    assert found(diagnosis, "exploding").cause == "weights"
    assert "saturated" not in diagnosis.flags


def test_truncation_is_no_vanishing() -> None:
    diagnosis = rg.diagnose(recorded(nn.LSTM(6, 24, forget_bias=5.0, truncate=15), loss="last"))
    assert diagnosis.verdict == "truncated"
    finding = found(diagnosis, "truncated")
    assert finding.evidence["window"] == 15
    assert diagnosis.horizon == 14


def test_a_skip_connection_is_followed() -> None:
    # h_t = 0.1 h_{t-1} + 0.9 h_{t-5}: the gain over n steps obeys the same recursion.
    tape = rg.Tape()
    states = [tape.input(np.ones((1, 2)), "h0")]
    for t in range(80):
        with tape.scope(t=t):
            far = states[-5] * 0.9 if len(states) > 5 else states[0] * 0.0
            states.append(states[-1] * 0.1 + far)
    tape.state("cell.h", states[1:], initial=states[0])
    trace = rg.record(states[-1].sum(), lags=True)
    gains = [1.0]
    for n in range(1, 75):
        gains.append(0.1 * gains[-1] + (0.9 * gains[n - 5] if n >= 5 else 0))
    curve = np.exp(trace.lags[0].log[0, 0, 1:][::-1] - trace.lags[0].log[0, 0, -1])
    np.testing.assert_allclose(curve[:75], gains, rtol=1e-12)
    assert rg.diagnose(trace).verdict == "healthy"


def test_units_rounded_to_one_in_float32_are_saturated_and_not_dead() -> None:
    layer = nn.RNN(6, 24, dtype=np.float32)
    layer.parameter("b").value[...] = 30
    diagnosis = rg.diagnose(recorded(layer))
    assert diagnosis.verdict == "saturated"
    assert "dead" not in diagnosis.flags
    assert diagnosis.decades == -math.inf
    assert found(diagnosis, "saturated").cause == "activation"


def test_relu_units_that_never_fire_are_dead() -> None:
    layer = nn.RNN(6, 24, nonlinearity="relu")
    layer.parameter("b").value[...] = -30
    diagnosis = rg.diagnose(recorded(layer))
    assert diagnosis.verdict == "dead"
    assert "vanishing" not in diagnosis.flags
    assert "no unit lets a gradient through" in found(diagnosis, "dead").text
    squares = (layer(rg.Tape().input(np.ones((2, 9, 6)))) ** 2).sum()  # of zeros: their gradient is zero too
    (silent,) = rg.diagnose(rg.record(squares, lags=True)).findings
    assert silent.rule == "no_signal"
    assert silent.text.endswith("exactly zero at every step, and none of its units fires.")


def test_saturated_tanh_units_in_float64() -> None:
    layer = nn.RNN(6, 24, init="orthogonal")
    layer.parameter("b").value[...] = np.where(np.arange(24) % 2, 3.0, -3.0)
    diagnosis = rg.diagnose(recorded(layer, inputs=0.1))
    assert diagnosis.verdict == "saturated"


def test_long_float32_sequences_do_not_look_dead() -> None:
    diagnosis = rg.diagnose(recorded(nn.RNN(6, 24, dtype=np.float32), time=400, loss="last", batch=1))
    wide = rg.diagnose(recorded(nn.RNN(6, 24), time=400, loss="last", batch=1))
    assert diagnosis.verdict == wide.verdict == "vanishing"
    assert diagnosis.decades == pytest.approx(wide.decades, abs=0.01)
    assert diagnosis.decades < -60
    assert found(diagnosis, "vanishing").evidence["extinct"] is True


def test_a_dropout_mask_that_is_part_of_the_tape() -> None:
    keep = (np.random.default_rng(0).random((1, 24)) < 0.8).astype(float)
    tape = rg.Tape()
    h = start = tape.input(np.ones((1, 24)))
    states = []
    for t in range(40):
        with tape.scope(t=t):
            h = h * keep
        states.append(h)
    tape.state("cell.h", states, initial=start)
    diagnosis = rg.diagnose(rg.record(states[-1].sum(), lags=True))
    assert diagnosis.verdict == "healthy"
    # The mask takes its share once, at the first step back, and nothing after that.
    assert diagnosis.decades == pytest.approx(0, abs=1e-12)
    assert diagnosis.by_layer[0].decades == pytest.approx(math.log10(keep.mean()) / 2, abs=1e-12)


# Everything else that a diagnosis says.


def test_non_finite_forward_names_the_place() -> None:
    tape = rg.Tape()
    x = np.zeros((2, 6, 3))
    h = start = tape.input(np.ones((2, 3)))
    states = []
    for t in range(6):
        with tape.scope(t=t):
            h = h * 2.0 if t != 3 else (h * 0.0).log()
        states.append(h)
    tape.state("cell.h", states, initial=start)
    diagnosis = rg.diagnose(rg.record(states[-1].sum() + x.sum(), lags=True))
    assert diagnosis.verdict == "non_finite"
    finding = found(diagnosis, "non_finite")
    assert finding.where["timestep"] == 3
    assert finding.where["op"] == "log"
    assert finding.cause == "forward"


def test_a_backward_overflow_is_non_finite_and_still_explodes() -> None:
    diagnosis = rg.diagnose(linear(np.eye(2) * 8, time=60, dtype=np.float32))
    assert diagnosis.verdict == "non_finite"
    assert "exploding" in diagnosis.flags
    assert diagnosis.by_layer[0].decades == pytest.approx(59 * math.log10(8), abs=1e-4)


def test_inputs_that_get_no_gradient() -> None:
    layer = nn.LSTM(6, 24, forget_bias=5.0)
    layer.parameter("Wx").value[...] = 0
    diagnosis = rg.diagnose(recorded(layer))
    assert diagnosis.verdict == "dead_inputs"
    assert found(diagnosis, "dead_inputs").where["input"] == "x"


def test_the_layer_that_carries_nothing_is_named_and_who_does() -> None:
    layer = nn.LSTM(6, 16, num_layers=2, forget_bias=5.0)
    layer.parameter("b_l1").value[16:32] = -4
    layer.parameter("b").value[16:32] = 5
    diagnosis = rg.diagnose(recorded(layer))
    assert diagnosis.verdict == "healthy"
    assert found(diagnosis, "bypassed").where["layer"] == 1
    assert found(diagnosis, "bypassed").severity == "note"
    assert found(diagnosis, "bypassed").text.startswith("lstm_l1 itself keeps ")
    assert found(diagnosis, "bypassed").text.endswith(": lstm carries it.")
    assert [one.verdict for one in diagnosis.by_layer] == ["healthy", "bypassed"]


def test_the_sample_that_differs_is_named() -> None:
    # The third sample holds the forget gate shut through its input.
    layer = nn.LSTM(6, 16, forget_bias=6.0)
    layer.parameter("Wx").value[:, 16:32] = 0
    layer.parameter("Wx").value[0, 16:32] = 1
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 60, 6))
    x[..., 0] = 0
    x[2, :, 0] = -9
    tape = rg.Tape()
    hidden = layer(tape.input(x))
    diagnosis = rg.diagnose(rg.record((hidden[:, 59] ** 2).sum(), lags=True))
    assert diagnosis.verdict == "healthy"
    finding = found(diagnosis, "sample_differs")
    assert finding.where["sample"] == 2
    assert finding.evidence["label"] == "vanishing"
    assert finding.evidence["decades"] < -4


def test_gates_that_do_not_tell_the_memory() -> None:
    # Mean ln f is that of many fast units; one slow unit carries the gradient.
    layer = nn.LSTM(2, 8, forget_bias=0.0)
    for name in ("Wh", "Wx"):
        layer.parameter(name).value[...] = 0
    layer.parameter("b").value[8] = 6
    diagnosis = rg.diagnose(recorded(layer, batch=2, loss="last"))
    finding = found(diagnosis, "gate_timescale")
    assert finding.evidence["gate_timescale"] == pytest.approx(1.4427, rel=1e-3)
    assert finding.evidence["measured_timescale"] > 50
    assert "other paths carry more" in finding.text


def test_the_cause_of_a_closed_gate() -> None:
    layer = nn.LSTM(6, 24, forget_bias=-1.0)
    layer.parameter("Wh").value[...] *= 0.1
    diagnosis = rg.diagnose(recorded(layer))
    assert found(diagnosis, "vanishing").cause == "gate"


def test_the_clip_threshold_removes_the_gain() -> None:
    tape = rg.Tape()
    weight = nn.Parameter("cell.W", np.array([[1.2]]))
    h = start = tape.input(np.ones((1, 1)))
    states = []
    for t in range(60):
        with tape.scope(t=t):
            h = h @ tape.parameter(weight)
        states.append(h)
    tape.state("cell.h", states, initial=start)
    diagnosis = rg.diagnose(rg.record(states[-1].sum(), lags=True))
    # dL/dw = T w^(T-1) and the largest gain is w^(T-1): their ratio is T = 60.
    assert "Clip the gradient's norm at 60 " in found(diagnosis, "exploding").advice
    assert found(diagnosis, "exploding").evidence["overflow_lag"] is None or diagnosis.rate


def test_thresholds_are_keywords_and_are_printed() -> None:
    trace = linear(0.93 * orthogonal(5))
    assert rg.diagnose(trace).flags == ("attenuating",)
    strict = rg.diagnose(trace, vanishing=-2.5)
    assert strict.verdict == "vanishing"
    assert strict.thresholds["vanishing"] == -2.5
    assert "vanishing -2.5" in strict.full()


def test_the_horizon_decides() -> None:
    trace = linear(0.85 * orthogonal(5))
    assert rg.diagnose(trace).verdict == "vanishing"
    assert rg.diagnose(trace, horizon=20).verdict == "healthy"
    assert rg.diagnose(trace, horizon=20).horizon == 20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizon": 90}, "horizon is 90.*choose 1 to 89"),
        ({"horizon": 0}, "horizon is 0"),
        ({"vanishing": 3.0}, "must rise"),
        ({"exploding": -1.0, "attenuating": -3.0}, "exploding is -1; it must be above 0 decades"),
        ({"saturated": 1.5}, "share"),
        ({"vanishing": math.nan}, "finite"),
        ({"vanish": -3}, "no threshold 'vanish'"),
        ({"timescale": 1.0}, "above 1"),
    ],
)
def test_bad_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rg.diagnose(linear(orthogonal(3)), **options)


def test_a_trace_without_lags_says_how_to_record_them() -> None:
    trace = recorded(nn.RNN(6, 24), time=10, lags=False)
    with pytest.raises(InputError, match=r"record\(loss, lags=True\)"):
        rg.diagnose(trace)


def test_a_trace_that_nothing_walked() -> None:
    tape = rg.Tape()
    nn.RNN(3, 4)(tape.input(np.ones((1, 5, 3))))
    with pytest.raises(InputError, match="no gradients"):
        rg.diagnose(rg.record(tape))


def test_a_trace_without_a_recurrence() -> None:
    tape = rg.Tape()
    with pytest.raises(InputError, match=r"tape\.state"):
        rg.diagnose(rg.record((tape.input(np.ones(3)) * 2).sum(), lags=True))


def test_assert_healthy() -> None:
    assert rg.assert_healthy(linear(orthogonal(3))).verdict == "healthy"
    bad = linear(0.5 * orthogonal(3))
    with pytest.raises(AssertionError, match=r"(?s)vanishing.*no credit beyond lag 7") as caught:
        rg.assert_healthy(bad)
    assert "broken" not in str(caught.value)
    assert rg.assert_healthy(bad, allow=["vanishing"]).verdict == "vanishing"
    with pytest.raises(InputError, match="'vanish', which is no flag"):
        rg.assert_healthy(bad, allow=["vanish"])


def test_a_saved_trace_gives_the_same_diagnosis(tmp_path: Any) -> None:
    trace = recorded(nn.LSTM(6, 24, num_layers=2), time=40)
    trace.save(tmp_path / "run.npz")
    one, other = rg.diagnose(trace), rg.diagnose(rg.Trace.load(tmp_path / "run.npz"))
    assert diagnosis_json(one) == diagnosis_json(other)
    assert str(one) == str(other)


def test_fewer_losses_give_the_same_verdict() -> None:
    layer = nn.GRU(6, 24)
    few = rg.diagnose(recorded(layer, lags=LagOptions(losses=8, samples=2)), horizon=40)
    every = rg.diagnose(recorded(layer, lags=LagOptions("all", "all")), horizon=40)
    assert few.verdict == every.verdict
    assert few.decades == pytest.approx(every.decades, abs=1.0)


def test_the_spectrum_is_part_of_the_report() -> None:
    layer = nn.RNN(4, 6, init="orthogonal")
    tape = rg.Tape()
    trace = rg.record(layer(tape.input(np.zeros((1, 20, 4)))).sum(), lags=True, spectrum=3)
    diagnosis = rg.diagnose(trace)
    assert diagnosis.spectrum is not None
    np.testing.assert_allclose(diagnosis.spectrum["lyapunov"], 0, atol=1e-9)
    assert "Lyapunov exponents of rnn" in str(diagnosis)
    assert "spectral radius 1" in str(diagnosis)


def test_shown_as_text_rich_and_html(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    diagnosis = rg.diagnose(linear(0.5 * orthogonal(3)))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(diagnosis)
        shown = console.export_text()
    assert "Verdict: vanishing at lag 89" in shown
    page = diagnosis._repr_html_()
    assert "vanishing" in page
    assert page.startswith("<div")
    kernel = type("ZMQInteractiveShell", (), {})  # of a notebook, where Rich shows by itself what it prints
    monkeypatch.setattr("builtins.get_ipython", kernel, raising=False)
    monkeypatch.setattr("rich.jupyter.display", lambda *shown: pytest.fail(f"shown twice: {shown}"))
    assert diagnosis._repr_html_() == page
    assert repr(diagnosis) == str(diagnosis)
    assert "broken" not in diagnosis.full() + page
