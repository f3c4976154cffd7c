"""The rules of NumPy's products, and of inverses.

Each takes what NumPy's function takes, with recording arrays in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff import along
from rnngraph.errors import InputError
from rnngraph.numpy.dispatch import operated, product, together
from rnngraph.numpy.tables import rule
from rnngraph.numpy.values import value_of


@rule(np.dot)
def _dot(a: Any, b: Any) -> Any:
    a, b = together([a, b])
    if not min(a.ndim, b.ndim):
        return a * b
    if b.ndim > 2:
        return _tensordot(a, b, axes=(-1, -2))
    return product(a, b)


rule(np.matmul)(product)


@rule(np.inner)
def _inner(a: Any, b: Any) -> Any:
    return _dot(a, b.mT if np.ndim(value_of(b)) > 1 else b)


@rule(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return _dot(np.ravel(a), np.ravel(b))


@rule(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@rule(np.einsum)
def _einsum(letters: Any, *arrays: Any, **options: Any) -> Any:
    if not isinstance(letters, str):
        raise InputError("np.einsum without letters is not differentiated here; write np.einsum('ij,jk->ik', a, b).")
    left, arrow, out = letters.replace(" ", "").partition("->")
    operands = tuple(left.split(","))
    if "." in letters or any(len(set(one)) < len(one) for one in operands):
        raise InputError(
            f"np.einsum({letters!r}), with '...' or a letter twice in one operand, is not differentiated here; name "
            "every axis by a letter of its own."
        )
    if not arrow:
        out = "".join(sorted(one for one in set(left) - {","} if left.count(one) == 1))
    lifts = _stretched(operands, together(arrays))
    found = _matrix_product(operands, out, lifts)
    return operated(along.EINSUM, lifts, {"operands": operands, "out": out}) if found is None else found


def _stretched(operands: tuple[str, ...], arrays: list[Any]) -> list[Any]:
    """Repeat what is of size 1 along a letter as often as the others have it."""
    if [array.ndim for array in arrays] != [*map(len, operands)]:
        return arrays  # which the op says
    sizes: dict[str, int] = {}
    for letters, array in zip(operands, arrays, strict=True):
        sizes |= {letter: size for letter, size in zip(letters, array.shape, strict=True) if size != 1}
    shapes = [
        tuple([sizes.get(letter, 1) if size == 1 else size for letter, size in zip(letters, array.shape, strict=True)])
        for letters, array in zip(operands, arrays, strict=True)
    ]
    pairs = zip(arrays, shapes, strict=True)
    return [array if array.shape == shape else np.broadcast_to(array, shape) for array, shape in pairs]


def _matrix_product(operands: tuple[str, ...], out: str, arrays: list[Any]) -> Any:
    """Record what letters say as the product that it is, of matrices or a matrix and a vector; None for all else."""
    shared = set(operands[0]).intersection(*operands[1:]) - set(out)
    axes = [array.ndim for array in arrays]
    if len(arrays) != 2 or len(shared) != 1 or sorted(axes) not in ([1, 2], [2, 2]) or axes != [*map(len, operands)]:
        return None
    (summed,) = shared
    pairs = [*zip(operands, arrays, strict=True)]
    for (left, a), (right, b) in (pairs, pairs[::-1]):
        if out == (left + right).replace(summed, ""):
            return product(a if left[-1] == summed else a.T, b if right[0] == summed else b.T)
    return None


rule(np.linalg.inv)(lambda x: operated(along.INVERSE, [x]))
rule(np.linalg.pinv)(lambda x: operated(along.PSEUDOINVERSE, [x]))


@rule(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    return product(np.linalg.inv(a), b)


@rule(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = together([a, b])
    if isinstance(axes, int | np.integer):
        axes = list(range(a.ndim - axes, a.ndim)), list(range(int(axes)))
    of_a, of_b = ([int(axis) % x.ndim for axis in np.atleast_1d(some)] for x, some in zip((a, b), axes, strict=True))
    left, right = ([k for k in range(x.ndim) if k not in some] for x, some in ((a, of_a), (b, of_b)))
    shape = tuple([a.shape[k] for k in left] + [b.shape[k] for k in right])
    size = int(np.prod([a.shape[k] for k in of_a]))
    rows, columns = a.transpose(*left, *of_a).reshape(-1, size), b.transpose(*of_b, *right).reshape(size, -1)
    return product(rows, columns).reshape(shape)
