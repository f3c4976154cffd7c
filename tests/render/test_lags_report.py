"""The lag report's numbers are those of the page."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console, RenderableType

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lag_options import LagOptions
from rnngraph.render.report.lags_report import curve_rows, loss_rows, sentence, state_lags
from tests.render.exact_networks import exact


def printed(rows: RenderableType) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=80, legacy_windows=False).print(rows)
    return stream.getvalue().splitlines()


def test_an_entry_that_one_sample_lacks_is_the_norm_of_the_others() -> None:
    x = rg.Tape().input(np.random.default_rng(0).normal(size=(3, 6, 2)))
    trace = rg.record((nn.RNN(2, 4)(x) ** 2).sum(), lags=LagOptions("all", "all"))
    log = trace.lags[0].log.copy()
    log[1, 4, 2] = np.nan
    trace = replace(trace, lags=(replace(trace.lags[0], log=log),))
    (report,) = state_lags(trace)
    np.testing.assert_allclose(report.matrix[4, 2], np.log10(np.hypot(*np.exp(log[[0, 2], 4, 2]))), rtol=1e-14)


def test_what_has_no_lag_says_so() -> None:
    (one,) = state_lags(exact(0.5, timesteps=1))
    assert sentence(one.summary) == "No loss with a gradient has a step before it, so there is no lag to report."
    lags, nothing = one.lags, np.full((2, 5), np.nan)
    assert str(loss_rows(replace(one, lags=replace(lags, losses=np.arange(0))))) == "No loss has a gradient."
    unknown = replace(one, lags=replace(lags, losses=np.arange(2)), matrix=nothing)
    assert printed(loss_rows(unknown))[1:3] == ["t=1", "t=0"]


@pytest.mark.parametrize(("reverse", "bars"), [(False, "▃▅▆▇█"), (True, "█▇▆▅▃")])
def test_every_loss_is_set_against_where_it_arrives(reverse: bool, bars: str) -> None:
    trace = exact(0.1, timesteps=5, both=True)
    one = state_lags(trace)[reverse]
    start = "t=0 " if reverse else "t=4 "
    (line,) = [line for line in printed(loss_rows(one)) if line.startswith(start)]
    # A tenth a step is eight sixths of the height of a character.
    assert line.endswith(bars)


def test_the_median_stands_between_its_percentiles() -> None:
    curve = state_lags(exact(0.1, timesteps=5))[0].summary.curve
    lines = printed(curve_rows(replace(curve, high=curve.median + np.log(10), low=curve.median - np.log(10))))
    assert lines[0].strip() == "left by lag, of 2 to 8 pairs each (log, 1e-6 to 1)"
    assert lines[1:4] == ["90 %    ██▇▆▅", "median  █▇▆▅▃", "10 %    █▆▅▃▂"]
    assert lines[4].strip() == "lag 0"
