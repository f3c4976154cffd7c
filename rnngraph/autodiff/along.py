"""More primitive operations, along axes: extremes, running sums, products named by letters, and parts put together.

See `ops` for the contract; axes are counted from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array, Contribution, Outer, stays_in_place
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.ops import lead_of
from rnngraph.errors import InputError


def _extreme(name: str, rule: Any, formula: str) -> Op:
    def forward(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        return np.asarray(rule(x, axis=axis, keepdims=keepdims))

    return Op(name, name, forward, _extreme_vjp, formula, "move")


def _extreme_vjp(g: Array, node: Node) -> tuple[Array]:
    (x,) = node.arguments
    axis, best = node.options["axis"], node.value
    if not node.options["keepdims"]:
        best, g = np.expand_dims(best, axis), np.expand_dims(g, axis)
    hit = x == best
    share = hit / hit.sum(axis=axis, keepdims=True, dtype=g.dtype)
    return (g * share,)


MAX = _extreme("max", np.max, "y = the largest of a;  equal ones share the gradient")
MIN = _extreme("min", np.min, "y = the smallest of a;  equal ones share the gradient")


def _cumsum_vjp(g: Array, node: Node) -> tuple[Array]:
    axis = node.options["axis"]
    return (np.flip(np.cumsum(np.flip(g, axis), axis), axis),)


CUMSUM = Op("cumsum", "cumsum", lambda x, *, axis: np.cumsum(x, axis=axis), _cumsum_vjp, "y = a running sum of a")


def _dot(a: Array, b: Array) -> Array:
    try:
        return np.asarray(np.dot(a, b))
    except ValueError:
        raise InputError(f"dot of shapes {a.shape} and {b.shape}, which do not agree.") from None


def _dot_vjp(g: Array, node: Node) -> tuple[Contribution, Contribution]:
    a, b = node.arguments
    if a.ndim == b.ndim == 1:
        return g[..., None] * b, g[..., None] * a
    if a.ndim == 1:
        return g @ b.T, Outer(a[None], g[..., None, :])
    return Outer(g[..., None, :], b[None]), g @ a


DOT = Op("dot", "·", _dot, _dot_vjp, "y = a · b, a product with a vector")


def _einsum_vjp(g: Array, node: Node) -> tuple[Array, ...]:
    operands, out = node.options["operands"], node.options["out"]
    found = []
    for place, own in enumerate(operands):
        others = [
            (one, array) for k, (one, array) in enumerate(zip(operands, node.arguments, strict=True)) if k != place
        ]
        known = "".join(letter for letter in own if letter in out or any(letter in one for one, _ in others))
        letters = ",".join(["..." + out, *(one for one, _ in others)])
        part = np.einsum(f"{letters}->...{known}", g, *(array for _, array in others))
        alone = tuple(axis - len(own) for axis, letter in enumerate(own) if letter not in known)
        part = np.expand_dims(part, alone)  # summed alone: every element gets the same
        found.append(np.broadcast_to(part, lead_of(g, node) + node.arguments[place].shape))
    return tuple(found)


def _einsum(*arrays: Array, operands: tuple[str, ...], out: str) -> Array:
    try:
        return np.asarray(np.einsum(f"{','.join(operands)}->{out}", *arrays))
    except ValueError as error:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise InputError(f"einsum of shapes {shapes}: {str(error).strip()}.") from None


EINSUM = Op("einsum", "einsum", _einsum, _einsum_vjp, "y = a sum of products, by letters")


def _assemble(base: Array, *parts: Array, indices: tuple[Any, ...]) -> Array:
    whole = base.copy()
    for index, part in zip(indices, parts, strict=True):
        whole[index] = part
    return whole


def _assemble_vjp(g: Array, node: Node) -> tuple[Array, ...]:
    indices, lead = node.options["indices"], g.ndim - node.value.ndim
    if lead and not all(stays_in_place(index) for index in indices):
        return tuple([np.stack(rows) for rows in zip(*[_assemble_vjp(one, node) for one in g], strict=True)])
    rest = g.copy()
    found: list[Array] = []
    for index in reversed(indices):  # what was put later hides what was there before
        at = (slice(None),) * lead + index
        found.append(np.array(rest[at]))
        rest[at] = 0
    return (rest, *reversed(found))


ASSEMBLE = Op("assemble", "[ ]=", _assemble, _assemble_vjp, "parts of b put into a", "move")


def _add_at(base: Array, part: Array, *, index: tuple[Any, ...]) -> Array:
    whole = base.copy()
    np.add.at(whole, index, part)
    return whole


def _add_at_vjp(g: Array, node: Node) -> tuple[Array, Array]:
    index, lead = node.options["index"], lead_of(g, node)
    if stays_in_place(index):
        return g, g[(slice(None),) * len(lead) + index]
    picked = np.stack([one[index] for one in g.reshape(-1, *node.value.shape)])
    return g, picked.reshape(lead + node.arguments[1].shape)


ADD_AT = Op("add_at", "[ ]+=", _add_at, _add_at_vjp, "parts of b added into a; a place named twice gets both", "move")
BROADCAST = Op(
    "broadcast", "broadcast", lambda x, *, shape: np.broadcast_to(x, shape), lambda g, node: (g,),
    "the same numbers, repeated along new axes", "move",
)  # fmt: skip
CAST = Op(
    "cast", "cast", lambda x, *, dtype: x.astype(dtype), lambda g, node: (g.astype(node.arguments[0].dtype),),
    "the same numbers in another precision", "move", "all",
)  # fmt: skip


def _inverse_vjp(g: Array, node: Node) -> tuple[Array]:
    """Golub and Pereyra's derivative of a pseudoinverse of constant rank, of which an inverse is the plain case."""
    (a,), p = node.arguments, node.value
    pt, gt = np.swapaxes(p, -1, -2), np.swapaxes(g, -1, -2)
    found = -pt @ g @ pt
    if node.op is PSEUDOINVERSE:
        left, right = (np.eye(len(one), dtype=p.dtype) - one for one in (a @ p, p @ a))
        found = found + left @ gt @ (p @ pt) + (pt @ p) @ gt @ right
    return (found,)


INVERSE = Op("inverse", "⁻¹", np.linalg.inv, _inverse_vjp, "y = the inverse of a")
PSEUDOINVERSE = Op("pseudoinverse", "⁺", np.linalg.pinv, _inverse_vjp, "y = the pseudoinverse of a")

ALONG = (MAX, MIN, CUMSUM, DOT, EINSUM, ASSEMBLE, ADD_AT, BROADCAST, CAST, INVERSE, PSEUDOINVERSE)
