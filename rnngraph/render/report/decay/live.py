"""What the weights say beside what a batch does, for a rich console: the gates, and the credit with its lag curve.

In: a `DecayReport` with live layers. Out: rich parts; none where no batch was run.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.sentences import part_text
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.render.report.decay.histogram import steps_text
from rnngraph.render.report.lags.plots import curve_plot
from rnngraph.render.report.lags.states import LagSummary, summed
from rnngraph.render.report.text import printable
from rnngraph.trace.decay import DecayReport, Five, LayerDecay
from rnngraph.trace.model import FORWARD

MOST_CURVES = 4  # layers whose curve is drawn; the picture and the JSON document have them all


def live_parts(report: DecayReport, *, width: int, ascii_only: bool) -> Iterator[RenderableType]:
    """Lay out the comparison and the curves."""
    layers = [layer for layer in report.layers if layer.live is not None]
    if not layers:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("layer", overflow="fold", max_width=max(width // 2, 12))
    for heading in ("at zero input", "on the batch", "credit halves in", "reaches lag"):
        table.add_column(heading, justify="right")
    for layer in layers:
        assert layer.live is not None
        credit = summary_of(layer)
        table.add_row(
            printable(layer.shown_name), three(layer.quantiles, ascii_only), three(layer.live.quantiles, ascii_only),
            halving(credit), reach(credit),
        )  # fmt: skip
    yield Text()
    yield Text("Half-lives at 10, 50 and 90 %, in steps; credit is the gradient of a later loss at the layer's input.")
    yield table
    yield from _curves(layers, width, ascii_only)
    for note in dict.fromkeys(note for layer in layers if layer.live for note in layer.live.notes):
        yield Text(f"Note: {note}.", style="yellow")


def _curves(layers: list[LayerDecay], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    drawn = [(layer, credit) for layer in layers if (credit := summary_of(layer)) is not None and credit.curve.longest]
    for layer, credit in drawn[:MOST_CURVES]:
        yield Text()
        yield Text(f"{printable(layer.shown_name)}: {sentence(credit)}")
        yield curve_plot(credit.curve, width=width, ascii_only=ascii_only)
    if len(drawn) > MOST_CURVES:
        yield Text(f"{len(drawn) - MOST_CURVES} more curves are in the picture (-o) and in --json.", style="dim")
    yield Text()
    if drawn:
        yield Text("A short convolution in front of a recurrence dominates the first three lags.", style="dim")


def summary_of(layer: LayerDecay) -> LagSummary | None:
    """Sum up the credit at a layer's own input; None where none was measured."""
    lags = None if layer.live is None else layer.live.credit
    return None if lags is None or not len(lags.losses) else summed(lags, FORWARD)


def sentence(credit: LagSummary) -> str:
    """Sum the credit up: what is left at the horizon, in how many steps it halves, how far it reaches."""
    left = credit.curve.median[credit.horizon - 1] / LN10 if credit.horizon else float("nan")
    said = f"1e{left:+.2f} of the credit is left at lag {credit.horizon}"
    left = part_text(Thresholds().epsilon)
    return f"{said}; it halves in {halving(credit)} steps and reaches lag {reach(credit)} ({left} left)"


def three(quantiles: Five | None, ascii_only: bool = False) -> str:
    """Write the half-lives at 10, 50 and 90 %."""
    if quantiles is None:
        return "not seen"
    return " / ".join(steps_text(value, ascii_only=ascii_only) for value in quantiles[1:4])


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
