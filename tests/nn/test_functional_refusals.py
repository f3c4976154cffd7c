"""The functional interface and careless callers: each gets one clear sentence with the offending value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import DtypeError, InputError, VocabularyError
from rnngraph.nn import functional as F  # noqa: N812
from tests.draws import draw
from tests.nn.functional_calls import CALLS, D, H, M, N, T, V, weights
from tests.nn.plain_layers import Array


def refusal(function: Any, *, at: int, by: Any) -> Any:
    """Call a forward with its right arguments but one."""
    step, gates = "_step" in function.__name__, 4 if "lstm" in function.__name__ else 1
    states = [draw(N, H)] * (2 if step and gates == 4 else 1)
    arguments: list[Any] = [draw(N, D) if step else draw(N, T, D), *states, *weights(gates)]
    arguments[at] = by(arguments[at])
    return function(*arguments)


def with_nan(array: Array) -> Array:
    array = array.copy()
    array.flat[2] = np.nan
    return array


@pytest.mark.parametrize("function", [F.rnn_step_forward, F.rnn_forward, F.lstm_step_forward, F.lstm_forward])
@pytest.mark.parametrize("at", [0, 1, -3, -2, -1])
@pytest.mark.parametrize(
    ("by", "error", "message"),
    [
        (lambda a: a[..., :-1], InputError, r"has shape \(.*\d+,?\).*need"),
        (lambda a: a[0], InputError, "has shape"),
        (lambda a: a[None], InputError, "has shape"),
        (lambda a: a[:0], InputError, r"shape \(0,.*holds nothing"),
        (with_nan, InputError, "holds nan at"),
        (lambda a: a * 1j, DtypeError, "complex128"),
        (lambda a: a.astype(object), DtypeError, "object"),
        (lambda a: a.astype(str), DtypeError, "<U"),
        (lambda a: rg.Tape().input(a), InputError, "is a Tensor"),
        (lambda a: None, DtypeError, "object"),
    ],
)
def test_a_bad_argument_of_a_recurrence_is_refused(function: Any, at: int, by: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        refusal(function, at=at, by=by)
    assert str(caught.value).startswith(function.__name__)


def test_a_mismatch_says_both_shapes() -> None:
    with pytest.raises(
        InputError,
        match=r"rnn_forward: Wh has shape \(6, 5\); x of shape \(3, 5, 4\) and h of shape \(3, 6\) need \(6, 6\)",
    ):
        F.rnn_forward(draw(N, T, D), draw(N, H), draw(D, H), draw(H, 5), draw(H))


@pytest.mark.parametrize("name", list(CALLS))
def test_a_bad_gradient_or_cache_is_refused(name: str) -> None:
    (*outputs, cache), backward = CALLS[name](np.float64)
    upstream = [np.ones(output.shape) for output in outputs]
    shape = str(outputs[0].shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(InputError, match=rf"{name}_backward: d.* has shape \(1, 1\); the forward returned {shape}"):
        backward(np.ones((1, 1)), *upstream[1:], cache)
    with pytest.raises(DtypeError, match="complex128"):
        backward(upstream[0] * 1j, *upstream[1:], cache)
    with pytest.raises(InputError, match=f"NoneType as the cache; pass the second result of {name}_forward"):
        backward(*upstream, None)
    other = CALLS["rnn" if name != "rnn" else "lstm"](np.float64)[0][-1]
    with pytest.raises(InputError, match=f"made by {other.model}; it takes the one that {name}_forward returned"):
        backward(*upstream, other)
    with pytest.raises(InputError, match="made elsewhere"):
        backward(*upstream, rg.Tape())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.word_embedding_forward(np.array([[0, 7]]), draw(V, D)),
            VocabularyError,
            r"token 7 at \(0, 1\).* 7 words",
        ),
        (
            lambda: F.word_embedding_forward(np.array([[-1]]), draw(V, D)),
            VocabularyError,
            r"token -1 at \(0, 0\)",
        ),
        (lambda: F.word_embedding_forward(np.array([[1.0]]), draw(V, D)), DtypeError, "float64"),
        (lambda: F.word_embedding_forward(np.array([[True]]), draw(V, D)), DtypeError, "bool"),
        (lambda: F.word_embedding_forward(np.zeros((0, 3), int), draw(V, D)), InputError, r"\(0, 3\)"),
        (lambda: F.word_embedding_forward(np.array([[0]]), draw(V)), InputError, r"W has shape \(7,\)"),
        (lambda: F.word_embedding_forward(np.array([[0]]), with_nan(draw(V, D))), InputError, "W holds nan"),
        (
            lambda: F.temporal_affine_forward(draw(N, D), draw(D, M), draw(M)),
            InputError,
            r"x has shape \(3, 4\)",
        ),
        (
            lambda: F.temporal_affine_forward(draw(N, T, D), draw(H, M), draw(M)),
            InputError,
            r"w has shape \(6, 2\).*\(4, M\)",
        ),
        (
            lambda: F.temporal_affine_forward(draw(N, T, D), draw(D, M), draw(H)),
            InputError,
            r"b has shape \(6,\).*\(2,\)",
        ),
        (
            lambda: F.temporal_affine_forward(draw(N, T, D), draw(D), draw(M)),
            InputError,
            r"w has shape \(4,\)",
        ),
        (lambda: loss(x=draw(2, 3)), InputError, r"scores have shape \(2, 3\)"),
        (lambda: loss(x=with_nan(draw(2, 3, 4))), InputError, "x holds nan"),
        (lambda: loss(y=np.zeros((2, 4), int)), InputError, r"y has shape \(2, 4\)"),
        (lambda: loss(y=np.full((2, 3), 4)), VocabularyError, "token 4 .*4 words, 0 to 3"),
        (lambda: loss(y=np.zeros((2, 3))), DtypeError, "float64"),
        (lambda: loss(mask=np.ones((3, 2), bool)), InputError, r"mask has shape \(3, 2\)"),
        (lambda: loss(mask=np.zeros((2, 3), bool)), InputError, "no true entry"),
        (lambda: loss(mask=np.full((2, 3), 0.5)), DtypeError, "0.5"),
        (lambda: F.sigmoid(np.array([1j])), DtypeError, "complex128"),
        (lambda: F.sigmoid("a"), DtypeError, "<U1"),
    ],
)
def test_other_bad_arguments_are_refused(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def loss(**changed: Array) -> Any:
    good: dict[str, Any] = {"x": draw(2, 3, 4), "y": np.zeros((2, 3), int), "mask": np.ones((2, 3), bool)}
    return F.temporal_softmax_loss(**{**good, **changed})
