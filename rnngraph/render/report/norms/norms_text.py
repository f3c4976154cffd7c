"""What matters in a trace's norms, in a few sentences for each state, and the remarks a reader must know.

In come a trace and a state, out comes text. These are statements about the profile over time and the gain of
one step; how far back a loss is felt is a question of lags, which these two cannot answer alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from rich.text import Text

from rnngraph.diagnosis.sentences import spans_text
from rnngraph.graph.build.fold import valid_samples
from rnngraph.render.report.text import NOTE_STYLE, STATUS_WORDS, number_text, percent_text, printable
from rnngraph.trace.magnitudes import Integers, Status
from rnngraph.trace.model import StateTrace, Trace

HIDES_DECAY = 0.9  # above this share the profile over time shows the losses, not what is carried
MANY_SATURATED = 0.2


def summary(trace: Trace, state: StateTrace) -> Text:
    """Say where a state's gradient is largest and smallest, how far apart, and what a step does to it."""
    text = Text.assemble((printable(state.name), "bold"), ": ")
    known = np.flatnonzero(state.grad.status == Status.OK)
    if known.size:
        _append_extremes(text, state, known)
    else:
        text.append("no step has a gradient that is an ordinary number")
    text.append(f"{_abnormal(trace, state)}.")
    gain = median_gain(state)
    if not math.isnan(gain):
        text.append(f" {_gain_sentence(gain)}")
    own = own_share(state)
    if own > HIDES_DECAY:
        text.append(f" {percent_text(own)} of a step's gradient is its own (immediate), in the median.")
    saturated = state.saturated[~np.isnan(state.saturated)]
    if saturated.size and saturated.mean() > MANY_SATURATED:
        text.append(f" {percent_text(float(saturated.mean()))} of the units are saturated.", style=NOTE_STYLE)
    return text


def median_gain(state: StateTrace) -> float:
    """Give the median over steps of the gain of one step back, NaN where there is none."""
    gains = state.gain[np.isfinite(state.gain) & (state.gain > 0)]
    return float(np.exp(np.median(np.log(gains)))) if gains.size else math.nan


def own_share(state: StateTrace) -> float:
    """Give the median over steps of `‖immediate‖² / (‖immediate‖² + ‖carried‖²)`; NaN if nothing is known."""
    with np.errstate(all="ignore"):  # 0/0 is a step without gradient, x/0 one without an own part
        ratio = state.carried.value / state.immediate.value  # first, so that small norms are not squared to 0
        shares = 1 / (1 + ratio**2)
    known = shares[~np.isnan(shares)]
    return float(np.median(known)) if known.size else math.nan


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


def _gain_sentence(gain: float) -> str:
    start = f"The median gain of a step back is {number_text(gain)}"
    rate = abs(math.log10(gain))
    if rate < 0.001:
        return f"{start}: what is carried keeps its size."
    number = f"{1 / rate:.1f}" if rate > 0.1 else f"{1 / rate:.0f}"
    return f"{start}: what is carried {'falls' if gain < 1 else 'grows'} tenfold in {number} steps."


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
