"""The scenes of the page: the columns that a picture is repeated from, and the arrows between neighbours.

In come a trace and its groups of alike steps, out go dictionaries. x is measured from the left side of a column (of an
arrow between two columns: from that of the right one), y from the top of the picture and downwards.
"""

from __future__ import annotations

import re
from typing import Any

from rnngraph.graph.layout.geometry import Point
from rnngraph.graph.model import Vertex
from rnngraph.graph.style.bands import BAR_STRIP, WEIGHT_LINE
from rnngraph.render.page.number_lists import Atoms
from rnngraph.render.page.prototype import Groups, Prototype, rolled, unrolled
from rnngraph.render.page.recorded_nodes import fill_nodes
from rnngraph.trace.model import Trace


def scenes(trace: Trace, groups: Groups, atoms: Atoms) -> dict[str, Any]:
    """Return the scenes "step" and "op" (where it differs), both also "rolled", and "layer"."""
    found = {
        "step": _scene(trace, unrolled(trace, "step", groups)),
        "step rolled": _scene(trace, rolled(trace, "step")),
        "layer": _scene(trace, rolled(trace, "layer")),
    }
    fine = _scene(trace, unrolled(trace, "op", groups))
    if _keys(fine) != _keys(found["step"]):
        found |= {"op": fine, "op rolled": _scene(trace, rolled(trace, "op"))}
    for one in found.values():
        fill_nodes(trace, groups, atoms, one)
    return found


def _keys(scene: dict[str, Any]) -> list[list[str]]:
    return [[vertex["key"] for vertex in column["vertices"]] for column in scene["columns"].values()]


def _scene(trace: Trace, prototypes: list[Prototype]) -> dict[str, Any]:
    """Return the columns by kind, the arrows by two neighbours' kinds, and the rows and bands around them."""
    columns: dict[str, Any] = {}
    pairs: dict[str, Any] = {}
    for prototype in prototypes:
        found = _Found(trace, prototype)
        for number, kind in enumerate(prototype.kinds):
            if kind not in columns:
                columns[kind] = found.column(number)
            if number and f"{prototype.kinds[number - 1]} {kind}" not in pairs:
                pairs[f"{prototype.kinds[number - 1]} {kind}"] = found.neighbours(number)
    graph, grid = prototypes[0].graph, prototypes[0].sheet.grid
    top = grid.rows[-1].start
    return {
        "height": round(grid.rows[0].stop - top, 2),
        "rows": [
            {"name": row.name, "kind": row.kind, "layer": row.layer, "direction": row.direction,
             "top": _round(span.start - top), "bottom": _round(span.stop - top)}
            for row, span in zip(graph.rows, grid.rows, strict=True)
        ],
        "columns": columns,
        "pairs": pairs,
        **_bands(prototypes[0], top),
    }  # fmt: skip


class _Found:
    """Reads columns and neighbours out of one prototype."""

    def __init__(self, trace: Trace, prototype: Prototype) -> None:
        self.graph, self.sheet = prototype.graph, prototype.sheet
        self.states = {state.name: number for number, state in enumerate(trace.states)}
        self.gates = {gate.name: number for number, gate in enumerate(trace.gates)}
        self.top = self.sheet.grid.rows[-1].start
        self.shapes = {shape.id: shape for shape in self.sheet.shapes if shape.role == "vertex"}
        self.curves = {curve.id: curve for curve in self.sheet.curves}
        self.vertices = {vertex.id: vertex for vertex in self.graph.vertices}

    def column(self, number: int) -> dict[str, Any]:
        span = self.sheet.grid.columns[number]
        inside = [vertex for vertex in self.graph.vertices if vertex.column == number]
        return {
            "width": _round(span.size),
            "vertices": [self._vertex(vertex, span.start) for vertex in inside],
            "edges": self._edges(number, number),
            "step": self.graph.columns[number].first,
        }

    def neighbours(self, number: int) -> dict[str, Any]:
        before, here = self.sheet.grid.columns[number - 1], self.sheet.grid.columns[number]
        return {"gap": _round(here.start - before.stop), "edges": self._edges(number - 1, number)}

    def _vertex(self, vertex: Vertex, start: float) -> dict[str, Any]:
        shape = self.shapes[vertex.id]
        box = shape.box
        lines = shape.text.split("\n")[: 1 if vertex.kind == "layer" else len(vertex.label.split("\n"))]
        label = "\n".join(lines)
        return {
            "key": _key(vertex),
            "kind": vertex.kind,
            "label": re.sub(r"× \d+ steps", "× {n} steps", label) if vertex.kind == "layer" else label,
            "formula": vertex.formula,
            "row": vertex.row,
            "state": self.states.get(vertex.state, -1),
            "gates": [self.gates[name] for name in vertex.gates],
            "x": _round(box.left - start),
            "y": _round(box.top - self.top),
            "width": _round(box.width),
            "height": _round(box.height),
            "size": shape.size,
            "note": "" if vertex.state else vertex.note,
            "nodes": list(vertex.nodes),  # of the prototype's own step; `fill_nodes` replaces them
        }

    def _edges(self, before: int, here: int) -> list[dict[str, Any]]:
        start = self.sheet.grid.columns[here].start
        found = []
        for edge in self.graph.edges:
            one, other = self.vertices[edge.source], self.vertices[edge.target]
            if {one.column, other.column} != {before, here}:
                continue
            curve = self.curves[edge.id]
            found.append({
                "kind": edge.kind[0],  # f, r or b
                "state": self.states.get(edge.state, -1),
                "from": [int(one.column == here and before != here), _key(one)],
                "to": [int(other.column == here and before != here), _key(other)],
                "points": [_round(n) for point in curve.points for n in self._point(point, start)],
                "text": [_round(n) for n in self._point(curve.text_at, start)] if edge.kind == "backward" else None,
            })  # fmt: skip
        return found

    def _point(self, point: Point, start: float) -> Point:
        return point[0] - start, point[1] - self.top


def _key(vertex: Vertex) -> str:
    """Name a vertex so that its counterpart in every other column has the same name."""
    return vertex.id.removeprefix(f"n{vertex.column}").removeprefix("_")


def _bands(prototype: Prototype, top: float) -> dict[str, Any]:
    shapes = {shape.id: shape for shape in prototype.sheet.shapes}
    bands: list[dict[str, Any]] = []
    for number, band in enumerate(prototype.graph.bands):
        box, high = shapes[f"b{number}"].box, BAR_STRIP if band.kind == "gradient" else WEIGHT_LINE
        caption = shapes.get(f"caption{number}")
        bands.append({
            "name": band.name, "kind": band.kind, "note": band.note,
            "y": _round(box.y - high / 2 - top), "height": high,
            "caption": {"text": caption.text, "y": _round(caption.box.y - top)} if caption else None,
        })  # fmt: skip
    return {"bands": bands, "bottom": max([band["y"] + band["height"] for band in bands], default=0.0) + 12}


def _round(value: float) -> float:
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
