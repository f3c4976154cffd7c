"""The temporal softmax loss: masked cross-entropy, summed over time and divided by the batch size."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import DtypeError, InputError
from rnngraph.nn.checks import array_of, booleans, check_tokens


def _cross_entropy(scores: Array, *, y: Array, weight: Array) -> Array:
    top = scores.max(axis=-1, keepdims=True)
    shifted = scores - top
    total = np.log(np.exp(shifted).sum(axis=-1))
    chosen = np.take_along_axis(shifted, y[..., None], axis=-1)[..., 0]
    return np.asarray((total - chosen) * weight)


def _cross_entropy_vjp(g: Array, node: Node) -> tuple[Array]:
    (scores,) = node.arguments
    y, weight = node.options["y"], node.options["weight"]
    probability = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probability /= probability.sum(axis=-1, keepdims=True)
    rows = tuple(np.indices(y.shape))
    probability[(*rows, y)] -= 1
    probability *= weight[..., None]
    return (g[..., None] * probability,)


TEMPORAL_SOFTMAX = Op(
    "temporal_softmax", "softmax loss", _cross_entropy, _cross_entropy_vjp,
    "L[t] = -Σ log softmax(scores[t])[target[t]], where the mask is true", "loss",
)  # fmt: skip


def temporal_softmax_loss(scores: Tensor, y: Any, mask: Any = None) -> Tensor:
    """Record the loss; the node before the result holds each position's part, (N, T).

    Args:
        scores: (N, T, V).
        y: integers (N, T), the right words; any value where the mask is false.
        mask: booleans (N, T), which positions count; all by default.

    Returns:
        A scalar: the sum of the masked cross-entropy over batch and time, divided by N.

    Raises:
        InputError: shapes that do not agree, or a mask with no true entry.
        VocabularyError: a word outside the vocabulary.
        DtypeError: scores that are not floating, words that are not integers, or a mask that is not of booleans.
    """
    if not isinstance(scores, Tensor):
        raise InputError(f"the scores are a {type(scores).__name__}; pass the Tensor that the model computed.")
    if scores.ndim != 3:
        raise InputError(f"the scores have shape {scores.shape}; (N, T, V) is needed.")
    if scores.dtype.kind != "f":
        raise DtypeError(f"the scores have dtype {scores.dtype}; pass floating point numbers.")
    words = array_of(y, "y")
    counted = np.ones(scores.shape[:2], bool) if mask is None else booleans(mask, "the loss")
    for label, array in (("y", words), ("mask", counted)):
        if array.shape != scores.shape[:2]:
            raise InputError(
                f"{label} has shape {array.shape}; scores of shape {scores.shape} need {scores.shape[:2]}."
            )
    if not counted.any():
        raise InputError("the mask has no true entry, so there is nothing to learn from; check the padding value.")
    words = np.where(counted, words, 0)  # padding may be any value, such as -1
    check_tokens(words, scores.shape[-1], "the loss")
    weight = counted.astype(scores.dtype) / scores.dtype.type(scores.shape[0])
    tape = scores.tape
    tape.mask = counted if tape.mask is None or tape.mask.shape != counted.shape else tape.mask | counted
    with tape.scope(layer="loss"):
        return tape.apply(TEMPORAL_SOFTMAX, scores, y=words, weight=weight).sum()
