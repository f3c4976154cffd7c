"""The unrolled graph as a picture: build, fold, lay out, style. In comes a trace, out goes a `Drawing`."""

from __future__ import annotations

from rnngraph.graph.draw import draw
from rnngraph.graph.drawing import Curve, Drawing, Shape
from rnngraph.graph.model import Band, Column, Edge, Graph, Row, Vertex

__all__ = ["Band", "Column", "Curve", "Drawing", "Edge", "Graph", "Row", "Shape", "Vertex", "draw"]
