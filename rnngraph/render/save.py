"""Write a picture to a file: the format by the suffix, all or nothing, never over somebody's other file."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnngraph.errors import InputError
from rnngraph.files import check_target, path_of, refuse_folder, write_whole

if TYPE_CHECKING:
    from rnngraph.diagnosis.chosen_loss import SeenFrom
    from rnngraph.graph.draw import Drawing, Options
    from rnngraph.graph.steps import Steps
    from rnngraph.render.format import Renderer
    from rnngraph.render.report.pictures import Pictured
    from rnngraph.trace.model import Trace

EXAMPLE = "unrolled.svg"


def render(
    source: Trace | Drawing | Any,
    path: str | os.PathLike[str],
    *,
    steps: Steps = None,
    detail: str = "step",
    view: str = "unrolled",
    color: str = "grad",
    backward: bool = True,
    title: str | None = None,
    seen_from: SeenFrom = None,
    width: int = 900,
    theme: str = "auto",
    force: bool = False,
) -> Path:
    """Write the picture of a trace, a drawing, a report of `decay`, `history` or `compare`, or of what `record` takes.

    The path is returned. The suffix decides the format; a report is drawn as svg, png, pdf or html. A file of another
    kind is overwritten only with `force`; the other options are those of `draw` and need a trace. A picture that cannot
    be finished leaves no file behind.

    Raises:
        InputError: an unknown suffix or option, steps outside the trace, or a trace without timesteps.
        FileError: the path is a folder, its folder does not exist or cannot be written to, or another kind of file is
            there.
        MissingToolError: the format needs Graphviz and there is none.
    """
    from rnngraph.graph.draw import Drawing, Options
    from rnngraph.render.format import render_bytes, renderer_of
    from rnngraph.render.report.pictures import pictured

    target = path_of(path, example=EXAMPLE)
    refuse_folder(target, example=EXAMPLE)
    options = Options(steps, detail, view, color, backward, title, seen_from, width, theme)
    if (report := pictured(source)) is not None:
        return _render_report(source, report, target, options, force=force)
    chosen = renderer_of(target)
    check_picture(target, chosen, force=force)
    if not isinstance(source, Drawing):
        drawing = Drawing(_as_trace(source, seen_from), options)
    elif options != Options():
        raise InputError(f"{_names(options)} belong to a trace; give them to draw instead.")
    else:
        drawing = source
    write_whole(target, render_bytes(drawing, chosen.name))
    return target


def _render_report(source: Any, report: Pictured, target: Path, options: Options, *, force: bool) -> Path:
    from rnngraph.graph.draw import Options
    from rnngraph.render.format import renderer_named
    from rnngraph.render.picture.charts import format_of
    from rnngraph.render.report.pictures import report_bytes

    chosen = format_of(target, report.what)
    if options != Options():
        raise InputError(f"{_names(options)} belong to a trace; leave them out for {report.what}.")
    check_picture(target, renderer_named(chosen), force=force)
    write_whole(target, report_bytes(source, chosen))
    return target


def _names(options: Options) -> str:
    return ", ".join(field.name for field in fields(options))


def check_picture(path: Path, chosen: Renderer, *, force: bool = False) -> None:
    """Refuse a target that cannot be written to, before any work is done; an empty file is of every kind.

    Raises:
        FileError: as `render` says.
    """

    def is_kind(file: Path) -> bool:
        with file.open("rb") as opened:
            start = opened.read(4096)
        return not start or chosen.recognises(start)

    check_target(path, example=EXAMPLE, kind=f"{chosen.name} file", is_kind=is_kind, force=force)


def _as_trace(source: Any, seen_from: SeenFrom) -> Trace:
    from rnngraph.trace.model import Trace

    if isinstance(source, Trace):
        return source
    from rnngraph.diagnosis.chosen_loss import known_loss
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.sources.tape.record import record

    wanted = known_loss(seen_from)
    return record(source, lags=LagOptions(including=(wanted,) if isinstance(wanted, int) else ()))
