"""The colour scales of the page: their ends, chosen as the picture's are, and their stops on light and on dark."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnngraph.graph.model import Graph
from rnngraph.graph.style.left import EXPLODED, GROWN, GROWTH, LEFT, MARK, RAMP, floor_of
from rnngraph.graph.style.palette import BALANCE, VIRIDIS
from rnngraph.graph.style.scales import choose_style
from rnngraph.trace.model import Trace


def left(dtype: str) -> dict[str, Any]:
    """Return the scale of what is left of a loss, as `graph/style/left.py` has it."""
    return {
        "floor": floor_of(dtype), "mark": MARK, "growth": GROWTH, "exploded": EXPLODED,
        "ramp": [most if math.isfinite(most) else None for most, _, _ in RAMP],
        "inks": {tone.name: tone.text for tone in (*LEFT, *GROWN)},
    }  # fmt: skip


def scales(graph: Graph, trace: Trace) -> dict[str, Any]:
    """Return the ends of every scale, over all steps of the trace, and the colours."""
    style = choose_style(graph)
    gains = np.concatenate([state.gain for state in trace.states])
    gains = gains[np.isfinite(gains) & (gains > 0)]
    reach = float(max(math.log10(2), np.abs(np.log10(gains)).max(initial=0.0)))
    used = np.concatenate([state.activation for state in trace.states])
    largest = float(used[np.isfinite(used)].max(initial=0.0)) or 1.0
    return {
        "arrows": [style.arrows.low, style.arrows.high],
        "bars": [style.bars.low, style.bars.high],
        "weights": [style.weights.low, style.weights.high],
        "gain": [round(-reach, 5), round(reach, 5)],
        "activation": [0, float(f"{largest:.5g}")],
        "stops": {
            f"{theme}{name}": [stop[place] for stop in stops]
            for name, stops in (("", VIRIDIS), ("Balance", BALANCE))
            for place, theme in ((1, "light"), (2, "dark"))
        },
    }
