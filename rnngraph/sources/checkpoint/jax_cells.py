"""The cells of JAX's libraries under PyTorch's names: flax's, of a dense layer a gate or for all, and equinox's biases.

In: the index of a checkpoint. Out: the same; what is no such cell keeps its name.
"""

from __future__ import annotations

import re

from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.hand_written.parts import beside, turned

_DENSE = re.compile(r"^(?P<prefix>(?:.*[./])?)(?:dense_)?(?P<side>[ih])(?P<gate>[ifgorzn]?)_?[./](?P<key>kernel|bias)$")
_GATES = (("i", "f", "g", "o"), ("r", "z", "n"), ("",))  # in PyTorch's order; a plain cell has one, as have fused gates


def with_torch_names(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Put such cells under PyTorch's names."""
    return _with_paired_biases(_with_joined_gates(arrays))


def _with_joined_gates(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Take flax's `ii/kernel, hi/kernel, hi/bias`, for each gate, for `weight_ih, weight_hh, bias_hh`."""
    groups: dict[str, dict[tuple[str, str, str], StoredArray]] = {}
    for name, array in arrays.items():
        match = _DENSE.match(name)
        if match is not None:
            groups.setdefault(match["prefix"], {})[match["key"], match["side"], match["gate"]] = array
    found = dict(arrays)
    for prefix, group in groups.items():
        cell = [one for one in _GATES if all(("kernel", side, gate) in group for side in "ih" for gate in one)]
        for side in "ih" if cell else ():
            kernels = [group["kernel", side, gate] for gate in cell[0]]
            found[f"{prefix}weight_{side}h"] = turned(beside(kernels, [1] * len(kernels)))
            biases = [group.get(("bias", side, gate)) for gate in cell[0]]
            known = [one for one in biases if one is not None]
            if known:  # a gate without one has a bias of zeros
                some = [known[0] if one is None else one for one in biases]
                found[f"{prefix}bias_{side}h"] = beside(some, [int(one is not None) for one in biases])
            taken = {id(one) for one in (*kernels, *known)}
            found = {name: one for name, one in found.items() if id(one) not in taken}
    return found


def _with_paired_biases(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Take equinox's `bias` beside `weight_hh` for `bias_ih`, and its `bias_n` for the last third of `bias_hh`."""
    found = dict(arrays)
    for name in arrays:
        prefix = name.removesuffix("weight_hh")
        if prefix == name or prefix + "bias_ih" in arrays:
            continue
        for own, usual in (("bias", "bias_ih"), ("bias_n", "bias_hh")):
            bias = found.pop(prefix + own, None)
            if bias is not None:
                found[prefix + usual] = beside([bias] * 3, (0, 0, 1)) if own == "bias_n" else bias
    return found
