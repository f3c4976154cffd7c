"""Every picture of the gallery that is seen from one loss: what it says was found, and what it shows is true."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

import rnngraph as rg
from examples.gallery import PICTURES
from rnngraph.diagnosis.headline import headline
from rnngraph.graph.draw import Drawing
from rnngraph.trace.model import REVERSE, Trace

SEEN = [name for name, (_, options) in PICTURES.items()
        if options.get("seen_from") != "total" and not {"color", "view"} & set(options)]  # fmt: skip
# What somebody who looks at the picture alone must say of it; the verdict says the same.
VERDICTS = {
    "vanishing": "ends at lag", "saturated": "ends at lag", "attenuating": "ends at lag", "exploding": "×100",
    "healthy": "reaches the start", "truncated": "cut after lag",
}  # fmt: skip


@cache
def drawn(name: str) -> tuple[Trace, Drawing]:
    make, options = PICTURES[name]
    trace = make()
    return trace, rg.draw(trace, **options)


@pytest.mark.parametrize("name", SEEN)
def test_the_sentence_is_what_was_found(name: str) -> None:
    trace, drawing = drawn(name)
    found = rg.diagnose(trace)
    title, why, remedy = headline(found)
    graph = drawing.graph
    assert graph.seen is not None
    assert graph.title == title
    assert why[1:] in graph.seen.why
    assert remedy[1:] in graph.seen.why
    shown = {shape.id: shape.text.replace("\u00a0", " ").replace("\n", " ") for shape in drawing.shapes}
    assert shown["title"] == title
    assert all(VERDICTS[found.verdict] in mark.text for mark in graph.seen.marks)
    if within := re.search(r"(?:dies|fades) within (\d+) steps?", title):
        assert int(within[1]) == found.memory_horizon
        # The flag is about one loss, the title about all and about the input: they differ by the way in and the spread.
        lags = [int(lag) for mark in graph.seen.marks for lag in re.findall(r"lag (\d+)", mark.text)]
        assert min(lags) <= 2 * int(within[1])


@pytest.mark.parametrize("name", SEEN)
def test_every_box_shows_the_median_over_the_samples(name: str) -> None:
    """Work the shares out anew from the lags: of one recurrence alone, whose states are of one currency."""
    trace, drawing = drawn(name)
    seen = drawing.graph.seen
    assert seen is not None
    for row in seen.rows:
        if row.recurrence.clock != trace.recurrences[-1].clock:
            continue
        reverse = row.recurrence.direction == REVERSE
        measured = [lag for lag in trace.lags if lag.state in row.states]
        together = [lag for lag in trace.lags if lag.state.replace(".c", ".h") in {
            one.replace(".c", ".h") for one in row.states}]  # fmt: skip
        number = int(np.flatnonzero(measured[0].losses == seen.timestep)[0])
        own, whole = (np.sqrt(sum(np.exp(2 * lag.log[:, number, 1:]) for lag in lags)) for lags in (measured, together))
        alive = row.recurrence.valid[measured[0].samples, seen.timestep]
        with np.errstate(divide="ignore", invalid="ignore"):  # padding and what is cut
            share = np.median(np.log10(own / whole[:, seen.timestep][:, None])[alive], axis=0)
        for t in np.flatnonzero(row.reached).tolist():
            assert (t >= seen.timestep) if reverse else (t <= seen.timestep)
            assert row.left[t] == pytest.approx(share[t], abs=1e-9), (row.name, t)


def test_the_mocks_networks_say_where_and_why() -> None:
    """What each picture must answer within ten seconds, read off its sentence, its flag and its boxes alone."""
    for name, where, why in (
        ("dies", "dies within 8 steps", "recurrent weight"),
        ("explodes", "explodes", "each step back makes it ×"),
        ("saturated", "dies within", "units are saturated"),
        ("gru", "dies within", "the update gate z is at"),
        ("truncated", "is cut: nothing is learned or judged of more than 6 steps back", "cut"),
    ):
        _, drawing = drawn(name)
        assert drawing.graph.seen is not None
        assert where in drawing.graph.title
        assert why in drawing.graph.seen.why
