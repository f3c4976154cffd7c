"""The share of the weights' update that comes from far away: what it is, and what it decides of a deaf memory."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.update import Update, update_from
from rnngraph.trace.model import UpdateTrace
from tests.diagnosis.path_networks import FULL, D, H, N, classes, gate, head, keeping, last, of_two
from tests.linear_cells import linear_loss, orthogonal

LAGS = np.array([0, 1, 2, 4, 8])


def known(*norms: float, name: str = "one") -> UpdateTrace:
    with np.errstate(divide="ignore"):
        return UpdateTrace(name, LAGS[: len(norms)], np.log(np.array(norms)))


@pytest.mark.parametrize(("lag", "expected"), [
    (0, Update(0, 0.0)), (1, Update(1, -1.0)), (3, Update(2, -2.0)), (4, Update(4, -3.0)), (7, Update(4, -3.0)),
    (8, Update(8, -math.inf)), (90, Update(8, -math.inf)),
])  # fmt: skip
def test_of_one_recurrence(lag: int, expected: Update) -> None:
    found = update_from([known(7.0, 0.7, 0.07, 0.007, 0.0)], lag)
    assert found is not None
    assert found.lag == expected.lag
    assert found.decades == pytest.approx(expected.decades)


def test_of_several_their_norms_are_put_together() -> None:
    # The first is hardly trained, so that it matters little that all of that comes from far away.
    found = update_from([known(3e-6, 3e-6), known(4.0, 4e-6)], 1)
    assert found is not None
    assert found.decades == pytest.approx(math.log10(5e-6 / 4.0))
    both = update_from([known(3.0, 3e-6), known(4.0, 4e-6, 0.0)], 2)
    assert both is not None
    assert both.lag == 2
    assert both.decades == pytest.approx(math.log10(3e-6 / 5.0))


def test_what_is_not_known_is_not_said() -> None:
    assert update_from([], 1) is None
    assert update_from([None], 1) is None
    assert update_from([known(1.0, 0.1), None], 1) is None
    assert update_from([known(math.nan, math.nan)], 1) is None
    assert update_from([known(1.0, 0.1), known(math.nan, math.nan)], 1) is None
    assert update_from([known(0.0, 0.0)], 1) is None  # nothing is updated
    silent = update_from([known(0.0, 0.0), known(1.0, 0.1)], 1)
    assert silent is not None
    assert silent.decades == pytest.approx(-1)


def heard_late(c0: float) -> rg.Tensor:
    """An LSTM that keeps, whose input gate the data opens at the last four steps alone."""
    layer, time, rng = gate(gate(keeping(0), "f", 8.0), "i", -16.0), 64, np.random.default_rng(0)
    layer.parameter("Wx").value[0, :H] = 20.0
    x = rng.normal(size=(N, time, D))
    x[:, :, 0] = np.arange(time) >= time - 4
    hidden = layer(rg.Tape().input(x), c0=np.full((N, H), c0))
    return classes(head(hidden[:, -1], 0), 0)


def unwritten(trace: rg.Trace, **limits: Any) -> Any:
    return next(one for one in rg.diagnose(trace, **limits).findings if one.rule == "unwritten")


def test_what_is_not_heard_is_an_error_where_nothing_else_is_learned_from_there() -> None:
    trace = rg.record(heard_late(0.0), lags=FULL)
    finding = unwritten(trace)
    assert float(finding.evidence["written_decades"]) > -6  # the last steps are heard
    assert finding.severity == "error"
    assert finding.evidence["update_lag"] == 16  # of half of 63 steps
    share = finding.evidence["update_decades"]
    assert share <= -4
    # With a memory that holds something from the start, its forget gate is trained from there.
    remembered = unwritten(rg.record(heard_late(1.0), lags=FULL))
    assert remembered.severity == "warning"
    assert remembered.evidence["update_decades"] > -4
    # Without the number nobody can tell.
    unknown = unwritten(replace(trace, updates=()))
    assert unknown.severity == "warning"
    assert "update_decades" not in unknown.evidence


def test_the_limit_is_that_of_what_has_vanished() -> None:
    trace = rg.record(heard_late(1.0), lags=FULL)
    share = float(unwritten(trace).evidence["update_decades"])
    assert unwritten(trace, vanishing=share + 1e-6).severity == "error"
    assert unwritten(trace, vanishing=share - 1e-6).severity == "warning"


def test_a_shut_gate_is_an_error_whatever_the_weights_get() -> None:
    finding = unwritten(replace(rg.record(last(gate(keeping(0), "i", -20.0), 0), lags=FULL), updates=()))
    assert finding.severity == "error"


def test_the_diagnosis_holds_it_of_the_network_and_of_each_layer() -> None:
    trace = rg.record(of_two((8.0, -4.0))(0), lags=FULL)
    diagnosis = rg.diagnose(trace)
    logs = np.array([one.log for one in trace.updates])
    place = list(trace.updates[0].lags).index(64)  # of 88 steps
    assert diagnosis.update is not None
    assert diagnosis.update.lag == 64
    far, whole = (np.logaddexp.reduce(2 * logs[:, k]) / 2 for k in (place, 0))
    assert diagnosis.update.decades == pytest.approx((far - whole) / math.log(10))
    for one, log in zip(diagnosis.by_layer, logs, strict=True):
        assert one.update is not None
        assert one.update.lag == 64
        assert one.update.decades == pytest.approx((log[place] - log[0]) / math.log(10))
    assert "comes from lag 64 and beyond" in diagnosis.full()


def test_of_a_cell_by_hand_nothing_is_said() -> None:
    trace = rg.record(linear_loss(orthogonal(3), np.ones((1, 3)), np.ones(3), 12), lags=FULL)
    diagnosis = rg.diagnose(trace)
    assert diagnosis.update is None
    assert diagnosis.by_layer[0].update is None
    assert "and beyond" not in diagnosis.full()


def test_of_a_linear_unit_it_is_the_closed_form() -> None:
    # With x = 0 but for the first step, h_k = w^k; the last loss alone. dWh = Σ w^(s-k) w^(k-1): every step the same.
    w, time = 0.9, 33
    layer = nn.RNN(1, 1, nonlinearity="relu")
    for name, value in (("Wx", 1.0), ("b", 0.0), ("Wh", w)):
        layer.parameter(name).value[...] = value
    hidden = layer(rg.Tape().input(np.eye(time)[:1, :, None]))
    trace = rg.record(hidden[:, -1].sum(), lags=FULL)
    last_lag, share = time - 1, {}
    for lag in (0, 16):
        steps = np.arange(time - lag)  # k from 0
        parts = (w**last_lag, (w ** (last_lag - steps)).sum(), (time - 1 - lag) * w ** (last_lag - 1))
        share[lag] = math.hypot(*parts)
    found = update_from(trace.updates, 16)
    assert found is not None
    assert found.decades == pytest.approx(math.log10(share[16] / share[0]), rel=1e-9)
