"""The lag report's numbers are those of the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lag_options import LagOptions
from rnngraph.render.report.lags.states import state_lags


def test_an_entry_that_one_sample_lacks_is_the_norm_of_the_others() -> None:
    x = rg.Tape().input(np.random.default_rng(0).normal(size=(3, 6, 2)))
    trace = rg.record((nn.RNN(2, 4)(x) ** 2).sum(), lags=LagOptions("all", "all"))
    log = trace.lags[0].log.copy()
    log[1, 4, 2] = np.nan
    trace = replace(trace, lags=(replace(trace.lags[0], log=log),))
    (report,) = state_lags(trace)
    np.testing.assert_allclose(report.matrix[4, 2], np.log10(np.hypot(*np.exp(log[[0, 2], 4, 2]))), rtol=1e-14)
