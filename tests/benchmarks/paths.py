"""Judge networks that a verdict by the states' own lags misjudges, and print what it says beside the diagnosis.

The old rule is the median of ‖∂L_s/∂h_k‖ / ‖∂L_s/∂h_s‖ over losses and samples, layer by layer, the gravest first; what
a loss reads of a step is a loss of its own there.
Run `python -m tests.benchmarks.paths [SEEDS]`; `--markdown` prints the table as the documentation has it.
"""

from __future__ import annotations

import math
import sys

import numpy as np

import rnngraph as rg
from rnngraph.diagnosis.curve import LN10, lag_curve
from rnngraph.diagnosis.sums import sums_of
from rnngraph.measure.record import record as measured
from rnngraph.sources.tape.record import open_recording
from tests.diagnosis.path_networks import FIXTURES, Fixture


def old_rule(loss: rg.Tensor, fixture: Fixture) -> str:
    """Judge every layer by its median alone: exploding at 2 decades, vanishing at -4, the gravest of all."""
    said = []
    recording = open_recording(loss)
    recording.entering.joint = False
    trace, need = measured(recording, lags=fixture.options), fixture.need
    for recurrence in trace.recurrences:
        names = {state.name for state in trace.states if state.recurrence == recurrence.name}
        curve = lag_curve([lags for lags in trace.lags if lags.state in names], recurrence.direction)
        pairs = sums_of(curve.credit).pairs
        at = need or int(np.flatnonzero(pairs >= max(0.1 * curve.credit.seeds, 1)).max(initial=-1)) + 1
        if at and not math.isnan(curve.median[at - 1]):
            vanished = curve.median[at - 1] <= -4 * LN10
            said.append("exploding" if curve.peak(at) >= 2 * LN10 else "vanishing" if vanished else "healthy")
    return next((one for one in ("exploding", "vanishing") if one in said), "healthy" if said else "too_short")


def new_rule(loss: rg.Tensor, fixture: Fixture) -> str:
    """Give the verdict, and what of the expected findings is missing."""
    diagnosis = rg.diagnose(rg.record(loss, lags=fixture.options), horizon=fixture.need)
    missing = fixture.finding and fixture.finding not in {one.rule for one in diagnosis.findings}
    return f"{diagnosis.verdict} without {fixture.finding}" if missing else diagnosis.verdict


def table(seeds: int) -> list[tuple[str, ...]]:
    """Judge every fixture: its name, need and truth, and how often each rule is right and what else it says."""
    rows = []
    for fixture in FIXTURES:
        cells = []
        losses = [fixture.make(seed) for seed in range(seeds)]
        for rule in (new_rule, old_rule):
            said = [rule(loss, fixture) for loss in losses]
            others = sorted(set(said) - {fixture.truth})
            cells.append(f"{said.count(fixture.truth)}/{seeds}" + (f" {', '.join(others)}" if others else ""))
        at = "-" if fixture.need is None else str(fixture.need)
        rows.append((fixture.name, at, fixture.truth, fixture.finding or "-", *cells))
    return rows


def main() -> None:
    """Print the table and the totals."""
    arguments = [one for one in sys.argv[1:] if one != "--markdown"]
    seeds = int(arguments[0]) if arguments else 3
    with np.errstate(all="ignore"):
        rows = table(seeds)
    heading = ("network", "need", "truth", "with", "diagnose", "medians of the states")
    totals = [sum(int(row[place].split("/")[0]) for row in rows) for place in (4, 5)]
    rows.append(("right", "", "", "", *(f"{total}/{len(FIXTURES) * seeds}" for total in totals)))
    if "--markdown" in sys.argv:
        print("\n".join("| " + " | ".join(row) + " |" for row in (heading, ("---",) * len(heading), *rows)))
        return
    widths = [max(len(row[place]) for row in (heading, *rows)) for place in range(len(heading))]
    for row in (heading, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
