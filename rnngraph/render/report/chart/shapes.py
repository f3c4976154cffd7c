"""What a chart is made of: boxes, lines and texts in pixels, y downwards.

Its ways out are `svg` and `dot`, which draw the same shapes, and `document`, which makes a file of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from rnngraph.graph.style.palette import INK, PAPER


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; `title` is shown when the pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Straight pieces from point to point; `title` is shown when the pointer rests on it."""

    points: tuple[tuple[float, float], ...]
    stroke: str = INK
    width: float = 1.0
    dashed: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A text on its baseline; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 12
    anchor: str = "start"
    fill: str = INK
    bold: bool = False


Shape: TypeAlias = Box | Line | Label


@dataclass(frozen=True, slots=True)
class Chart:
    """Shapes on a sheet, from the lowest to the uppermost."""

    title: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    dark: Mapping[str, str] = field(default_factory=dict)  # what colours become where a reader asks for a dark page
    paper: str = PAPER
