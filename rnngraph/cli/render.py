"""`rnngraph render`: the picture of the unrolled network and of the walk back through it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from rnngraph.cli.options import FORCE, FROM, LagArguments, SourceArguments
from rnngraph.cli.source import Measures, open_trace

EXAMPLES = (
    "rnngraph render",
    "rnngraph render --cell lstm --timesteps 60 -o lstm.svg",
    "rnngraph render run.npz --steps 0:10 --color gain -o start.png",
    "rnngraph render -o - --format dot | less",
)


def _choices(module: str, name: str) -> Callable[[], list[str]]:
    """Look choices up once a shell asks for them, so that a command starts without what draws."""
    return lambda: list(getattr(import_module(module), name))


def render(
    source: SourceArguments,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The picture; its suffix chooses the format. - for stdout."
        ),
    ] = Path("unrolled.svg"),
    format: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(metavar="NAME", help="The format, whatever the suffix: svg, png, pdf, dot, ..."),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="RANGE", help="Timesteps: 10:20, 0:3,97:100 or all; by default a long middle is folded."),
    ] = None,
    detail: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="One box a layer, a step or an op.",
            autocompletion=_choices("rnngraph.graph.build.graph", "DETAILS"),
        ),
    ] = "step",
    view: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="unrolled, or rolled: one step and its loop.",
            autocompletion=_choices("rnngraph.graph.build.graph", "VIEWS"),
        ),
    ] = "unrolled",
    color: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What colours show: grad, gain, saturation or activation.",
            autocompletion=_choices("rnngraph.graph.style.palette", "COLOURS"),
        ),
    ] = "grad",
    seen_from: FROM = None,
    width: Annotated[
        int, typer.Option(metavar="PIXELS", help="The width of the picture; 390 is set for a phone.")
    ] = 900,
    theme: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, which in SVG follows the reader's system, light or dark.",
            autocompletion=_choices("rnngraph.graph.sizes", "THEMES"),
        ),
    ] = "auto",
    no_backward: Annotated[bool, typer.Option("--no-backward", help="Leave the arrows back in time out.")] = False,
    force: FORCE = False,
) -> None:
    """Draw the network, and what is left of one loss step by step.

    Time runs from left to right, and the gradient back, step by step. The sum over all losses looks healthy where each
    step hears its own; --from total shows it, and so do --view rolled, --color and --no-backward.
    """
    from rnngraph.cli.console import status, working
    from rnngraph.cli.output import picture_target, write_output
    from rnngraph.diagnosis.chosen_loss import WITHOUT, known_loss, seen
    from rnngraph.graph.draw import Drawing, Options
    from rnngraph.render.format import render_bytes

    target, chosen = picture_target(output, name=format, force=force)
    chosen_loss = known_loss(seen_from, name="--from")
    trace = open_trace(source, Measures(lags=LagArguments().options(source.source, chosen_loss)))
    with working("drawing"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = Options(steps, detail, view, color, not no_backward, None, chosen_loss, width, theme)
        picture = render_bytes(Drawing(trace, options), chosen.name)
    if chosen_loss is None and seen(trace) is None:
        status(f"note: {WITHOUT}.")
    for warning in caught:
        status(f"note: {warning.message}")
    write_output(picture, target)
