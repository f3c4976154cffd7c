"""The lag report's numbers are those of the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lag_options import LagOptions
from rnngraph.render.report.lags.states import sentence, state_lags
from rnngraph.render.report.lags.terminal import heat_map
from tests.render.exact_networks import exact


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
    nothing = np.full((2, 5), np.nan)
    assert heat_map(nothing[:0], np.arange(0), width=80, ascii_only=False).plain == "No loss has a gradient."
    rows = heat_map(nothing, np.arange(2), width=80, ascii_only=True).plain.splitlines()[1:3]
    assert [row.rstrip() for row in rows] == ["     1 |", "     0 |"]
