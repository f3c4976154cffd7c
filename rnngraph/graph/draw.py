"""The drawing of a trace: what is drawn is said here, and made once something asks for it.

In come a trace and options, out goes a `Drawing`. A renderer that lays the steps out itself, such as the page, never
pays for a sheet of every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rnngraph.diagnosis.chosen_loss import SeenFrom, known_loss, seen
from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.one_loss import TOTAL, OneLoss
from rnngraph.display import Shown
from rnngraph.errors import InputError
from rnngraph.graph.build.graph import DETAILS, VIEWS, build
from rnngraph.graph.compose import compose
from rnngraph.graph.layout.geometry import Box
from rnngraph.graph.model import Graph
from rnngraph.graph.one_loss.appearance import look
from rnngraph.graph.one_loss.compose import compose as compose_one
from rnngraph.graph.one_loss.walk_rows import axis_length
from rnngraph.graph.sheet import Curve, Shape, Sheet
from rnngraph.graph.sizes import check_theme, check_width
from rnngraph.graph.steps import Steps, parse_steps
from rnngraph.graph.style.palette import COLOURS
from rnngraph.nearest import check_known
from rnngraph.trace.model import Trace


@dataclass(frozen=True, slots=True)
class Options:
    """What is drawn: see `draw`."""

    steps: Steps = None
    detail: str = "step"
    view: str = "unrolled"
    color: str = "grad"
    backward: bool = True
    title: str | None = None
    seen_from: SeenFrom = None
    width: int = 900
    theme: str = "auto"

    @property
    def of_all(self) -> str:
        """Name the first option that only the view of all losses knows, "" where none was chosen."""
        plain = Options()
        names = ("view", "color", "backward")
        return next((name for name in names if getattr(self, name) != getattr(plain, name)), "")


@dataclass(frozen=True, eq=False)
class Drawing(Shown):
    """One picture of a trace. In a notebook it shows itself."""

    trace: Trace
    options: Options = Options()

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, before any work is done.

        Raises:
            InputError: as `draw` says.
        """
        trace, options = self.trace, self.options
        if not isinstance(trace, Trace):
            raise InputError(f"a {type(trace).__name__} cannot be drawn; pass the trace that rnngraph.record returned.")
        if options.title is not None and not isinstance(options.title, str):
            raise InputError(f"the title is {options.title!r}; pass text.")
        known_loss(options.seen_from)
        check_width(options.width)
        check_theme(options.theme)
        if options.seen_from not in (None, TOTAL) and options.of_all:
            name = options.of_all
            raise InputError(
                f"{name} {getattr(options, name)!r} belongs to the sum over all losses: leave it out, or choose that "
                f"view with {TOTAL!r}."
            )
        if options.width != Options().width and (options.seen_from == TOTAL or options.of_all):
            raise InputError(
                f"the width {options.width} belongs to the view from one loss: the sum over all losses is as wide as "
                "its steps; leave it out, or show fewer with steps."
            )
        for name, known in (("color", COLOURS), ("detail", DETAILS), ("view", VIEWS)):
            check_known([getattr(options, name)], known, f"{name} {{}} is unknown; choose")
        if trace.timesteps < 1:
            raise InputError(
                f"the trace of {trace.model or 'this model'!r} has no timesteps, so there is nothing to unroll; "
                "record a loss that went through a recurrent layer."
            )
        parse_steps(options.steps, axis_length(trace) if self.seen is not None else trace.timesteps)

    @cached_property
    def seen(self) -> OneLoss | None:
        """The loss that it is seen from; None where it is the sum over all."""
        if self.options.seen_from is None and self.options.of_all:
            return None
        return seen(self.trace, self.options.seen_from)

    @cached_property
    def graph(self) -> Graph:
        """Rows, columns, vertices and edges, without positions."""
        options = self.options
        if self.seen is not None:
            return look(self.trace, self.seen.timestep, options)
        title = options.title or next(iter(headline_of(self.trace) or ()), None)
        return build(self.trace, options.steps, detail=options.detail, view=options.view, title=title)

    @cached_property
    def sheet(self) -> Sheet:
        """Shapes and curves with positions and colours."""
        if self.graph.seen is not None:
            return compose_one(self.graph)
        options = self.options
        return compose(self.graph, color=options.color, backward=options.backward, theme=options.theme)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The boxes and texts of the sheet."""
        return self.sheet.shapes

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The arrows of the sheet."""
        return self.sheet.curves

    @property
    def frame(self) -> Box:
        """The rectangle that holds everything."""
        return self.sheet.frame

    def __repr__(self) -> str:
        """Say what the picture shows."""
        graph = self.graph
        return (
            f"<Drawing of {graph.title!r}: {graph.timesteps} timesteps in {len(graph.columns)} columns, "
            f"{len(graph.vertices)} vertices, {len(graph.edges)} edges>"
        )


def draw(
    trace: Trace,
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
) -> Drawing:
    """Draw the unrolled graph of a trace, seen from one loss or from all.

    Args:
        trace: what was recorded.
        steps: which timesteps to show, such as `"10:20"`, `"0:3,97:100"` or `"all"`; without it, a long
            sequence keeps its first and last steps and folds the rest.
        detail: `"layer"`, `"step"` or `"op"`; seen from one loss a row a layer, as it is read best, or a row a state.
        view: `"unrolled"`, or `"rolled"` for one step and its loop.
        color: what the colours show: `"grad"`, `"gain"`, `"saturation"` or `"activation"`.
        backward: draw the arrows back in time.
        title: instead of what the picture finds.
        seen_from: `"last"`, the loss whose credit can travel furthest; the timestep of another one; or `"total"`, the
            sum over all losses. By default the last, where the trace holds lags and nothing else is asked for that
            only the sum has: a rolled view, a colour other than `"grad"`, no arrows back.
        width: of a picture that is seen from one loss, in pixels; 390 is set for a phone. The sum over all losses is as
            wide as its steps.
        theme: `"light"`, `"dark"`, or `"auto"`, which in SVG and a page follows the reader's system.

    Raises:
        InputError: an option that is not one of its choices, steps outside the trace, or a trace without any.
    """
    return Drawing(trace, Options(steps, detail, view, color, backward, title, seen_from, width, theme))
