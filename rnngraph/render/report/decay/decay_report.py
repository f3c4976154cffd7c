"""The decay report for a rich console: a row a layer with its histogram, what is wrong, and what a batch did; and JSON.

In: a `DecayReport`. Out: something that a rich console prints, as wide as the page and no wider; or strict JSON, null
where a half-life is infinite or no number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from rnngraph.graph.style.palette import Scale
from rnngraph.render.report.decay.histogram import axis_of, counts, decade_text, decades_of
from rnngraph.render.report.lags_report import LagSummary, summed, together_rows
from rnngraph.render.report.seen.sparklines import character
from rnngraph.render.report.text import Parts, laid_out, plain_table, printable, steps_text
from rnngraph.render.strict import json_line, picked
from rnngraph.trace.decay import DecayFinding, DecayReport, Five, LayerDecay
from rnngraph.trace.model import FORWARD

WIDEST_HISTOGRAM, LEAST_HISTOGRAM, LEAST_WRONG, GAP = 48, 16, 18, 2
NARROW = 72  # below it there is no room for a table
_NUMBERS = 4 * 8  # four columns of numbers
_STYLES = {"error": "bold red", "warning": "bold yellow"}
_NAMED = 3  # layers that a finding names; the others are counted


@laid_out
def decay_report(width: int, report: DecayReport) -> Parts:
    """Write what `rnngraph decay` prints."""
    kind = "an initialisation" if report.fresh else "any weights"
    yield Text.assemble((printable(report.source), "bold"), f" · half-lives at zero input, in steps · judged as {kind}")
    if report.layers:
        yield Text()
        yield _table(report, width) if width >= NARROW else _lines(report)
    for text in _findings(report):
        yield Text()
        yield text
    yield from live_parts(report, width=width)
    for one in report.unread:
        yield Text(f"Not read: {printable(one.name)} {one.shape}: {one.reason}.", style="yellow")
    for note in report.notes:
        yield Text(f"Note: {note}.", style="yellow")
    yield Text(_limits(report), style="dim")


def _table(report: DecayReport, width: int) -> Table:
    axis = axis_of(report)
    names = [printable(layer.shown_name) for layer in report.layers]
    wrong = [_wrong(layer) for layer in report.layers]
    taken = min(max(map(len, names)), width // 2) + max(len(layer.family) for layer in report.layers) + _NUMBERS
    bins = min(width - taken - min(max(map(len, wrong)), LEAST_WRONG) - 7 * GAP, WIDEST_HISTOGRAM)
    least = min(max(map(len, names)), max(width // 3, 12))
    table = plain_table("layer", min_width=least, max_width=max(width // 2, 12))
    table.add_column("family", no_wrap=True)
    for heading in ("decays", "shortest", "median", "longest"):
        table.add_column(heading, justify="right", no_wrap=True)
    if bins >= LEAST_HISTOGRAM:
        table.add_column(_ruler(axis, bins), no_wrap=True, width=bins)
    table.add_column("wrong", overflow="fold")
    for name, layer, said in zip(names, report.layers, wrong, strict=True):
        shortest, _, middle, _, longest = map(steps_text, layer.quantiles)
        bars = [Text(histogram(layer, axis, bins))] if bins >= LEAST_HISTOGRAM else []
        table.add_row(name, layer.family, str(layer.n), shortest, middle, longest, *bars, said)
    return table


def _lines(report: DecayReport) -> Text:
    """Say on a narrow page what the table has no room for, layer by layer."""
    parts = []
    for layer in report.layers:
        shortest, _, middle, _, longest = map(steps_text, layer.quantiles)
        said = f"{layer.family}, {layer.n} decays: shortest {shortest}, median {middle}, longest {longest} "
        parts.append(Text.assemble((f"{printable(layer.shown_name)}: ", "bold"), said, _wrong(layer)))
    return Text("\n").join(parts)


def _ruler(axis: Scale, bins: int) -> Text:
    """Write the ticks of the axis over its columns; the first and the last stay within."""
    line = [" "] * bins
    for decade in decades_of(axis, max(bins // 6, 2)):
        text = decade_text(decade)
        place = min(round(axis.share(decade) * bins), bins - len(text))
        if all(sign == " " for sign in line[max(place - 1, 0) : place + len(text)]):
            line[place : place + len(text)] = text
    return Text("".join(line), style="dim")


def histogram(layer: LayerDecay, axis: Scale, bins: int) -> str:
    """Draw how many half-lives fall where, one character a part of the axis; a blank is none."""
    found = counts(layer.half_lives, axis, bins)
    most = max(int(found.max()), 1)
    return "".join(character(one or math.nan, 0, most) for one in found.tolist())


def _wrong(layer: LayerDecay) -> Text:
    if not layer.judged and not layer.findings:
        return Text("not judged", style="dim")
    parts = [Text(one.rule.replace("_", " "), style=_STYLES[one.severity]) for one in layer.findings]
    return Text(", ").join(parts)


def _findings(report: DecayReport) -> Iterator[Text]:
    """Say each rule once, with the layers that it concerns."""
    by_rule: dict[str, list[DecayFinding]] = {}
    for one in sorted(report.findings, key=lambda finding: finding.severity):  # errors before warnings
        by_rule.setdefault(one.rule, []).append(one)
    for rule, found in by_rule.items():
        first = found[0]
        every = list(dict.fromkeys(printable(one.layer) or "the module" for one in found))
        names, more = every[:_NAMED], f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
        yield Text.assemble(
            (f"{rule.replace('_', ' ')}: ", _STYLES[first.severity]),
            f"{names[0]}: {first.text}",
            f" Likewise {', '.join(names[1:])}{more}." if len(names) > 1 else "",
            ("\n  cause: ", "bold"), first.cause, ("\n  advice: ", "bold"), first.advice,
        )  # fmt: skip


def _limits(report: DecayReport) -> str:
    limits = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in report.thresholds.items())
    judged = f"Thresholds: {limits}." if report.fresh else "With --fresh they are judged as an initialisation."
    return f"Half-lives are ln 2 / rate at zero input: what was set, not what a trained model remembers. {judged}"


MOST_CURVES = 4  # layers whose curve is drawn; the picture and the JSON document have them all


def live_parts(report: DecayReport, *, width: int) -> Parts:
    """Lay out the comparison and the curves."""
    layers = [layer for layer in report.layers if layer.live is not None]
    if not layers:
        return
    table = plain_table("layer", max_width=max(width // 2, 12))
    for heading in ("at zero input", "on the batch", "credit halves in", "reaches lag"):
        table.add_column(heading, justify="right")
    for layer in layers:
        assert layer.live is not None
        credit = summary_of(layer)
        table.add_row(
            printable(layer.shown_name), three(layer.quantiles), three(layer.live.quantiles),
            halving(credit), reach(credit),
        )  # fmt: skip
    yield Text()
    yield Text("Half-lives at 10, 50 and 90 %, in steps; credit is the gradient of a later loss at the layer's input.")
    yield table
    yield from _curves(layers)
    for note in dict.fromkeys(note for layer in layers if layer.live for note in layer.live.notes):
        yield Text(f"Note: {note}.", style="yellow")


def _curves(layers: list[LayerDecay]) -> Parts:
    drawn = [(layer, credit) for layer in layers if (credit := summary_of(layer)) is not None and credit.sums.longest]
    yield Text()
    if drawn:
        yield together_rows([(layer.shown_name, credit) for layer, credit in drawn[:MOST_CURVES]])
    if len(drawn) > MOST_CURVES:
        yield Text(f"{len(drawn) - MOST_CURVES} more curves are in the picture (-o) and in --json.", style="dim")
    yield Text()
    if drawn:
        yield Text("A short convolution in front of a recurrence dominates the first three lags.", style="dim")


def summary_of(layer: LayerDecay) -> LagSummary | None:
    """Sum up the credit at a layer's own input; None where none was measured."""
    lags = None if layer.live is None else layer.live.credit
    return None if lags is None or not len(lags.losses) else summed(lags, FORWARD)


def three(quantiles: Five | None) -> str:
    """Write the half-lives at 10, 50 and 90 %."""
    if quantiles is None:
        return "not seen"
    return " / ".join(map(steps_text, quantiles[1:4]))


def halving(credit: LagSummary | None) -> str:
    """Write in how many steps the credit halves."""
    if credit is None:
        return "not seen"
    return "no fewer" if credit.half_life is None else steps_text(credit.half_life)


def reach(credit: LagSummary | None) -> str:
    """Write how far the credit reaches."""
    if credit is None or credit.reach is None:
        return "not seen"
    return f"{credit.reach}{' at least' if credit.whole else ''}"


SCHEMA = 1


def decay_json(report: DecayReport) -> str:
    """Write the report of `rnngraph decay --json`: one line of JSON, without the line's end."""
    return json_line({
        "schema": SCHEMA,
        "at": "zero input",
        "unit": "steps",
        **picked(report, "source", "fresh", "context", "thresholds", "notes"),
        "layers": [_layer(layer) for layer in report.layers],
        "unread": [picked(one, "name", "shape", "reason") for one in report.unread],
    })  # fmt: skip


def _layer(layer: LayerDecay) -> dict[str, Any]:
    document = {
        **picked(layer, "name", "family", "formula", "settings", "n", "quantiles", "published", "judged"),
        "findings": [picked(one, "rule", "severity", "evidence", "cause", "advice", "text") for one in layer.findings],
    }
    if layer.live is not None:
        document["live"] = {**picked(layer.live, "quantiles", "notes"), "credit": _credit(summary_of(layer))}
    return document


def _credit(credit: LagSummary | None) -> dict[str, Any] | None:
    if credit is None:
        return None
    return {**picked(credit, "half_life", "reach", "whole"), "curve": credit.curve_document()}
