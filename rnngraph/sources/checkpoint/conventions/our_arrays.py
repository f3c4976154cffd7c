"""Our own: `Wx` (inputs, gates · H), `Wh` and their siblings."""

from __future__ import annotations

import re

from rnngraph.nn.cells import form
from rnngraph.sources.checkpoint.conventions.convention import Arrays, Candidate, Convention
from rnngraph.sources.checkpoint.conventions.places import stacked
from rnngraph.sources.stack import Stack


def _stack(one: Candidate, values: Arrays, cell: str) -> Stack:
    if any(key == "Wr" for key, _ in values):
        cell = form(cell, having="Wr")
    return stacked(one, values, cell, lambda own: own)


OURS = Convention(
    expected="Wx and Wh",
    pattern=re.compile(r"^(?P<prefix>.*?)(?P<key>Wx|Wh|bh|b|Wr)(?P<place>(_l\d+)?(_reverse)?)$"),
    input="Wx", recurrent="Wh", biases=("b", "bh"), projection="Wr", gates=1, stack=_stack,
)  # fmt: skip
