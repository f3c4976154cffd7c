"""The lag report's numbers are those of the page."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console, RenderableType

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.one_loss import Losses
from rnngraph.graph.charts.lag_rows import lag_rows
from rnngraph.measure.lag_options import LagOptions
from rnngraph.render.report.lags_report import lags_report, loss_rows, state_lags, together_rows
from rnngraph.render.report.seen.chart import bar_rows
from rnngraph.render.report.seen.sparklines import Row
from tests.diagnosis.verdict_networks import recorded
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


@pytest.mark.parametrize(("reverse", "bars"), [(False, "▃▅▆▇█"), (True, "█▇▆▅▃")])
def test_every_loss_is_set_against_where_it_arrives(reverse: bool, bars: str) -> None:
    trace = exact(0.1, timesteps=5, both=True)
    row = lag_rows(Losses(trace), 0, split=True)[reverse]
    start = "t=0 " if reverse else "t=4 "
    (line,) = [line for line in printed(loss_rows(row)) if line.startswith(start)]
    # A tenth a step is eight sixths of the height of a character.
    assert line.endswith(bars)


def test_all_losses_together_are_set_against_the_first_step_back() -> None:
    (one,) = state_lags(exact(0.1, timesteps=9))
    lines = printed(together_rows([("rnn", one.summary), ("none", replace(one.summary, reach=0))]))
    assert lines[0] == "place  all losses together, of what is there a step back   1 % at"
    assert lines[1].startswith("rnn     █▇▆▅▃▂▁·")  # nothing is said of lag 0
    assert lines[1].endswith("lag 3")
    assert lines[2].endswith("lag 0")
    kept = state_lags(exact(0.4, timesteps=5))[0].summary
    assert printed(together_rows([("rnn", kept)]))[1].endswith("6.4 %")  # two fifths a step, as far as was measured


def test_what_is_less_than_all_of_it_is_seen_where_another_grows() -> None:
    line = printed(bar_rows([Row("rnn", np.array([0.0, -0.4, 0.6]), ("", ""))], "left"))[1]
    assert line == "rnn    ▅▃▇"  # of two decades, from 10 % up: a half, three tenths and four fifths


def test_where_no_loss_has_a_gradient_nothing_is_drawn() -> None:
    lines = printed(lags_report(recorded(nn.RNN(6, 8), time=9, scale=0.0)))
    assert lines[-1] == "No loss has a gradient."
    short = printed(lags_report(exact(0.5, timesteps=1)))
    assert not [line for line in short if line.startswith("place")]  # there is no lag
