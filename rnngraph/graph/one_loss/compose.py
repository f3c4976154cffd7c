"""From a graph that is seen from one loss to a sheet."""

from __future__ import annotations

from typing import cast

import numpy as np

from rnngraph.graph.layout.geometry import Box
from rnngraph.graph.model import Graph
from rnngraph.graph.one_loss.around import flags, row_names
from rnngraph.graph.one_loss.arrows import curves
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.one_loss.boxes import folds, headers, vertices
from rnngraph.graph.one_loss.layout import lay_out
from rnngraph.graph.one_loss.under import Under
from rnngraph.graph.sheet import Sheet, Theme


def compose(graph: Graph) -> Sheet:
    """Place and colour everything."""
    layout = lay_out(graph)
    seen = layout.seen
    axis = axis_of(np.concatenate([row.left for row in seen.rows]), seen.floor)
    under = Under(layout, axis, layout.rule)
    under.draw()
    shapes = (
        *layout.head[0], *folds(layout, axis), *row_names(layout), *vertices(layout), *headers(layout), *under.shapes,
        *flags(layout),
    )  # fmt: skip
    high = under.y + layout.sizes.margin / 2
    frame = Box(layout.width / 2, -high / 2, layout.width, high)
    theme = cast(Theme, seen.theme)
    description = " ".join(text for text in (seen.why, seen.small) if text)
    return Sheet(
        shapes, (*under.curves, *curves(layout, axis)), frame, title=graph.title, description=description, unit="px",
        theme=theme,
    )  # fmt: skip
