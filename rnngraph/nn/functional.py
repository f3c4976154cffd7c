"""The classic NumPy layers of an image-captioning model, recorded: every forward returns `(output, cache)`.

In and out: plain arrays, batch first. The cache is the `Tape` of that one call, so it can be drawn and recorded; its
backward walks it in reverse, as often as it is called. The arithmetic is that of the layers in `rnngraph.nn`.

`watch()` records all calls of a block on one tape; see `nn.watch`.

Sizes: N sequences, T timesteps, D inputs, H hidden units, V words, M outputs. Arrays are computed in the dtype in
which NumPy would compute them: float32 throughout where all are float32. Every forward raises `InputError` for
shapes that do not agree and for empty or non-finite arrays, and `DtypeError` for arrays that hold no real numbers;
every backward raises `InputError` for a gradient of another shape than its output's and for the cache of another
function.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import DtypeError, InputError
from rnngraph.nn import losses
from rnngraph.nn.affine_functions import (
    affine_backward,
    affine_forward,
    temporal_affine_backward,
    temporal_affine_forward,
)
from rnngraph.nn.call import checked, floats, leaf_gradients, record_recurrence, walk_back
from rnngraph.nn.cells.lstm import Lstm
from rnngraph.nn.cells.tanh_relu import Tanh
from rnngraph.nn.checks import check_tokens
from rnngraph.nn.layers import EMBEDDING
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.unroll import Unrolled
from rnngraph.nn.watching import watch, watched

__all__ = [
    "affine_backward", "affine_forward", "lstm_backward", "lstm_forward", "lstm_step_backward", "lstm_step_forward",
    "rnn_backward", "rnn_forward", "rnn_step_backward", "rnn_step_forward", "sigmoid", "temporal_affine_backward",
    "temporal_affine_forward", "temporal_softmax_loss", "watch", "word_embedding_backward", "word_embedding_forward",
]  # fmt: skip

WEIGHTS = ("Wx", "Wh", "b")
TANH, LSTM = Tanh(), Lstm()


@watched
def sigmoid(x: Any) -> Any:
    """Compute `1 / (1 + exp(-x))`, any shape, without overflow or warning for large positive and negative `x`."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"sigmoid: x has dtype {array.dtype}; pass real numbers.")
    with np.errstate(all="ignore"):
        return ops.sigmoid(array if array.dtype.kind == "f" else array.astype(np.float64))[()]


@watched
def rnn_step_forward(x: Any, prev_h: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Array, Tape]:
    """Compute one step, `tanh(x Wx + prev_h Wh + b)`.

    Args:
        x: (N, D).
        prev_h: (N, H).
        Wx: (D, H).
        Wh: (H, H).
        b: (H,).

    Returns:
        next_h (N, H), cache.
    """
    arrays = {"x": x, "h0": prev_h, "Wx": Wx, "Wh": Wh, "b": b}
    (next_h,), cache = _step(record_recurrence("rnn_step_forward", TANH, arrays))
    return next_h, cache


def rnn_step_backward(dnext_h: Any, cache: Tape) -> tuple[Array, ...]:
    """Walk one step back from dnext_h (N, H); returns dx, dprev_h, dWx, dWh, db."""
    return walk_back("rnn_step_backward", cache, {"dnext_h": dnext_h}, ("x", "h0", *WEIGHTS))


@watched
def rnn_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Array, Tape]:
    """Compute a vanilla RNN over a sequence.

    Args:
        x: (N, T, D).
        h0: (N, H).
        Wx: (D, H).
        Wh: (H, H).
        b: (H,).

    Returns:
        h (N, T, H), cache.
    """
    return _sequence(record_recurrence("rnn_forward", TANH, {"x": x, "h0": h0, "Wx": Wx, "Wh": Wh, "b": b}))


def rnn_backward(dh: Any, cache: Tape) -> tuple[Array, ...]:
    """Walk the sequence back from dh (N, T, H), each step's own part; returns dx, dh0, dWx, dWh, db."""
    return walk_back("rnn_backward", cache, {"dh": dh}, ("x", "h0", *WEIGHTS))


@watched
def lstm_step_forward(x: Any, prev_h: Any, prev_c: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Array, Array, Tape]:
    """Compute one LSTM step; the columns of the weights are the gates i, f, o, g.

    Args:
        x: (N, D).
        prev_h: (N, H).
        prev_c: (N, H).
        Wx: (D, 4H).
        Wh: (H, 4H).
        b: (4H,).

    Returns:
        next_h (N, H), next_c (N, H), cache.
    """
    arrays = {"x": x, "h0": prev_h, "c0": prev_c, "Wx": Wx, "Wh": Wh, "b": b}
    (next_h, next_c), cache = _step(record_recurrence("lstm_step_forward", LSTM, arrays))
    return next_h, next_c, cache


def lstm_step_backward(dnext_h: Any, dnext_c: Any, cache: Tape) -> tuple[Array, ...]:
    """Walk one step back from both gradients (N, H); returns dx, dprev_h, dprev_c, dWx, dWh, db."""
    upstream = {"dnext_h": dnext_h, "dnext_c": dnext_c}
    return walk_back("lstm_step_backward", cache, upstream, ("x", "h0", "c0", *WEIGHTS))


@watched
def lstm_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Array, Tape]:
    """Compute an LSTM over a sequence; the first cell state is zero.

    Args:
        x: (N, T, D).
        h0: (N, H).
        Wx: (D, 4H), gates i, f, o, g.
        Wh: (H, 4H).
        b: (4H,).

    Returns:
        h (N, T, H), cache.
    """
    return _sequence(record_recurrence("lstm_forward", LSTM, {"x": x, "h0": h0, "Wx": Wx, "Wh": Wh, "b": b}))


def lstm_backward(dh: Any, cache: Tape) -> tuple[Array, ...]:
    """Walk the sequence back from dh (N, T, H), each step's own part; returns dx, dh0, dWx, dWh, db."""
    return walk_back("lstm_backward", cache, {"dh": dh}, ("x", "h0", *WEIGHTS))


@watched
def word_embedding_forward(x: Any, W: Any) -> tuple[Array, Tape]:
    """Look words up.

    Args:
        x: integers (N, T), or any other shape.
        W: (V, D).

    Returns:
        out (N, T, D), cache.

    Raises:
        DtypeError: words that are not integers.
        VocabularyError: a word outside `[0, V)`.
    """
    function = "word_embedding_forward"
    words, table = checked(function, "x", x), floats(function, {"W": W})["W"]
    if table.ndim != 2:
        raise InputError(f"{function}: W has shape {table.shape}; it takes (V, D).")
    check_tokens(words, len(table), function)
    tape = Tape(model=function)
    tokens, weight = tape.input(words.copy(), "x"), tape.parameter(Parameter("W", table))
    with tape.scope(layer="embedding"):
        tape.outputs = (tape.apply(EMBEDDING, tokens, weight),)
    return tape.outputs[0].value.copy(), tape


def word_embedding_backward(dout: Any, cache: Tape) -> Array:
    """Walk the look-up back from dout (N, T, D); returns dW (V, D), to which a word seen twice adds twice."""
    return walk_back("word_embedding_backward", cache, {"dout": dout}, ("W",))[0]


@watched
def temporal_softmax_loss(x: Any, y: Any, mask: Any, verbose: bool = False) -> tuple[float, Array]:
    """Compute the masked cross-entropy, summed over time and divided by N, and its gradient.

    Args:
        x: scores (N, T, V).
        y: integers (N, T), the right words; any value where the mask is false.
        mask: booleans (N, T), which words count.
        verbose: print the shape of the gradient.

    Returns:
        loss, dx (N, T, V).

    Raises:
        InputError: also for a mask with no true entry.
        VocabularyError: a word outside `[0, V)`.
    """
    function = "temporal_softmax_loss"
    tape = Tape(model=function)
    scores = tape.input(floats(function, {"x": x})["x"], "x")
    words = checked(function, "y", y)
    loss = losses.temporal_softmax_loss(scores, words, checked(function, "mask", mask))
    tape.outputs = (loss,)
    (dx,) = leaf_gradients(tape, {loss.id: np.ones_like(loss.value)}, ("x",))
    if verbose:
        print(f"dx: {dx.shape}")
    return float(loss.value), dx


def _sequence(run: Unrolled) -> tuple[Array, Tape]:
    tape = run.output.tape
    tape.outputs = (run.output,)
    return run.output.value.copy(order="C"), tape


def _step(run: Unrolled) -> tuple[list[Array], Tape]:
    tape = run.output.tape
    tape.outputs = tuple(run.state(kind, 0) for kind in run.recurrence.kinds)
    return [output.value.copy() for output in tape.outputs], tape
