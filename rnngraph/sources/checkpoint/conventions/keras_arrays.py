"""Keras's: `kernel` (inputs, gates · H), `recurrent_kernel`, or `vars/0` and `vars/1`; a direction is a layer below."""

from __future__ import annotations

import re

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.nn.cells import CELLS
from rnngraph.sources.checkpoint.conventions.convention import Candidate, Convention
from rnngraph.sources.stack import Weights, reordered

_SIDE = re.compile(r"^(?P<layer>.*?)/?(?P<side>forward|backward)_[^/]*(?P<rest>/.*)?$")
_NO_NAMES = ("cell", "layers", "model_weights", "vars")  # parts of a path that name no layer


def _split(prefix: str) -> tuple[str, str]:
    """Take the direction out of the path of a layer that runs in both."""
    match = _SIDE.match(prefix)
    if match is None:
        return prefix, ""
    return match["layer"] + "/", "_l0" if match["side"] == "forward" else "_l0_reverse"


def _name(prefix: str) -> str:
    parts = [part for part in prefix.rstrip("./_").split("/") if part not in _NO_NAMES and not part.endswith("_cell")]
    return "/".join(dict.fromkeys(parts))  # Keras 2 writes a layer's name twice


def _layer(one: Candidate, own: dict[str, Array], cell: str) -> Weights:
    """Put the gates in our order: an LSTM's lie as i, f, c, o and a GRU's as z, r, h."""
    order, gates = CELLS[cell].gate_order.get("keras"), "".join(CELLS[cell].facts.gates)

    def ours(array: Array) -> Array:
        return array if order is None else reordered(array, order, gates)

    bias = own.get("bias")
    wx, wh = ours(own["kernel"]), ours(own["recurrent_kernel"])
    if bias is None:
        return {"Wx": wx, "Wh": wh}
    if bias.ndim == 2:  # a GRU with reset_after: one bias a product
        if len(bias) != 2 or "bh" not in CELLS[cell].names:
            raise InputError(f"the bias of {one.name} has shape {bias.shape}; a {cell} has {(wx.shape[1],)}.")
        return {"Wx": wx, "Wh": wh, "b": ours(bias[0]), "bh": ours(bias[1])}
    return {"Wx": wx, "Wh": wh, "b": ours(bias)}


KERAS = Convention(
    expected="kernel and recurrent_kernel",
    pattern=re.compile(r"^(?P<prefix>.*?)(?P<key>recurrent_kernel|kernel|bias|vars/[012])(?P<place>)(:0)?$"),
    input="kernel", recurrent="recurrent_kernel", biases=("bias",), gates=1, layer=_layer,
    aliases={"vars/0": "kernel", "vars/1": "recurrent_kernel", "vars/2": "bias"},
    distinct=False, paired_bias=True, split=_split, name_of=_name,
)  # fmt: skip
