"""PyTorch's: `weight_ih_l0` (gates · H, inputs) and its siblings."""

from __future__ import annotations

import re

from rnngraph.sources.checkpoint.conventions.convention import Arrays, Candidate, Convention
from rnngraph.sources.stack import Stack, torch_stack


def _stack(one: Candidate, values: Arrays, cell: str) -> Stack:
    return torch_stack(one.name, cell, {key + place: value for (key, place), value in values.items()})


TORCH = Convention(
    expected="weight_ih_l0 and weight_hh_l0",
    pattern=re.compile(
        r"^(?P<prefix>.*?)(?P<key>weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?P<place>(_l\d+)?(_reverse)?)$"
    ),
    input="weight_ih", recurrent="weight_hh", biases=("bias_ih", "bias_hh"), projection="weight_hr", gates=0,
    stack=_stack,
)  # fmt: skip
