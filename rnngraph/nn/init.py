"""Initialisers: functions of a generator and a shape.

Recurrent weights are stored (hidden, gates * hidden) and a gate's block is initialised on its own, so that an
orthogonal or identity block is one for each gate.
"""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError

INITS = ("uniform", "xavier", "normal", "orthogonal", "identity", "chrono")


def uniform(generator: np.random.Generator, shape: tuple[int, ...], *, fan: int) -> Array:
    """Draw from U(-1/sqrt(fan), 1/sqrt(fan)): PyTorch's default, with the hidden size as the fan."""
    bound = 1 / math.sqrt(fan)
    return generator.uniform(-bound, bound, size=shape)


def xavier(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Draw from U(-a, a), a = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = math.sqrt(6 / (shape[0] + shape[1]))
    return generator.uniform(-bound, bound, size=shape)


def normal(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Draw from N(0, 1/fan_in): the spectral radius of a large square matrix is then about 1."""
    return generator.normal(0, 1 / math.sqrt(shape[0]), size=shape)


def orthogonal(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Draw a (semi-)orthogonal matrix, uniformly (QR of a normal matrix with the signs of R; Saxe et al., 2013)."""
    rows, columns = shape
    q, r = np.linalg.qr(generator.normal(size=(max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T


def identity(shape: tuple[int, int]) -> Array:
    """Give the identity, padded with zeros where it is not square (Le et al., 2015)."""
    return np.eye(*shape)


def matrix(init: str, generator: np.random.Generator, shape: tuple[int, int], *, fan: int, square: bool) -> Array:
    """Initialise one gate's block of a weight.

    Args:
        init: one of `INITS`; `identity` and `orthogonal` are meant for the recurrent block (`square`), the input
            block is then Xavier's; `chrono` only sets biases and leaves weights at PyTorch's default.
        generator: the source of randomness.
        shape: (in, out).
        fan: the hidden size, for `uniform`.
        square: whether this is the recurrent block.

    Raises:
        InputError: an unknown name.
    """
    if init == "normal":
        return normal(generator, shape)
    if init == "xavier" or (init in ("orthogonal", "identity") and not square):
        return xavier(generator, shape)
    if init == "orthogonal":
        return orthogonal(generator, shape)
    if init == "identity":
        return identity(shape)
    if init in ("uniform", "chrono"):
        return uniform(generator, shape, fan=fan)
    raise InputError(f"init is {init!r}; choose one of {', '.join(INITS)}.")


def chrono(generator: np.random.Generator, hidden_size: int, *, horizon: int) -> Array:
    """Draw forget-gate biases ln U(1, horizon - 1); the input gate's are their negatives (Tallec and Ollivier, 2018).

    Raises:
        InputError: a horizon below 3, for which the interval is empty.
    """
    if not isinstance(horizon, Real) or not 3 <= horizon < math.inf:
        raise InputError(
            f"the chrono horizon is {horizon!r}; it is the longest dependency in steps and must be at least 3."
        )
    return np.log(generator.uniform(1, horizon - 1, size=hidden_size))
