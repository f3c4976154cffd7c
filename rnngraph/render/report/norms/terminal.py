"""The norms of a trace for a rich console: the three lines, and a row a state seen from one loss, or tables of the sum.

In comes a trace, out comes something that a rich console can print, at the width that it has. The sentences below a
table say where its numbers lie; how fast they fall, and why, is a question of lags, which the headline answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from rich.text import Text

from rnngraph.diagnosis.diagnose import verdict_of
from rnngraph.diagnosis.headline import counts, headline
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.diagnosis.sentences import counted, spans_text
from rnngraph.errors import InputError
from rnngraph.graph.build.fold import unrolled_columns, valid_samples
from rnngraph.graph.build.graph import sizes
from rnngraph.graph.steps import Steps, parse_steps
from rnngraph.graph.style.palette import fitted
from rnngraph.graph.summary import overall
from rnngraph.nearest import check_known
from rnngraph.render.report.norms.norms_table import state_table
from rnngraph.render.report.seen.chart import seen_rows
from rnngraph.render.report.seen.lag_table import lag_lines
from rnngraph.render.report.text import (
    NOTE_STYLE,
    STATUS_WORDS,
    Parts,
    headline_lines,
    laid_out,
    printable,
    wrapped,
)
from rnngraph.trace.magnitudes import Integers, Status
from rnngraph.trace.model import StateTrace, Trace

SHOWN_WHOLE = 40  # a terminal has more room for steps than a picture has
ENDS = "0:12,-12:"


@laid_out
def norms_report(width: int, trace: Trace, seen: OneLoss) -> Parts:
    """Write what `rnngraph norms` prints, seen from one loss: a row a state, and what a step back keeps."""
    found = verdict_of(trace)
    beside = counts(found) if found is not None else ""
    said = f" · median of {counted(seen.samples, 'sample')}{f'. {beside}' if beside else ''}"
    yield from _head(width, trace, found, said)
    yield seen_rows(trace, seen)
    yield from map(Text, gate_lines(trace))
    yield from lag_lines(width, seen)
    yield Text()
    other = another_loss(trace, seen)
    hint = "Every step as a table: --table." + ("" if other is None else f" Another loss: --from {other}.")
    yield Text(hint, style="dim")
    yield from _notes(width, remarks(trace))


@laid_out
def norms_tables(width: int, trace: Trace, *, steps: Steps = None, states: Sequence[str] | None = None) -> Parts:
    """Write what `rnngraph norms --table` prints: the norms of the sum over all losses at every step.

    Args:
        width: of the page, in characters.
        trace: what to report on.
        steps: the timesteps to show, such as `"10:20"` or `"all"`; by default all of a short sequence, both
            ends of a long one.
        states: names of the states to show; by default all.

    Raises:
        InputError: there is no such step or state in the trace, or it has no timestep at all.
    """
    if trace.timesteps < 1 or not trace.states:
        raise InputError("the trace has no timestep of a recurrent state, so there are no norms to show.")
    check_known(states or (), [state.name for state in trace.states], "there is no state {} in the trace: choose among")
    chosen = [state for state in trace.states if states is None or state.name in states]
    if steps is None:
        steps = "all" if trace.timesteps <= SHOWN_WHOLE else ENDS
    columns = unrolled_columns(trace, parse_steps(steps, trace.timesteps))
    yield from _head(width, trace, verdict_of(trace))
    # One scale for all states, so that their bars can be compared.
    scale = fitted(overall([part for state in chosen for part in (state.grad, state.initial)]))
    for state in chosen:
        yield state_table(trace, state, columns=columns, scale=scale, width=width)
        yield Text()
    yield from (summary(trace, state) for state in chosen)
    unseen = () if trace.lags else (f"This is the sum over all losses: {no_lags(trace)}",)
    yield from _notes(width, (*unseen, *remarks(trace)))


def _head(width: int, trace: Trace, found: Diagnosis | None, more: str = "") -> Parts:
    if found is not None:
        yield from headline_lines(width, headline(found))
    yield from wrapped(heading(trace) + more, width, "dim")
    yield Text()


def _notes(width: int, sentences: Iterable[str]) -> Parts:
    for sentence in sentences:
        yield from wrapped(f"Note: {sentence}", width, NOTE_STYLE)


def heading(trace: Trace) -> str:
    """Name the model, its sizes and its loss in a line."""
    loss = f"{trace.loss:.4g}"
    if math.isnan(trace.loss):
        loss = "not finite" if "forward" in trace.graph.first_nonfinite() else "not observed"
    parts = (printable(trace.model), *sizes(trace), f"loss {loss}")
    return " · ".join(part for part in parts if part)


def another_loss(trace: Trace, seen: OneLoss) -> int | None:
    """Find another loss that was measured, from the middle and a round one by choice; None where there is none."""
    others = [int(t) for t in trace.lags[0].losses if t != seen.timestep]
    middle = others[len(others) // 4 : 1 + 3 * len(others) // 4]
    return max(middle, key=lambda t: (t % 10 == 0, -abs(t - seen.timestep / 2)), default=None)


def gate_lines(trace: Trace) -> Iterator[str]:
    """Say how far open the gates stand that keep the states, a line a kind of cell."""
    said: dict[str, list[tuple[str, float]]] = {}
    for recurrence in trace.recurrences:
        if (gate := trace.keeping_gate(recurrence)) is None:
            continue
        mean = gate.mean[: recurrence.timesteps][recurrence.valid.any(axis=0)]
        if np.isfinite(mean).any():
            title = trace.cell_of(recurrence).keeps_title
            said.setdefault(title, []).append((recurrence.name, float(np.nanmean(mean))))
    for title, means in said.items():
        if len(means) == 1:
            listed = f"{means[0][1]:.2f}"
        else:
            listed = ", ".join(f"{printable(name)} {mean:.2f}" for name, mean in means[:4])
            listed += f" and {len(means) - 4} more" if len(means) > 4 else ""
        yield f"{title} {listed} on average; 1 would keep everything"


def summary(trace: Trace, state: StateTrace) -> Text:
    """Say where a state's gradient is largest and smallest, how far apart, and where it is no ordinary number."""
    text = Text.assemble((printable(state.name), "bold"), ": ")
    known = np.flatnonzero(state.grad.status == Status.OK)
    if known.size:
        _append_extremes(text, state, known)
    else:
        text.append("no step has a gradient that is an ordinary number")
    return text.append(f"{_abnormal(trace, state)}.")


def _append_extremes(text: Text, state: StateTrace, known: Integers) -> None:
    value, logarithms = state.grad.value, state.grad.log10[known]
    high, low = known[logarithms.argmax()], known[logarithms.argmin()]
    decades = float(logarithms.max() - logarithms.min())
    if decades == 0:
        text.append(f"{value[high]:.2e} {f'at t={high}' if len(known) == 1 else 'at every step'}")
        return
    text.append(f"largest {value[high]:.2e} at t={high}, smallest {value[low]:.2e} at t={low}, ")
    apart = f"{decades:.1f} decades apart" if decades >= 1 else f"a factor of {10**decades:.2g} apart"
    text.append(apart, style="bold")


def _abnormal(trace: Trace, state: StateTrace) -> str:
    """Name the steps whose gradient is not an ordinary number, by kind."""
    found = state.grad.status[: trace.recurrence_of(state).timesteps]
    parts = []
    for status in (Status.ZERO, Status.UNDERFLOW, Status.NONFINITE, Status.UNOBSERVED):
        if (found == status).any():
            word = "not observed" if status is Status.UNOBSERVED else STATUS_WORDS[status][0]
            parts.append(f"; {word} at {spans_text(found == status)}")
    return "".join(parts)


def remarks(trace: Trace) -> Iterator[str]:
    """Give what a reader of the numbers must know: padding, cuts, non-finite nodes, the trace's notes."""
    padded = valid_samples(trace, 0, trace.timesteps) == 0
    if padded.any():
        yield f"No sequence of the batch reaches {spans_text(padded)}: these steps are padding."
    for state in trace.states:
        if state.cut.any():
            yield f"The recurrence of {printable(state.name)} is cut where it leads into {spans_text(state.cut)}."
    for way, node in trace.graph.first_nonfinite().items():
        yield f"The first NaN or infinity of the {way} pass comes out of {printable(trace.graph.describe(node))}."
    yield from map(printable, trace.notes)
