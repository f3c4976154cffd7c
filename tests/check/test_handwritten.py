"""A backward written by hand, right and wrong in the ways in which people get it wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnngraph.errors import InputError
from rnngraph.gradcheck.front import check
from rnngraph.nn import functional as F  # noqa: N812
from tests.check.hand_written import rnn_backward as backward
from tests.check.hand_written import rnn_forward as forward
from tests.check.hand_written import verdicts
from tests.check.test_mutants import mutant

N, T, D, H = 2, 4, 3, 5


def arrays() -> list[Any]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape) * 0.5 for shape in ((N, T, D), (N, H), (D, H), (H, H), (H,))]


MISTAKES = {
    "forgets carry": ("dh[:, t] + carried", "dh[:, t]"),
    "forgets slope": ("(1 - h[t + 1] ** 2)", "1"),
}


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_a_wrong_backward_fails_in_every_argument(mistake: str) -> None:
    report = check(forward, mutant("rnn", *MISTAKES[mistake]), *arrays())
    assert [row.passed for row in report.rows] == [False] * 5
    assert verdicts(report) == ["WRONG"] * 5
    assert [sentence.partition(":")[0] for sentence in report.where] == ["x, h0, Wx, Wh, b"]  # for one reason


def test_a_mistake_that_one_timestep_hides_is_seen_with_two() -> None:
    careless, (x, *rest) = mutant("rnn", *MISTAKES["forgets carry"]), arrays()
    assert check(forward, careless, x[:, :1], *rest).passed
    assert not check(forward, careless, x[:, :2], *rest).passed


def test_the_functional_interface_itself_passes() -> None:
    assert check(F.rnn_forward, F.rnn_backward, *arrays()).passed
    words, table = np.array([[0, 2, 2]]), np.random.default_rng(1).normal(size=(4, 3))
    report = check(F.word_embedding_forward, F.word_embedding_backward, words, table)
    assert [row.name for row in report.rows] == ["W"]
    assert report.passed


def test_functions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="gave 4 gradients; there are 5"):
        check(forward, lambda dh, cache: backward(dh, cache)[1:], *arrays())
    with pytest.raises(InputError, match=r"gradient of x has shape \(3, 5\); the argument has \(2, 4, 3\)"):
        check(forward, lambda dh, cache: [np.zeros((3, 5))] * 5, *arrays())
    with pytest.raises(InputError, match="ndarray; it must give its outputs and a cache"):
        check(lambda x: x, backward, np.ones(3))


@pytest.mark.parametrize(("option", "words"), [({"directions": 0}, "directions is 0"), ({"seed": -1}, "seed is -1")])
def test_options_that_cannot_be_used_are_refused(option: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check(forward, backward, *arrays(), **option)
