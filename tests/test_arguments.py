"""Arguments of another kind than was meant: one sentence that names the value, whatever function they reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.node import Op
from rnngraph.errors import DtypeError, GradientError, InputError

api: Any = rg  # hides from the type checker what these tests do on purpose


@pytest.fixture(scope="module")
def loss() -> rg.Tensor:
    tape = rg.Tape()
    return rg.nn.RNN(2, 3)(tape.input(np.ones((1, 4, 2)))).sum()


@pytest.fixture(scope="module")
def trace(loss: rg.Tensor) -> rg.Trace:
    return rg.record(loss, lags=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda loss, _: api.record(loss, lags="all"), "lags is 'all'"),
        (lambda loss, _: api.record(loss, lags=None), "lags is None"),
        (lambda loss, _: api.record(loss, spectrum="all"), "spectrum is 'all'"),
        (lambda loss, _: api.record(loss, spectrum=-1), "spectrum is -1"),
        (lambda loss, _: api.record(loss, spectrum=True), "spectrum is True"),
        (lambda *_: api.record(None), "the loss is a NoneType"),
        (lambda *_: api.spectrum(None), "the loss is a NoneType"),
        (lambda loss, _: api.spectrum(loss, "all"), "Lyapunov exponents is 'all'"),
        (lambda loss, _: api.spectrum(loss, 2.5), "Lyapunov exponents is 2.5"),
        (lambda *_: api.gradients(None), "the loss is a NoneType"),
        (lambda *_: api.check(None), "there is nothing to check in None"),
        (lambda *_: api.diagnose(None), "the loss is a NoneType"),
        (lambda *_: api.diagnose("run.npz"), r"the loss is a str.* a saved run is opened with rnngraph\.Trace\.load"),
        (lambda *_: api.diagnose(np.float64(1.0)), r"the loss is a numpy\.float64; pass the scalar Tensor"),
        (lambda _, trace: api.diagnose(trace, horizon="far"), "the horizon is 'far'"),
        (lambda _, trace: api.diagnose(trace, horizon=1.5), "the horizon is 1.5"),
        (lambda _, trace: api.diagnose(trace, vanishing="far"), "vanishing is 'far'"),
        (lambda *_: api.draw(None), "a NoneType cannot be drawn"),
        (lambda _, trace: api.draw(trace, title=3), "the title is 3"),
        (lambda _, trace: api.diagnose(trace, trial=np), r"trial is a module; pass rnngraph\.trial\(loss\)"),
        (lambda _, trace: api.render(trace, None), "the path is None"),
        (lambda _, trace: api.render(trace, "x.svg", title=3), "the title is 3"),
        (lambda *_: api.render(None, "x.svg"), r"the loss is a NoneType.* A PyTorch step is looked at with"),
        (lambda _, trace: trace.save(None), "the path is None"),
        (lambda *_: api.Trace.load(None), "the path is None"),
        (lambda *_: api.nn.RNN(3, 4, gain=None), "gain is None"),
        (lambda *_: api.nn.LSTM(3, 4, horizon="far"), "horizon is 'far'"),
        (lambda *_: api.nn.Parameter(None, np.ones(2)), "a parameter is named None"),
        (lambda *_: api.nn.Parameter("w", [[1, 2], [3]]), "the parameter w is no rectangular array"),
        (lambda *_: api.Tape().parameter(None), "the parameter is None"),
        (lambda *_: api.Tape().state("cell.h", None), "'cell.h' got a NoneType"),
        (lambda *_: api.stack(None), "stack got a NoneType"),
        (lambda *_: api.concatenate(3), "concatenate got a int"),
        (lambda *_: api.LagOptions(losses=None), "losses is None"),
        (lambda *_: api.LagOptions(losses=2.5), "losses is 2.5"),
        (lambda *_: api.LagOptions(samples=True), "samples is True"),
        (lambda *_: api.LagOptions(samples=["first"]), r"samples is \['first'\]"),
        (lambda *_: api.LagOptions(max_lag="all"), "max_lag is 'all'"),
    ],
)
def test_one_sentence_names_the_value(
    call: Callable[..., object],
    words: str,
    loss: rg.Tensor,
    trace: rg.Trace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words) as caught:
        call(loss, trace)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [None, "text", np.ones(2) * 1j])
def test_what_is_no_number_is_no_parameter_and_no_constant(value: Any) -> None:
    with pytest.raises(DtypeError, match="pass floating point numbers"):
        rg.nn.Parameter("w", value)
    with pytest.raises(DtypeError, match="pass floating point numbers"):
        rg.Tape().constant(value)


@pytest.mark.parametrize("returned", [None, 3.0])
def test_a_rule_that_returns_no_tuple_is_named(returned: Any) -> None:
    op = Op("twice", "2·x", lambda x: 2 * x, lambda g, node: returned)
    tape = rg.Tape()
    with tape.scope(t=2):
        loss = tape.apply(op, tape.input(np.ones(3))).sum()
    with pytest.raises(GradientError, match=r"the vjp of twice \(node 1, t 2\) returned a"):
        rg.gradients(loss)
