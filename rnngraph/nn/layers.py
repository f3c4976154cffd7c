"""The layers around a recurrence: the word embedding and the temporal affine map."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from rnngraph.autodiff.contribution import Array, Scatter
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import DtypeError
from rnngraph.nn import init as initialise
from rnngraph.nn.affine import LINEAR
from rnngraph.nn.checks import check_tokens
from rnngraph.nn.parameter import Module


def _embed(tokens: Array, weight: Array) -> Array:
    return np.asarray(weight[tokens])


def _embed_vjp(g: Array, node: Node) -> tuple[None, Scatter]:
    return None, Scatter((node.arguments[0],), g)


EMBEDDING = Op("embedding", "embed", _embed, _embed_vjp, "y[t] = W[token[t]]")


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
        super().__init__(name, seed=seed, dtype=dtype, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
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
        tokens, weight = self.take(tokens, "tokens"), self.parameter("W")
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
        super().__init__(name, seed=seed, dtype=dtype, in_features=in_features, out_features=out_features)
        generator = np.random.default_rng(seed)
        for key, shape in (("W", (in_features, out_features)), ("b", (out_features,))):
            self.add_parameter(key, initialise.uniform(generator, shape, fan=in_features).astype(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Record the map of `x`, (N, D) or (N, T, D), to (..., out_features).

        Raises:
            InputError: a last size that is not `in_features`.
            DtypeError: another dtype than the weights'.
        """
        x, weight, bias = self.take(x), self.parameter("W"), self.parameter("b")
        if x.dtype != self.dtype:
            raise DtypeError(f"{self.name} has {self.dtype} weights and got a {x.dtype} input; convert one of them.")
        with x.tape.scope(layer=self.name):
            return x.tape.apply(LINEAR, x, x.tape.parameter(weight), x.tape.parameter(bias))
