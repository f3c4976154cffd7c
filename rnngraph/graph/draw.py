"""The drawing of a trace: what is drawn is said here, and made once something asks for it.

In come a trace and options, out goes a `Drawing`. A renderer that lays the steps out itself, such as the page, never
pays for a sheet of every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rnngraph.errors import InputError
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.graph.layout.geometry import Box
    from rnngraph.graph.model import Graph
    from rnngraph.graph.sheet import Curve, Shape, Sheet
    from rnngraph.graph.steps import Steps


@dataclass(frozen=True, slots=True)
class Options:
    """What is drawn: see `draw`."""

    steps: Steps = None
    detail: str = "step"
    view: str = "unrolled"
    color: str = "grad"
    backward: bool = True
    title: str | None = None


@dataclass(frozen=True, eq=False)
class Drawing:
    """One picture of a trace. In a notebook it shows itself."""

    trace: Trace
    options: Options = Options()

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, before any work is done.

        Raises:
            InputError: as `draw` says.
        """
        from rnngraph.graph.build.graph import check_build
        from rnngraph.graph.style.scales import check_color

        trace, options = self.trace, self.options
        if not isinstance(trace, Trace):
            raise InputError(f"a {type(trace).__name__} cannot be drawn; pass the trace that rnngraph.record returned.")
        if options.title is not None and not isinstance(options.title, str):
            raise InputError(f"the title is {options.title!r}; pass text.")
        check_build(trace, options.steps, options.detail, options.view)
        check_color(options.color)

    @cached_property
    def graph(self) -> Graph:
        """Rows, columns, vertices and edges, without positions."""
        from rnngraph.graph.build.graph import build

        options = self.options
        return build(self.trace, options.steps, detail=options.detail, view=options.view, title=options.title)

    @cached_property
    def sheet(self) -> Sheet:
        """Shapes and curves with positions and colours."""
        from rnngraph.graph.compose import compose

        return compose(self.graph, color=self.options.color, backward=self.options.backward)

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
) -> Drawing:
    """Draw the unrolled graph of a trace.

    Args:
        trace: what was recorded.
        steps: which timesteps to show, such as `"10:20"`, `"0:3,97:100"` or `"all"`; without it, a long
            sequence keeps its first and last steps and folds the rest.
        detail: `"layer"`, `"step"` or `"op"`.
        view: `"unrolled"`, or `"rolled"` for one step and its loop.
        color: what the colours show: `"grad"`, `"gain"`, `"saturation"` or `"activation"`.
        backward: draw the arrows back in time.
        title: instead of the model's description.

    Raises:
        InputError: an option that is not one of its choices, steps outside the trace, or a trace without any.
    """
    return Drawing(trace, Options(steps, detail, view, color, backward, title))
