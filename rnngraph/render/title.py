"""The title of a picture: the model, and the verdict where the trace holds the lags that one rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnngraph.errors import RnnGraphError

if TYPE_CHECKING:
    from rnngraph.diagnosis.verdict import Diagnosis
    from rnngraph.trace.model import Trace


def verdict_of(trace: Trace) -> Diagnosis | None:
    """Diagnose a trace for a view; None where it holds no lags, or nothing on which a verdict can be given."""
    if not trace.lags:
        return None
    from rnngraph.diagnosis.diagnose import diagnose

    try:
        return diagnose(trace)
    except RnnGraphError:  # a picture of a trace on which no verdict can be given is still a picture
        return None


def picture_title(trace: Trace) -> str | None:
    """Name the model and say the verdict at its horizon; None leaves the title to the drawing."""
    found = verdict_of(trace)
    if found is None:
        return None
    text = found.verdict.replace("_", " ")
    if found.verdict in ("vanishing", "saturated") and found.memory_horizon is not None:
        text += f", no credit beyond lag {found.memory_horizon}"
    return f"{trace.model or 'recurrent network'} — {text} (at lag {found.horizon})"
