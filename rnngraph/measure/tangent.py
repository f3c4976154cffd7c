"""Jacobian-vector products of the recorded operations: how a small change of the inputs moves the value.

In: a node and tangents of its inputs, with one leading axis. Out: the tangent of its value. The sweep never needs
these; the spectrum does, because the largest singular value of a Jacobian needs the Jacobian and its transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node

Tangents: TypeAlias = "list[Array | None]"  # None is zero
Rule: TypeAlias = Callable[[Tangents, Node], Any]


def push(tangents: Tangents, node: Node) -> Array:
    """Compute the tangent of a node's value, (lead, *shape).

    Raises:
        KeyError: the op has no rule here.
    """
    lead = next(len(one) for one in tangents if one is not None)
    result = RULES[node.op.name](tangents, node)
    return np.broadcast_to(result, (lead, *node.value.shape))


def _plus(*terms: Any) -> Any:
    known = [term for term in terms if term is not None]
    total = known[0]
    for term in known[1:]:
        total = total + term
    return total


def _times(tangent: Array | None, factor: Any) -> Any:
    return None if tangent is None else tangent * factor


def _through(tangent: Array | None, weight: Array) -> Any:
    if tangent is None:
        return None
    flat = tangent.reshape(-1, tangent.shape[-1]) @ weight
    return flat.reshape(*tangent.shape[:-1], weight.shape[-1])


def _matmul(d: Tangents, node: Node) -> Any:
    a, b = node.arguments
    first = None if d[0] is None else d[0] @ b
    return _plus(first, None if d[1] is None else a @ d[1])


def _dense(d: Tangents, node: Node) -> list[Array]:
    lead = next(len(one) for one in d if one is not None)
    zeros = [np.zeros((lead, *argument.shape)) for argument in node.arguments]
    return [zero if one is None else one for one, zero in zip(d, zeros, strict=True)]


def _step(slope: Callable[[Array], Any]) -> Rule:
    def rule(d: Tangents, node: Node) -> Any:
        return _plus(d[0], _through(d[1], node.arguments[2])) * slope(node.value)

    return rule


def _lstm_gates(d: Tangents, node: Node) -> Any:
    hidden = node.value.shape[-1] // 4
    s, u = node.value[:, : 3 * hidden], node.value[:, 3 * hidden :]
    slope = np.concatenate([s * (1 - s), 1 - u * u], axis=-1)
    return _plus(d[0], _through(d[1], node.arguments[2])) * slope


def _lstm_cell(d: Tangents, node: Node) -> Any:
    (i, f, _, u), c = np.split(node.arguments[0], 4, axis=-1), node.arguments[1]
    if d[0] is None:
        return _times(d[1], f)
    di, df, _, du = np.split(d[0], 4, axis=-1)
    return _plus(df * c + di * u + du * i, _times(d[1], f))


def _lstm_hidden(d: Tangents, node: Node) -> Any:
    o, squashed = np.split(node.arguments[0], 4, axis=-1)[2], np.tanh(node.arguments[1])
    opened = None if d[0] is None else np.split(d[0], 4, axis=-1)[2] * squashed
    return _plus(opened, _times(d[1], o * (1 - squashed * squashed)))


def _gru_gates(d: Tangents, node: Node) -> Any:
    r, z, n = np.split(node.value, 3, axis=-1)
    product = np.split(node.arguments[1], 3, axis=-1)[2]
    lead = next(len(one) for one in d if one is not None)
    dx, dp = (np.zeros((lead, *node.value.shape)) if one is None else one for one in d)
    (xr, xz, xn), (pr, pz, pn) = np.split(dx, 3, axis=-1), np.split(dp, 3, axis=-1)
    dr, dz = (xr + pr) * r * (1 - r), (xz + pz) * z * (1 - z)
    dn = (xn + dr * product + r * pn) * (1 - n * n)
    return np.concatenate([dr, dz, dn], axis=-1)


def _gru_state(d: Tangents, node: Node) -> Any:
    (_, z, n), h = np.split(node.arguments[0], 3, axis=-1), node.arguments[1]
    if d[0] is None:
        return _times(d[1], z)
    _, dz, dn = np.split(d[0], 3, axis=-1)
    return _plus(dz * (h - n) + dn * (1 - z), _times(d[1], z))


def _power(d: Tangents, node: Node) -> Any:
    exponent = node.options["exponent"]
    return _times(d[0], exponent * node.arguments[0] ** (exponent - 1) if exponent else 0.0)


def _index(d: Tangents, node: Node) -> Any:
    return None if d[0] is None else d[0][(slice(None), *node.options["index"])]


def _where(d: Tangents, node: Node) -> Any:
    first, second = _dense(d, node)
    return np.where(node.options["mask"], first, second)


def _transpose(d: Tangents, node: Node) -> Any:
    return None if d[0] is None else d[0].transpose(0, *[axis + 1 for axis in node.options["axes"]])


RULES: dict[str, Rule] = {
    "add": lambda d, node: _plus(*d),
    "subtract": lambda d, node: _plus(d[0], _times(d[1], -1.0)),
    "multiply": lambda d, node: _plus(_times(d[0], node.arguments[1]), _times(d[1], node.arguments[0])),
    "divide": lambda d, node: _plus(_times(d[0], 1 / node.arguments[1]), _times(d[1], -node.value / node.arguments[1])),
    "negate": lambda d, node: _times(d[0], -1.0),
    "power": _power,
    "matmul": _matmul,
    "tanh": lambda d, node: _times(d[0], 1 - node.value**2),
    "sigmoid": lambda d, node: _times(d[0], node.value * (1 - node.value)),
    "relu": lambda d, node: _times(d[0], node.arguments[0] > 0),
    "exp": lambda d, node: _times(d[0], node.value),
    "log": lambda d, node: _times(d[0], 1 / node.arguments[0]),
    "sum": lambda d, node: np.sum(_dense(d, node)[0], axis=node.options["axis"], keepdims=node.options["keepdims"]),
    "mean": lambda d, node: np.mean(_dense(d, node)[0], axis=node.options["axis"], keepdims=node.options["keepdims"]),
    "reshape": lambda d, node: _dense(d, node)[0].reshape(-1, *node.value.shape),
    "transpose": _transpose,
    "index": _index,
    "concatenate": lambda d, node: np.concatenate(_dense(d, node), axis=node.options["axis"]),
    "stack": lambda d, node: np.stack(_dense(d, node), axis=node.options["axis"]),
    "where": _where,
    "project": lambda d, node: _through(d[0], node.arguments[1]),
    "linear": lambda d, node: _through(d[0], node.arguments[1]),
    "rnn_tanh_step": _step(lambda out: 1 - out * out),
    "rnn_relu_step": _step(lambda out: out > 0),
    "lstm_gates": _lstm_gates,
    "lstm_cell": _lstm_cell,
    "lstm_hidden": _lstm_hidden,
    "gru_hidden": lambda d, node: _through(d[0], node.arguments[1]),
    "gru_gates": _gru_gates,
    "gru_state": _gru_state,
}
