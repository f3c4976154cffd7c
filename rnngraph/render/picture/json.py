"""Write a drawing as JSON: rows, columns, vertices, edges and bands with positions and magnitudes, for other programs.

Numbers that are not known are null, and every magnitude says its status. Positions are pixels; y goes up.
"""

from __future__ import annotations

import json as library
from dataclasses import asdict
from typing import Any

from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.geometry import Box
from rnngraph.graph.model import Band, Column, Edge, Graph, Vertex
from rnngraph.graph.summary import Summary
from rnngraph.render.strict import picked, plain

SCHEMA = 1
MOST_DECADES = 308  # of a float


def json(drawing: Drawing) -> str:
    """Return the drawing as JSON text, one line a vertex, edge and band."""
    return (
        "{\n"
        + ",\n".join(f"{library.dumps(key)}: {_text(value)}" for key, value in document(drawing).items())
        + "\n}\n"
    )


def document(drawing: Drawing) -> dict[str, Any]:
    """Return the drawing as plain dictionaries, lists, numbers and text."""
    graph = drawing.graph
    shapes = {shape.id: shape for shape in drawing.shapes if shape.role == "vertex"}
    curves = {curve.id: curve for curve in drawing.curves}
    found: dict[str, Any] = plain({
        "schema": SCHEMA,
        **picked(graph, "title", "subtitle", "timesteps", "batch"),
        "seen_from": _seen_from(graph),
        "frame": _frame(drawing.frame),
        "columns": [_column(column) for column in graph.columns],
        "rows": [asdict(row) for row in graph.rows],
        "vertices": [_vertex(vertex, shapes[vertex.id].box) for vertex in graph.vertices if vertex.id in shapes],
        "edges": [_edge(edge, curves[edge.id].points) for edge in graph.edges if edge.id in curves],
        "bands": [_band(band) for band in graph.bands],
    })  # fmt: skip
    return found


def _seen_from(graph: Graph) -> dict[str, Any] | None:
    """Return the loss that the picture is seen from with its marks, None for the sum over all losses."""
    seen = graph.seen
    if seen is None:
        return None
    return {
        **picked(seen, "timestep", "samples"),
        "why": seen.why,
        "note": seen.small,
        "marks": [
            {
                "text": mark.text,
                "direction": mark.way,
                "rows": [{"row": len(seen.rows) - row, "edge": edge} for row, edge in mark.edges],
            }
            for mark in seen.marks
        ],
        "segments": [{"name": one.name or None, **picked(one, "start", "timesteps")} for one in seen.segments],
    }


def share(decades: float | None) -> dict[str, Any] | None:
    """Return what is left of the loss as `value`, which a float may be too small for, and `log10`."""
    if decades is None:
        return None
    return {"value": 10**decades if decades < MOST_DECADES else None, "log10": decades}


def magnitude(found: Summary | None) -> dict[str, Any] | None:
    """Return a summary as `value` (the largest), `log10`, `low`, and `status`."""
    if found is None:
        return None
    return {"value": found.high, **picked(found, "log10", "low"), "status": found.status.name.lower()}


def _frame(box: Box) -> dict[str, float]:
    corner = {"left": _round(box.left), "bottom": _round(-box.bottom)}
    return corner | {"width": _round(box.width), "height": _round(box.height)}


def _column(column: Column) -> dict[str, Any]:
    return {
        **picked(column, "kind", "ranges", "count", "label"),
        "valid": column.valid if column.valid >= 0 else None,
        "segment": column.segment,
    }


def _vertex(vertex: Vertex, box: Box) -> dict[str, Any]:
    return {
        **picked(vertex, "id", "kind", "label"),
        "row": vertex.row if vertex.row >= 0 else None,
        **picked(vertex, "column", "nodes"),
        "state": vertex.state or None,
        "x": _round(box.x),
        "y": _round(-box.y),
        "width": _round(box.width),
        "height": _round(box.height),
        **{name: magnitude(one) for name, one in picked(vertex, "grad", "saturated", "activation").items()},
        "first_nonfinite": vertex.first_nonfinite,
        "mark": vertex.mark or None,
        "share": share(vertex.share),
    }


def _edge(edge: Edge, points: tuple[tuple[float, float], ...]) -> dict[str, Any]:
    return {
        **picked(edge, "id", "kind", "source", "target"),
        "state": edge.state or None,
        "carried": magnitude(edge.carried),
        "gain": magnitude(edge.gain),
        "share": share(edge.share),
        "label": edge.label or None,
        "cut": edge.cut,
        "unreached": edge.unreached or None,
        "points": [[_round(x), _round(-y)] for x, y in points],
    }


def _band(band: Band) -> dict[str, Any]:
    return {
        **picked(band, "name", "kind"),
        "total": magnitude(band.total),
        "cells": [magnitude(one) for one in band.summaries],
    }


def _text(value: Any) -> str:
    if isinstance(value, list) and value:
        return (
            "[\n  " + ",\n  ".join(library.dumps(item, ensure_ascii=False, allow_nan=False) for item in value) + "\n]"
        )
    return library.dumps(value, ensure_ascii=False, allow_nan=False)


def _round(value: float) -> float:
    return round(value, 2)
