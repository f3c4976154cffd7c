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
    from rnngraph.graph.draw import Drawing
    from rnngraph.graph.steps import Steps
    from rnngraph.render.format import Renderer
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
    """Write the picture of a trace, a drawing, of what `decay`, `history`, `compare` or `context` found, or of a loss.

    The path is returned. The suffix decides the format; a report is drawn as svg, png, pdf or html. A file of another
    kind is overwritten only with `force`; the other options are those of `draw`, of which a report takes the width and
    the theme, and a drawing has its own. A picture that cannot be finished leaves no file behind.

    Raises:
        InputError: an unknown suffix or option, steps outside the trace, or a trace without timesteps.
        FileError: the path is a folder, its folder does not exist or cannot be written to, or another kind of file is
            there.
        MissingToolError: the format needs Graphviz and there is none.
    """
    from rnngraph.graph.draw import Drawing, Options
    from rnngraph.render.format import render_bytes
    from rnngraph.render.picture.charts import pictured, report_bytes

    target = path_of(path, example=EXAMPLE)
    options = Options(steps, detail, view, color, backward, title, seen_from, width, theme)
    report = pictured(source)
    chosen = format_of(target, chart="" if report is None else report.what, force=force)
    given = [field.name for field in fields(options) if getattr(options, field.name) != field.default]
    if report is not None and (traced := [name for name in given if name not in ("width", "theme")]):
        raise InputError(f"only a trace is drawn with {', '.join(traced)}: leave that out for {report.what}.")
    if isinstance(source, Drawing) and given:
        raise InputError(f"only a trace is drawn with {', '.join(given)}: give that to draw instead.")
    if report is not None:
        data = report_bytes(source, chosen.name, width=width if "width" in given else None, theme=theme)
    else:
        drawing = source if isinstance(source, Drawing) else Drawing(_as_trace(source, seen_from), options)
        data = render_bytes(drawing, chosen.name)
    write_whole(target, data)
    return target


def format_of(path: Path, *, chart: str = "", name: str | None = None, force: bool = False) -> Renderer:
    """Choose the format of a picture, and refuse a path that it may not go to, before any work is done.

    `chart` says what is drawn where that is no network, `name` the format whatever the suffix. An empty file is of
    every kind.

    Raises:
        InputError: there is no such format.
        FileError: as `render` says.
    """
    from rnngraph.render.format import renderer_named, renderer_of

    refuse_folder(path, example=EXAMPLE)
    chosen = renderer_named(name) if name else renderer_of(path, chart)

    def is_kind(file: Path) -> bool:
        with file.open("rb") as opened:
            start = opened.read(4096)
        return not start or chosen.recognises(start)

    check_target(path, example=EXAMPLE, kind=f"{chosen.name} file", is_kind=is_kind, force=force)
    return chosen


def _as_trace(source: Any, seen_from: SeenFrom) -> Trace:
    from rnngraph.trace.model import Trace

    if isinstance(source, Trace):
        return source
    from rnngraph.diagnosis.chosen_loss import known_loss
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.sources.tape.record import record

    wanted = known_loss(seen_from)
    return record(source, lags=LagOptions(including=(wanted,) if isinstance(wanted, int) else ()))
