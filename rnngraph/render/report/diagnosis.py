"""A diagnosis as a report.

For a rich console the three lines, what is left of one loss as a row a state, and what else is said; for programs
strict JSON, null where there is no number.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.text import Text

from rnngraph.diagnosis.chosen_loss import seen
from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.judged import Judged, LayerVerdict
from rnngraph.diagnosis.report import Diagnosis, body, text_of
from rnngraph.diagnosis.update import Update
from rnngraph.render.report.seen.chart import seen_rows
from rnngraph.render.report.text import Parts, headline_document, headline_lines, laid_out, wrapped
from rnngraph.render.strict import json_line, picked, plain
from rnngraph.trace.model import Trace

SCHEMA = 2


def diagnosis_json(diagnosis: Diagnosis) -> str:
    """Write the report of `rnngraph diagnose --json`: one line of JSON, without the line's end."""
    return json_line(diagnosis_document(diagnosis))


def diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Lay a diagnosis out as plain dictionaries, lists, numbers and strings."""
    document = {
        "schema": SCHEMA,
        **picked(diagnosis, "model", "verdict", "flags", "horizon", "decades", "rate", "half_life", "memory_horizon"),
        **picked(diagnosis, "reach", "asked", "at_input", "participation", "measured", "notes", "checks"),
        "thresholds": diagnosis.thresholds,
        "reach_is_whole": diagnosis.whole,
        "horizon_in": diagnosis.horizon_in or None,
        "reach_in": diagnosis.reach_in or None,
        "update": _update(diagnosis.update),
        "by_layer": [_layer(one) for one in diagnosis.by_layer],
        "floor": None,  # of a gain, as earlier versions had one
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "able_to_try": diagnosis.able,
        "tried": [{"remedy": one.words, **picked(one, "decades", "peak", "helps")} for one in diagnosis.tried],
        "spectrum": diagnosis.spectrum,
        "headline": headline_document(headline(diagnosis)),
    }
    cleaned: dict[str, Any] = plain(document)
    return cleaned


def _layer(one: LayerVerdict) -> dict[str, Any]:
    return {
        **picked(one, "name", "layer", "direction", "verdict", "horizon", "left", "peak", "rate", "half_life"),
        "G": one.decades,
        "G1": one.decades_from_first,
        "update": _update(one.update),
    }


def _update(one: Update | None) -> dict[str, Any] | None:
    return None if one is None else {"lag": one.lag, "U": one.decades}


_MOST_ROWS = 8  # rows of a deep network are for `norms`


@laid_out
def diagnosis_report(width: int, trace: Trace, diagnosis: Judged, *, full: bool, untried: str | None) -> Parts:
    """Write what `rnngraph diagnose` prints; `untried` says why no remedy was tried, where none was."""
    yield from headline_lines(width, headline(diagnosis))
    yield Text()
    one = seen(trace)
    if one is not None and len(one.walks) <= _MOST_ROWS:
        yield seen_rows(trace, one, with_sum=False)
        yield Text()
    yield from wrapped(
        text_of(body(diagnosis, full=full, tried=full, untried=untried, more="--verbose, --json")), width
    )
