"""The layers around a recurrence: the word embedding and the temporal affine map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnngraph.autodiff.contribution import Array, Scatter
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import DtypeError, InputError, VocabularyError
from rnngraph.nn import init as initialise
from rnngraph.nn.cells import LINEAR
from rnngraph.nn.parameter import Module

LARGEST = 2**31 - 1  # of a size: what is larger is a slip, and no array could be that long


def _embed(tokens: Array, weight: Array) -> Array:
    return np.asarray(weight[tokens])


def _embed_vjp(g: Array, node: Node) -> tuple[None, Scatter]:
    return None, Scatter((node.arguments[0],), g)


EMBEDDING = Op("embedding", "embed", _embed, _embed_vjp)


class Embedding(Module):
    """A table of word vectors, `W` (num_embeddings, embedding_dim), drawn from N(0, 1) as PyTorch's is."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        seed: int = 0,
        dtype: DTypeLike = np.float64,
        name: str = "embedding",
    ) -> None:
        """Initialise the table.

        Raises:
            InputError: a size below 1, or a seed below 0.
            DtypeError: a dtype other than float32 and float64.
        """
        super().__init__(name)
        check_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        check_numbers(dtype, seed)
        weight = np.random.default_rng(seed).normal(size=(num_embeddings, embedding_dim))
        self.add_parameter("W", weight.astype(dtype))

    def __call__(self, tokens: Tensor) -> Tensor:
        """Record the look-up.

        Args:
            tokens: integers (N, T).

        Returns:
            (N, T, embedding_dim).

        Raises:
            DtypeError: tokens that are not integers.
            VocabularyError: a token outside the vocabulary.
        """
        if not isinstance(tokens, Tensor):
            raise InputError(f"{self.name} got a {type(tokens).__name__}; record the tokens first: tape.input(tokens).")
        weight = self.parameter("W")
        check_tokens(tokens.value, len(weight.value), self.name)
        with tokens.tape.scope(layer=self.name):
            return tokens.tape.apply(EMBEDDING, tokens, tokens.tape.parameter(weight))


class Linear(Module):
    """The temporal affine map `x·W + b`, the same at every timestep; `W` is (in_features, out_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        seed: int = 0,
        dtype: DTypeLike = np.float64,
        name: str = "linear",
    ) -> None:
        """Initialise from U(-1/sqrt(in), 1/sqrt(in)), PyTorch's default.

        Raises:
            InputError: a size below 1, or a seed below 0.
            DtypeError: a dtype other than float32 and float64.
        """
        super().__init__(name)
        check_sizes(in_features=in_features, out_features=out_features)
        check_numbers(dtype, seed)
        generator = np.random.default_rng(seed)
        for key, shape in (("W", (in_features, out_features)), ("b", (out_features,))):
            self.add_parameter(key, initialise.uniform(generator, shape, fan=in_features).astype(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Record the map of `x`, (N, D) or (N, T, D), to (..., out_features).

        Raises:
            InputError: a last size that is not `in_features`.
            DtypeError: another dtype than the weights'.
        """
        if not isinstance(x, Tensor):
            raise InputError(f"{self.name} got a {type(x).__name__}; record the array first: tape.input(array).")
        weight, bias = self.parameter("W"), self.parameter("b")
        if x.dtype != weight.value.dtype:
            raise DtypeError(
                f"{self.name} has {weight.value.dtype} weights and got a {x.dtype} input; convert one of them."
            )
        with x.tape.scope(layer=self.name):
            return x.tape.apply(LINEAR, x, x.tape.parameter(weight), x.tape.parameter(bias))


def check_sizes(**sizes: Any) -> None:
    """Refuse sizes that are not whole numbers of at least 1."""
    for label, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise InputError(f"{label} is {size!r}; it must be a whole number of at least 1.")
        if size > LARGEST:
            raise InputError(f"{label} is {size}; it must be at most {LARGEST}.")


def check_numbers(dtype: DTypeLike, seed: Any) -> None:
    """Refuse weights that are not float32 or float64, and seeds that are not whole numbers of at least 0."""
    try:
        known = np.dtype(dtype) in (np.float32, np.float64)
    except TypeError:
        known = False
    if not known:
        raise DtypeError(f"dtype is {dtype!r}; choose numpy.float32 or numpy.float64.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}; it must be a whole number of at least 0.")


def check_tokens(tokens: Array, vocabulary: int, name: str) -> None:
    """Refuse tokens that are not integers in `[0, vocabulary)`."""
    if tokens.dtype.kind not in "iu":
        raise DtypeError(f"{name} got tokens of dtype {tokens.dtype}; pass integers.")
    outside = (tokens < 0) | (tokens >= vocabulary)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        raise VocabularyError(
            f"{name} got token {tokens[place]} at {place}; "
            f"the vocabulary has {vocabulary} words, 0 to {vocabulary - 1}."
        )


def rectangular(given: Any, name: str) -> Array:
    """Take the array of a tensor, or whatever NumPy makes an array of.

    Raises:
        InputError: rows of different lengths.
    """
    try:
        return np.asarray(given.value if isinstance(given, Tensor) else given)
    except ValueError as error:
        raise InputError(f"{name} is no rectangular array: {error}") from None


def booleans(mask: Any, name: str) -> Array:
    """Take a mask: booleans, or the numbers 0 and 1.

    Raises:
        DtypeError: other numbers, or no numbers.
    """
    array = rectangular(mask, f"the mask of {name}")
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind not in "iuf":
        raise DtypeError(f"{name} got a mask of dtype {array.dtype}; pass booleans.")
    other = array[(array != 0) & (array != 1)]
    if other.size:
        raise DtypeError(f"{name} got a mask that holds {other.flat[0]}; pass booleans, or the numbers 0 and 1.")
    return array.astype(bool)
