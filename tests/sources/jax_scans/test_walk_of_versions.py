"""What a scan says of its operands, in the two forms that JAX has given it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

jax = pytest.importorskip("jax")
walk = pytest.importorskip("rnngraph.sources.jax.walk")


def test_operands_of_a_scan() -> None:
    def loss(a: Any, b: Any, x: Any) -> Any:
        return jax.lax.scan(lambda c, one: ((c[0] * a + b + one, c[1] + 1), c[0]), (a, b), x)[1].sum()

    (scan, *_) = [one for one in jax.make_jaxpr(loss)(1.0, 2.0, jax.numpy.ones(3)).eqns if one.primitive.name == "scan"]
    assert walk.counts(scan) == (2, 2)


@pytest.mark.parametrize(
    "params",
    [
        {"num_consts": 1, "num_carry": 2},  # up to JAX 0.10
        {"ft_in": SimpleNamespace(unpack=lambda: (["w"], ["h", "c"], ["x"]))},  # from 0.11 on
    ],
)
def test_both_forms(params: Any) -> None:
    assert walk.counts(SimpleNamespace(params=params)) == (1, 2)
