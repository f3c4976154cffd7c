"""The sentences over a picture that is seen from one loss: where, why and what to try, and what is shown.

In: a trace, the loss. Out: text. Where and why are those of the diagnosis, which rest on all losses; the third line
says which of them the boxes show.
"""

from __future__ import annotations

from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.graph.one_loss.view import Mark
from rnngraph.trace.model import Trace


def title_and_why(trace: Trace, seen: OneLoss, marks: tuple[Mark, ...]) -> tuple[str, str]:
    """Say where, and why with what to try."""
    found = headline_of(trace)
    if found is None:
        ends = ", and ".join(mark.text.strip("◂▸ ") for mark in marks) or "nothing is known of its way"
        return f"The loss at t={seen.timestep}: {ends}.", ""
    title, why, remedy = found
    return title, f"{_because(why)} {remedy}".strip()


def small_print(trace: Trace, seen: OneLoss, *, joined: str) -> str:
    """Say which loss and samples the boxes show, and of what network.

    Args:
        trace: what was recorded.
        seen: the loss.
        joined: what 100 % is, where it is not the state itself.
    """
    lags = trace.lags[0]
    entered = [one for one in trace.recurrences if one.clock == seen.clock]
    whose = f"the loss at t={seen.timestep}"
    if len({one.clock for one in trace.recurrences}) > 1:
        whose += f" of {entered[0].name}"
    samples = "1 sample" if seen.samples == 1 else f"median of {seen.samples} samples"
    steps = max((one.timesteps for one in entered), default=trace.timesteps)
    if seen.joint:
        losses = "one loss that reads many steps"
    elif lags.available == 1:
        losses = "one loss"
    else:
        losses = "loss at every step" if lags.available == steps else f"{lags.available} losses"
    lengths = dict.fromkeys(f"{one.timesteps}" for one in trace.recurrences)
    parts = [trace.model, f"{' and '.join(lengths)} steps", losses, trace.dtype]
    text = f"Seen from {whose}; {samples}. {' · '.join(part for part in parts if part)}"
    return f"{text}. {joined}" if joined else text


def _because(why: str) -> str:
    if not why:
        return ""
    begins = why[:2]
    first = why[0].lower() if begins[1:].islower() or begins[1:] == " " else why[0]
    return f"Why: {first}{why[1:]}"
