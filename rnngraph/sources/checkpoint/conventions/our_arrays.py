"""Our own: `Wx` (inputs, gates · H), `Wh` and their siblings."""

from __future__ import annotations

import re

from rnngraph.sources.checkpoint.conventions.convention import Convention

OURS = Convention(
    expected="Wx and Wh",
    pattern=re.compile(r"^(?P<prefix>.*?)(?P<key>Wx|Wh|bh|b|Wr)(?P<place>(_l\d+)?(_reverse)?)$"),
    input="Wx", recurrent="Wh", biases=("b", "bh"), projection="Wr", gates=1, layer=lambda one, own, cell: own,
)  # fmt: skip
