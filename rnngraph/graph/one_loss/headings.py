"""The sentences over a picture that is seen from one loss: where, why and what to try, and what is shown.

In: a trace, the loss. Out: text. Where and why are those of the diagnosis, which rest on all losses; the third line
says which of them the boxes show.
"""

from __future__ import annotations

from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.graph.one_loss.view import Mark
from rnngraph.trace.model import Trace


def title_and_why(found: Diagnosis | None, seen: OneLoss, marks: tuple[Mark, ...]) -> tuple[str, str]:
    """Say where, and why with what to try."""
    if found is None:
        ends = ", and ".join(mark.text.strip("◂▸ ") for mark in marks) or "nothing is known of its way"
        return f"The loss at t={seen.timestep}: {ends}.", ""
    title, why, remedy = headline(found)
    return title, because(why, remedy)


def which_loss(trace: Trace, seen: OneLoss) -> str:
    """Say which loss and samples the boxes show."""
    name = next(one.name for one in trace.recurrences if one.clock == seen.clock)
    whose = f" of {name}" if len({one.clock for one in trace.recurrences}) > 1 else ""
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
