"""One scene of the page: the columns that a picture is repeated from, and the arrows between neighbours.

In come prototypes, out goes a dictionary. x is measured from the left side of a column (of an arrow between two
columns: from that of the right one), y from the top of the picture and downwards.
"""

from __future__ import annotations

from typing import Any

from rnngraph.graph.drawing import Curve, Shape
from rnngraph.graph.furniture import CELL, STRIP
from rnngraph.graph.geometry import Point
from rnngraph.graph.model import Vertex
from rnngraph.render.page.prototype import Prototype
from rnngraph.trace.model import Trace

KINDS = {"forward": "f", "recurrent": "r", "backward": "b"}


def scene(trace: Trace, prototypes: list[Prototype]) -> dict[str, Any]:
    """Return the columns by kind, the arrows by pair of kinds, and the rows and bands around them."""
    columns: dict[str, Any] = {}
    pairs: dict[str, Any] = {}
    for prototype in prototypes:
        found = _Found(trace, prototype)
        for number, kind in enumerate(prototype.kinds):
            if kind not in columns:
                columns[kind] = found.column(number)
            if number and f"{prototype.kinds[number - 1]} {kind}" not in pairs:
                pairs[f"{prototype.kinds[number - 1]} {kind}"] = found.pair(number)
    first = prototypes[0]
    top = first.grid.rows[-1].stop
    return {
        "height": round(top - first.grid.rows[0].start, 2),
        "rows": [
            {"name": row.name, "kind": row.kind, "layer": row.layer, "direction": row.direction,
             "top": _round(top - span.stop), "bottom": _round(top - span.start)}
            for row, span in zip(first.drawing.graph.rows, first.grid.rows, strict=True)
        ],
        "columns": columns,
        "pairs": pairs,
        **_bands(first, top),
    }  # fmt: skip


class _Found:
    """Reads columns and neighbours out of one prototype."""

    def __init__(self, trace: Trace, prototype: Prototype) -> None:
        self.prototype = prototype
        self.states = {state.name: number for number, state in enumerate(trace.states)}
        self.top = prototype.grid.rows[-1].stop
        self.shapes = {shape.id: shape for shape in prototype.drawing.shapes if shape.role == "vertex"}
        self.curves = {curve.id: curve for curve in prototype.drawing.curves}
        self.vertices = {vertex.id: vertex for vertex in prototype.drawing.graph.vertices}
        self.inside: dict[int, list[Vertex]] = {}
        for vertex in self.vertices.values():
            self.inside.setdefault(vertex.column, []).append(vertex)

    def column(self, number: int) -> dict[str, Any]:
        span = self.prototype.grid.columns[number]
        return {
            "width": _round(span.size),
            "vertices": [self._vertex(vertex, span.start) for vertex in self.inside.get(number, [])],
            "edges": self._edges(number, number),
            "step": self.prototype.drawing.graph.columns[number].first,
        }

    def pair(self, number: int) -> dict[str, Any]:
        before, here = self.prototype.grid.columns[number - 1], self.prototype.grid.columns[number]
        return {"gap": _round(here.start - before.stop), "edges": self._edges(number - 1, number)}

    def _vertex(self, vertex: Vertex, start: float) -> dict[str, Any]:
        shape: Shape = self.shapes[vertex.id]
        box = shape.box
        lines = shape.text.split("\n")[: 1 if vertex.kind == "layer" else len(vertex.label.split("\n"))]
        return {
            "key": key(vertex),
            "kind": vertex.kind,
            "label": "\n".join(lines).replace(f"× {_count(self, vertex)} steps", "× {n} steps"),
            "row": vertex.row,
            "state": self.states.get(vertex.state, -1),
            "x": _round(box.left - start),
            "y": _round(self.top - box.top),
            "width": _round(box.width),
            "height": _round(box.height),
            "size": shape.size,
            "note": "" if vertex.state else vertex.note,
            "nodes": list(vertex.nodes),  # of the prototype's own step; the page's data replace them
        }

    def _edges(self, before: int, here: int) -> list[dict[str, Any]]:
        graph, start = self.prototype.drawing.graph, self.prototype.grid.columns[here].start
        found = []
        for edge in graph.edges:
            one, other = self.vertices[edge.source], self.vertices[edge.target]
            if {one.column, other.column} != {before, here}:
                continue
            curve: Curve = self.curves[edge.id]
            found.append({
                "kind": KINDS[edge.kind],
                "state": self.states.get(edge.state, -1),
                "from": [int(one.column == here and before != here), key(one)],
                "to": [int(other.column == here and before != here), key(other)],
                "points": [_round(n) for point in curve.points for n in self._point(point, start)],
                "text": [_round(n) for n in self._point(curve.text_at, start)] if edge.kind == "backward" else None,
            })  # fmt: skip
        return found

    def _point(self, point: Point, start: float) -> Point:
        return point[0] - start, self.top - point[1]


def key(vertex: Vertex) -> str:
    """Name a vertex so that its counterpart in every other column has the same name."""
    return vertex.id.removeprefix(f"n{vertex.column}").removeprefix("_")


def _count(found: _Found, vertex: Vertex) -> int:
    return found.prototype.drawing.graph.columns[vertex.column].count


def _bands(prototype: Prototype, top: float) -> dict[str, Any]:
    graph, shapes = prototype.drawing.graph, {shape.id: shape for shape in prototype.drawing.shapes}
    bands: list[dict[str, Any]] = []
    for number, band in enumerate(graph.bands):
        box, high = shapes[f"b{number}"].box, STRIP if band.kind == "gradient" else CELL
        caption = shapes.get(f"caption{number}")
        bands.append({
            "name": band.name, "kind": band.kind, "note": band.note,
            "y": _round(top - box.y - high / 2), "height": high,
            "caption": {"text": caption.text, "y": _round(top - caption.box.y)} if caption else None,
        })  # fmt: skip
    return {"bands": bands, "bottom": max([band["y"] + band["height"] for band in bands], default=0.0) + 12}


def _round(value: float) -> float:
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
