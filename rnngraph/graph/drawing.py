"""The drawing: shapes and curves with positions, colours and text, ready for any renderer.

Lengths are points (1/72 inch), the origin is at the lower left of the first box and y goes up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from rnngraph.errors import MissingToolError
from rnngraph.graph.geometry import Box, Point
from rnngraph.graph.model import Graph

if TYPE_CHECKING:
    from rnngraph.graph.draw import Options
    from rnngraph.trace.model import Trace

Role = Literal["vertex", "title", "header", "row", "band", "bar", "cell", "number", "legend"]
Form = Literal["box", "rectangle", "ellipse", "text"]
Line = Literal["solid", "dashed", "dotted"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A box, ellipse or text. `subject` is the vertex, or the name of the band, that it belongs to."""

    id: str
    role: Role
    form: Form
    box: Box
    text: str = ""
    fill: str = ""  # "" for none
    stroke: str = ""
    line: Line = "solid"
    thickness: float = 1.0
    ink: str = "#1f2937"
    size: float = 10.0
    bold: bool = False
    align: Literal["left", "middle", "right"] = "middle"
    subject: str = ""
    hint: str = ""  # shown when the pointer rests on it
    column: int = -1


@dataclass(frozen=True, slots=True)
class Curve:
    """An arrow along `3k + 1` Bézier points, from tail to tip."""

    id: str
    kind: Literal["forward", "recurrent", "backward"]
    source: str
    target: str
    points: tuple[Point, ...]
    stroke: str
    thickness: float = 1.0
    line: Line = "solid"
    head: Literal["filled", "hollow"] = "filled"
    text: str = ""
    text_at: Point = (0.0, 0.0)
    ink: str = "#1f2937"
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One picture. In a notebook it shows itself."""

    graph: Graph
    shapes: tuple[Shape, ...]
    curves: tuple[Curve, ...]
    frame: Box  # everything is inside
    # What it was drawn from, for renderers that show more than one picture; None where it was put together by hand.
    trace: Trace | None = field(default=None, repr=False, compare=False)
    options: Options | None = field(default=None, repr=False, compare=False)

    def _repr_mimebundle_(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Give a notebook the interactive page, the picture as SVG for those that show no pages, and a line of text."""
        page = {"text/html": self._repr_html_()} if self.trace is not None else {}
        try:
            return {**page, "image/svg+xml": self._repr_svg_(), "text/plain": repr(self)}
        except MissingToolError as error:
            return {**page, "text/plain": f"{self!r}\n{error}"}

    def _repr_html_(self) -> str:
        """Give a notebook the interactive page in a frame of its own.

        Raises:
            InputError: the drawing was put together by hand and does not hold its trace.
        """
        shown: str = import_module("rnngraph.render.html").frame(self)
        return shown

    def _repr_svg_(self) -> str:
        """Give a notebook the picture as SVG.

        Raises:
            MissingToolError: no Graphviz is installed.
        """
        # The renderers are above this layer; a drawing only meets them when a notebook asks.
        svg: bytes = import_module("rnngraph.render.format").render_bytes(self, "svg")
        return svg.decode()

    def __repr__(self) -> str:
        """Say what the picture shows."""
        return (
            f"<Drawing of {self.graph.title!r}: {self.graph.timesteps} timesteps in {len(self.graph.columns)} columns, "
            f"{len(self.graph.vertices)} vertices, {len(self.graph.edges)} edges>"
        )
