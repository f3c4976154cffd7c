"""Arrays for calls of the functional interface, and one good call of each function that has a backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.nn import functional as F  # noqa: N812 - the name under which people import such functions
from tests.draws import draw
from tests.nn.plain_layers import Array

N, T, D, H, V, M = 3, 5, 4, 6, 7, 2


def weights(gates: int = 1, *, inputs: int = D, hidden: int = H, dtype: Any = np.float64) -> list[Array]:
    wide = gates * hidden
    shapes = (inputs, wide), (hidden, wide), (wide,)
    return [draw(*shape, seed=k, dtype=dtype) for k, shape in enumerate(shapes)]


def states(count: int, dtype: Any) -> list[Array]:
    return [draw(N, H, seed=k, dtype=dtype) for k in range(count)]


CALLS: dict[str, Any] = {
    "rnn_step": lambda f: (
        F.rnn_step_forward(draw(N, D, dtype=f), *states(1, f), *weights(dtype=f)),
        F.rnn_step_backward,
    ),
    "rnn": lambda f: (
        F.rnn_forward(draw(N, T, D, dtype=f), *states(1, f), *weights(dtype=f)),
        F.rnn_backward,
    ),
    "lstm_step": lambda f: (
        F.lstm_step_forward(draw(N, D, dtype=f), *states(2, f), *weights(4, dtype=f)),
        F.lstm_step_backward,
    ),
    "lstm": lambda f: (
        F.lstm_forward(draw(N, T, D, dtype=f), *states(1, f), *weights(4, dtype=f)),
        F.lstm_backward,
    ),
    "word_embedding": lambda f: (
        F.word_embedding_forward(np.array([[1, 2]]), draw(V, D, dtype=f)),
        F.word_embedding_backward,
    ),
    "temporal_affine": lambda f: (
        F.temporal_affine_forward(draw(N, T, D, dtype=f), draw(D, M, dtype=f), draw(M, dtype=f)),
        F.temporal_affine_backward,
    ),
}
