"""The cells of libraries under PyTorch's and Keras's names: flax's, equinox's, haiku's, and those of TensorFlow 1.

In: the index of a checkpoint. Out: the same, and what Keras would say of a layer; what is no such cell keeps its name.
Haiku and TensorFlow add 1 to a forget gate as they run, so that it stands in no file (TensorFlow's `forget_bias`, of
which 1 is the default).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.hand_written.parts import beside, grouped, instead, part, turned
from rnngraph.sources.checkpoint.keras import Settings

_Arrays: TypeAlias = dict[str, StoredArray]
_DENSE = re.compile(r"^(?P<prefix>(?:.*[./])?)(?:dense_)?(?P<side>[ih])(?P<gate>[ifgorzn]?)_?[./](?P<key>kernel|bias)$")
_GATES = (("i", "f", "g", "o"), ("r", "z", "n"), ("",))  # in PyTorch's order; a plain cell has one, as have fused gates
_CELL = re.compile(
    r"^(?P<prefix>(?:.*/)?(?P<cell>(?:basic_|vanilla_)?(?:lstm|gru|rnn))(?:_cell)?(?:_\d+)?/)"
    r"(?P<key>linear/w|kernel|w_i|gates/kernel)$"
)


def with_usual_cells(arrays: _Arrays) -> tuple[_Arrays, Settings]:
    """Put such cells under the usual names."""
    return _with_split_kernels(_with_paired_biases(_with_joined_gates(arrays)))


# ---- flax: a dense layer a gate, or one for all
def _with_joined_gates(arrays: _Arrays) -> _Arrays:
    """Take flax's `ii/kernel, hi/kernel, hi/bias`, for each gate, for `weight_ih, weight_hh, bias_hh`."""
    for prefix, group in grouped(arrays, _DENSE).items():
        cell = [one for one in _GATES if all((side, gate, "kernel") in group for side in "ih" for gate in one)]
        for side in "ih" if cell else ():
            kernels = [group[side, gate, "kernel"] for gate in cell[0]]
            found = {f"{prefix}weight_{side}h": turned(beside(kernels, [1] * len(kernels)))}
            biases = [group.get((side, gate, "bias")) for gate in cell[0]]
            known = [one for one in biases if one is not None]
            if known:  # a gate without one has a bias of zeros
                some = [known[0] if one is None else one for one in biases]
                found[f"{prefix}bias_{side}h"] = beside(some, [int(one is not None) for one in biases])
            arrays = instead(arrays, [*kernels, *known], found)
    return arrays


# ---- equinox
def _with_paired_biases(arrays: _Arrays) -> _Arrays:
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


# ---- haiku and TensorFlow 1: most with one weight for input and state
def _with_split_kernels(arrays: _Arrays) -> tuple[_Arrays, Settings]:
    """Put such cells under the usual names; haiku's plain cell is a ReLU."""
    found, settings = dict(arrays), {}
    for name in arrays:
        match = _CELL.match(name)
        if match is not None and match["prefix"] + "recurrent_kernel" not in arrays:
            prefix, key = match["prefix"], match["key"]
            own = {one.removeprefix(prefix): array for one, array in arrays.items() if one.startswith(prefix)}
            layer = dict(_layer(key, own, 4 if "lstm" in match["cell"] else 1))
            if layer:
                found = instead(found, own.values(), {prefix + one: array for one, array in layer.items()})
            if "weight_hh" in layer:
                settings[prefix.split("/")[-2]] = {"activation": "relu"}
    return found, settings


def _layer(key: str, own: _Arrays, gates: int) -> Iterator[tuple[str, StoredArray]]:
    """Yield the arrays of a layer; none where they are not all there, or do not fit together."""
    if key == "w_i" and _fit(own, 3, w_i="b", w_h="b"):  # haiku's GRU: z, r and a, of which z weighs the new state
        for one, usual in (("w_i", "kernel"), ("w_h", "recurrent_kernel"), ("b", "bias")):
            yield usual, beside(_gates(own[one], 3), [-1, 1, 1])
    elif "linear_1/w" in own:  # haiku's plain cell
        if _fit(own, 1, **{"linear/w": "linear/b", "linear_1/w": "linear/b"}):
            for side, at in (("ih", "linear"), ("hh", "linear_1")):
                yield f"weight_{side}", turned(own[f"{at}/w"])
                if f"{at}/b" in own:  # of the state there is none with double_bias=False
                    yield f"bias_{side}", own[f"{at}/b"]
    elif key == "gates/kernel" and _fit(own, 1, **{"candidate/kernel": "candidate/bias"}):
        new = own["candidate/kernel"]  # TensorFlow's GRU: r and u, and the candidate
        rows, units = new.shape
        if _fit(own, 2, **{key: "gates/bias"}) and own[key].shape == (rows, 2 * units) and units < rows:
            (r, u), (r_bias, u_bias) = _gates(own[key], 2), _gates(own["gates/bias"], 2)
            yield from _split([u, r, new])
            yield "bias", beside([u_bias, r_bias, own["candidate/bias"]], [1, 1, 1])
    elif key in ("kernel", "linear/w"):  # an LSTM of either: i, g, f and o; TensorFlow's plain cell has one
        bias = "bias" if key == "kernel" else "linear/b"
        if _fit(own, gates, **{key: bias}) and own[bias].shape[0] < gates * own[key].shape[0]:
            kernels, biases = _gates(own[key], gates), _gates(own[bias], gates)
            if gates == 4:
                biases[2] = _with_one(biases[2])
            order = (0, 2, 1, 3)[:gates]
            yield from _split([kernels[k] for k in order])
            yield "bias", beside([biases[k] for k in order], [1] * gates)


def _fit(own: _Arrays, gates: int, **biases: str) -> bool:
    """Whether some matrices are there, each with a bias of its width, which so many gates divide."""
    return all(
        {weight, bias} <= own.keys()
        and own[weight].shape[1:] == own[bias].shape
        and len(own[bias].shape) == 1
        and own[bias].shape[0] % gates == 0
        for weight, bias in biases.items()
    )


def _split(kernels: list[StoredArray]) -> Iterator[tuple[str, StoredArray]]:
    """Cut kernels of input and state, a gate each, which stand in this order."""
    rows, units = kernels[0].shape
    for usual, low, high in (("kernel", 0, rows - units), ("recurrent_kernel", rows - units, rows)):
        yield usual, beside([part(one, 0, low, high) for one in kernels], [1] * len(kernels))


def _gates(array: StoredArray, count: int) -> list[StoredArray]:
    size = array.shape[-1] // count
    return [part(array, len(array.shape) - 1, k * size, (k + 1) * size) for k in range(count)]


def _with_one(bias: StoredArray) -> StoredArray:
    return replace(bias, reader=lambda: bias.read() + 1)
