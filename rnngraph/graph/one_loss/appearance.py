"""Put together what a picture knows of one loss: rows, time axis, lanes, marks, strips, sentences, and what is shown.

In: a trace and what was asked for. Out: a `Graph` that is seen from the loss. Where and why are those of the diagnosis,
which rest on all losses; the third line says which of them the boxes show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnngraph.diagnosis.diagnose import verdict_of
from rnngraph.diagnosis.headline import counts, headline
from rnngraph.diagnosis.one_loss import Losses, OneLoss
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.graph.build.loss_circles import bearing
from rnngraph.graph.build.recorded import Recorded
from rnngraph.graph.build.rows import find_rows as recorded_rows
from rnngraph.graph.build.tracks import find_tracks
from rnngraph.graph.model import Graph
from rnngraph.graph.one_loss.build import build
from rnngraph.graph.one_loss.fold import choose_steps, room_of
from rnngraph.graph.one_loss.marks import find_marks
from rnngraph.graph.one_loss.strips import find_strips
from rnngraph.graph.one_loss.view import Mark, Seen, SeenRow, Segment
from rnngraph.graph.one_loss.walk_rows import find_rows, find_segments, name_of_clock
from rnngraph.graph.steps import Steps, parse_steps
from rnngraph.graph.style.left import floor_of
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.graph.draw import Options


SPLITS = {"layer": False, "step": None, "op": True}  # by detail: a row a layer, a row a state, or what is read best


def look(trace: Trace, timestep: int, options: Options) -> Graph:
    """Return the graph of what the loss at a timestep leaves."""
    losses = Losses(trace)
    seen, joined = (losses.seen_from(losses.at(timestep), split=one) for one in (SPLITS[options.detail], False))
    segments = find_segments(trace, seen)
    rows = find_rows(trace, seen, segments)
    lanes, handovers = find_lanes(trace, seen, rows)
    marks = find_marks(rows, lanes)
    where = next(segment for segment in segments if segment.clock == seen.clock)
    position = where.start + seen.timestep
    diagnosis = verdict_of(trace)
    found, why = title_and_why(diagnosis, seen, marks)
    beside = counts(diagnosis) if diagnosis is not None and options.title is None else ""
    small = small_print(trace, seen, _whole(trace, rows, seen), beside)
    known = Seen(
        seen.timestep, position, seen.samples, why, f"{which_loss(trace, seen)} {small}", rows,
        segments, bearing(trace, segments), marks, find_strips(trace, joined, segments),
        floor_of(trace.dtype), handovers, options.width, options.theme, options.steps is not None,
    )  # fmt: skip
    if options.steps is None:
        shown = choose_steps(position, rows, marks, segments, room_of(options.width, rows, segments))
    else:
        shown = _chosen(options.steps, segments)
    return build(trace, known, shown, options.title or found)


def find_lanes(
    trace: Trace, seen: OneLoss, rows: Sequence[SeenRow]
) -> tuple[list[list[int]], tuple[tuple[int, int], ...]]:
    """Put the rows behind each other through which a gradient goes; give the pairs between which it crosses."""
    entered = [number for number, row in enumerate(rows) if row.recurrence.clock == seen.clock]
    lanes, pairs, used, apart = [], [], set(), _apart(trace, seen)
    for number, row in enumerate(rows):
        if number in entered or not row.reached.any() or row.recurrence.name in apart:
            continue
        alike = [(rows[one].recurrence.layer == row.recurrence.layer, rows[one].kind == row.kind, -one)
                 for one in entered]  # fmt: skip
        source = -max(alike)[2]
        used.add(source)
        lanes.append([source, number])
        pairs.append((source, number))
    alone = [number for number in range(len(rows)) if number not in used and all(number != lane[1] for lane in lanes)]
    return [*([number] for number in alone), *lanes], tuple(pairs)


def _apart(trace: Trace, seen: OneLoss) -> set[str]:
    """Name the recurrences of which the recorded graph tells that they neither begin nor feed what the loss enters."""
    if not len(trace.graph.op):
        return set()
    recorded = Recorded(trace.graph, np.array([0]))
    sources = recorded_rows(trace, recorded, find_tracks(trace, recorded), 0)
    todo = [number for number, one in enumerate(sources) if one.track and one.track.recurrence.clock == seen.clock]
    if not any({*sources[number].inputs, *sources[number].starts} - {number} for number in todo):
        return set()  # what they take is not recorded, as of PyTorch's layers
    met: set[int] = set()
    while todo:
        number = todo.pop()
        if number not in met:
            met.add(number)
            todo += [*sources[number].inputs, *sources[number].starts]
    return {one.track.recurrence.name for number, one in enumerate(sources) if one.track and number not in met}


def _chosen(steps: Steps, segments: Sequence[Segment]) -> set[int]:
    """Read the steps that were asked for; of several recurrences they are those of the axis."""
    ranges = parse_steps(steps, segments[-1].stop)
    borders = {place for one in segments[1:] for place in (one.start - 1, one.start)}
    return {place for start, stop in ranges for place in range(start, stop)} | borders


def _whole(trace: Trace, rows: Sequence[SeenRow], seen: OneLoss) -> str:
    """Say what 100 % is, where it is not the state's own gradient."""
    entered = [row for row in rows if row.recurrence.clock == seen.clock]
    kinds = dict.fromkeys(state.kind for state in trace.states_of(entered[0].recurrence))
    layers = {row.recurrence.layer for row in entered}
    own = "each layer's own gradient" if len(layers) > 1 else ""
    if len(kinds) > 1:
        own = f"{' and '.join(kinds)} together" + (", in each layer," if len(layers) > 1 else "")
    return f"100 % is {own} at t={seen.timestep}." if own else ""


def title_and_why(found: Diagnosis | None, seen: OneLoss, marks: tuple[Mark, ...]) -> tuple[str, str]:
    """Say where, and why with what to try."""
    if found is None:
        ends = ", and ".join(mark.text.strip("◂▸ ") for mark in marks) or "nothing is known of its way"
        return f"The loss at t={seen.timestep}: {ends}.", ""
    title, why, remedy = headline(found)
    return title, because(why, remedy)


def which_loss(trace: Trace, seen: OneLoss) -> str:
    """Say which loss and samples the boxes show."""
    whose = f" of {name_of_clock(trace, seen.clock)}" if len({one.clock for one in trace.recurrences}) > 1 else ""
    samples = "1 sample" if seen.samples == 1 else f"median of {seen.samples} samples"
    return f"Seen from the loss at t={seen.timestep}{whose}; {samples}."


def small_print(trace: Trace, seen: OneLoss, *more: str) -> str:
    """Say of what network the boxes are, and whatever else is to be known."""
    lags = trace.lags[0]
    entered = [one for one in trace.recurrences if one.clock == seen.clock]
    steps = max((one.timesteps for one in entered), default=trace.timesteps)
    if seen.joint:
        losses = "one loss that reads many steps"
    elif lags.available == 1:
        losses = "one loss"
    else:
        losses = "loss at every step" if lags.available == steps else f"{lags.available} losses"
    lengths = dict.fromkeys(f"{one.timesteps}" for one in trace.recurrences)
    unit = "step" if list(lengths) == ["1"] else "steps"
    parts = [trace.model, f"{' and '.join(lengths)} {unit}", losses, trace.dtype]
    return " ".join(text for text in (f"{' · '.join(part for part in parts if part)}.", *more) if text)


def because(why: str, attempt: str) -> str:
    """Join why it is so, and what to try."""
    return " ".join(f"{name}: {_inside(text)}" for name, text in (("Why", why), ("Try", attempt)) if text)


def _inside(sentence: str) -> str:
    """Begin a sentence in lower case, unless with a name."""
    return sentence[0].lower() + sentence[1:] if sentence[1:2].islower() or sentence[1:2] == " " else sentence
