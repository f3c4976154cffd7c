"""What stands beside a tensor: numbers, arrays, axes and shapes in every form that NumPy takes, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError, RnnGraphError


def tensor(array: Any = None) -> Any:
    return rg.Tape().input(np.arange(24.0).reshape(2, 3, 4) if array is None else array)


@pytest.mark.parametrize("half", [lambda x: x * 0.5, lambda x: 0.5 * x, lambda x: x / 2])
def test_a_fraction_of_whole_numbers_is_a_fraction(half: Callable[[rg.Tensor], rg.Tensor]) -> None:
    np.testing.assert_array_equal(half(tensor(np.array([1, 2, 3]))).value, [0.5, 1.0, 1.5])


def test_a_number_keeps_float32() -> None:
    assert (tensor(np.ones(3, np.float32)) * 0.5).dtype == np.float32


def test_shapes_and_axes_may_be_one_tuple() -> None:
    x = tensor()
    assert x.reshape((6, 4)).shape == (6, 4)
    np.testing.assert_array_equal(x.transpose((1, 0, 2)).value, x.value.transpose(1, 0, 2))
    np.testing.assert_array_equal(x.sum(np.int64(1)).value, x.value.sum(axis=1))
    assert (x ** np.int64(2)).value[0, 0, 3] == 9


def test_where_takes_a_number_on_either_side() -> None:
    x, mask = tensor(), np.arange(24).reshape(2, 3, 4) % 2 == 0
    loss = rg.where(mask, x, 0.0).sum() + rg.where(mask, 1.0, 3 * x).sum()
    np.testing.assert_array_equal(rg.gradients(loss)["x"], np.where(mask, 1.0, 3.0))


def text(word: Any) -> Any:
    return word


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "text": (lambda x: x + "a", "'a'"),
    "none": (lambda x: x * None, "None"),
    "transposed twice": (lambda x: x.transpose(0, 0, 1), r"\(0, 0, 1\)"),
    "transposed too little": (lambda x: x.transpose(0, 1), r"\(0, 1\)"),
    "transposed outside": (lambda x: x.transpose(0, 1, 5), r"\(0, 1, 5\)"),
    "reshaped to a fraction": (lambda x: x.reshape(6.0, 4), "6.0"),
    "summed twice": (lambda x: x.sum((0, -3)), "twice"),
    "summed over text": (lambda x: x.sum("a"), "'a'"),
    "joined with an array": (lambda x: rg.concatenate([x, x.value]), "ndarray"),
    "a tensor for a list": (lambda x: rg.stack(x), "single Tensor"),
    "stacked along text": (lambda x: rg.stack([x, x], axis=text("a")), "'a'"),
    "where of a wrong mask": (lambda x: rg.where(np.ones(7, bool), x, x), r"\(7,\)"),
    "where of no tensor": (lambda x: rg.where(np.ones(3, bool), 0.0, 1.0), "float"),
    "named by a number": (lambda x: x.tape.input(np.ones(2), name=3), "3"),
    "a step before the first": (lambda x: x.tape.scope(t=-3).__enter__(), "-3"),
    "a step in words": (lambda x: x.tape.scope(t="two").__enter__(), "'two'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_with_its_value(case: str) -> None:
    action, value = WRONG[case]
    with pytest.raises(RnnGraphError, match=value):
        action(tensor())


def test_gradients_are_found_by_name_tensor_and_parameter() -> None:
    tape = rg.Tape()
    x, layer = tape.input(np.ones((2, 3, 4))), rg.nn.RNN(4, 5)
    grads = rg.gradients(layer(x).sum())
    assert grads[x] is grads["x"]
    assert grads[layer.parameter("Wh")] is grads["rnn.Wh"]
    with pytest.raises(RnnGraphError, match="another tape"):
        grads[tensor()]
    with pytest.raises(KeyError, match=r"nope.*rnn\.Wx"):
        grads["nope"]


def states(tape: rg.Tape, *, start: int = 0) -> list[rg.Tensor]:
    h, found = tape.input(np.ones((2, 3))), []
    for t in range(3):
        with tape.scope(t=t + start):
            h = h.tanh()
        found.append(h)
    return found


def test_a_declared_state_must_be_the_tapes_own_and_at_its_step() -> None:
    tape, other = rg.Tape(), rg.Tape()
    x: Any = tape.input(np.ones((2, 3)))
    with pytest.raises(RnnGraphError, match="another tape"):
        tape.state("cell.h", states(other))
    with pytest.raises(RnnGraphError, match="another tape"):
        tape.state("cell.h", states(tape), initial=other.input(np.ones((2, 3))))
    with pytest.raises(InputError, match="step 0 was recorded at timestep 1"):
        tape.state("cell.h", states(tape, start=1))
    with pytest.raises(InputError, match="outside any timestep"):
        tape.state("cell.h", [x.tanh(), x.tanh().tanh()])
    with pytest.raises(InputError, match="shape"):
        tape.state("cell.h", [x, x[0]])
    with pytest.raises(InputError, match="ndarray"):
        tape.state("cell.h", [x.value])
    assert not tape.recurrences
