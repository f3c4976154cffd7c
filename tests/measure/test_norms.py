"""Norms at the edges of a float, and the Gram form against products formed in higher precision."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
import rnngraph.autodiff.outer_norms as outer_norms_module
import rnngraph.norms as norms_module
from rnngraph.autodiff.outer_norms import OuterNorms, outer_norms
from rnngraph.norms import all_finite, norm, row_norms, step_norms
from rnngraph.trace.magnitudes import Magnitudes


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-200, 1.0, 1e200, 1e307])
def test_scale_does_not_matter(scale: float) -> None:
    with np.errstate(all="ignore"):
        assert norm(np.array([3.0, 4.0]) * scale) == pytest.approx(5 * scale, rel=1e-3 if scale < 1e-310 else 1e-14)


def test_float32_is_accumulated_in_float64() -> None:
    assert np.linalg.norm(np.array([1e-25], np.float32)) == 0  # the trap
    assert norm(np.array([3e-25, 4e-25], np.float32)) == pytest.approx(5e-25, rel=1e-6)


def test_columns_that_are_measured_together_are_each_as_by_hand() -> None:
    usual, tiny, huge = (
        [[[3.0, 4.0]], [[0.0, 0.0]]],
        [[[3e-200, 4e-200]], [[3.0, 4.0]]],
        [[[np.nan, 1]], [[3e200, 4e200]]],
    )
    with np.errstate(all="ignore"):
        norms = step_norms([np.array(one) for one in (usual, tiny, huge)])
        alone = step_norms([np.array(usual, np.float32)])
    np.testing.assert_allclose(norms, np.array([[5, 0], [5e-200, 5], [np.nan, 5e200]]), rtol=1e-14)
    np.testing.assert_array_equal(alone, [[5, 0]])


def test_finite_is_what_holds_neither_nan_nor_infinity_however_large() -> None:
    assert all_finite(np.array([1e308, -1e308, 1e308]))
    assert not any(all_finite(np.array([1.0, bad])) for bad in (np.nan, np.inf, -np.inf))


@pytest.mark.parametrize(("number", "status"), [(0.0, 1), (2.5, 0), (np.inf, 3), (np.nan, 3)])
def test_a_number_and_a_column_of_it_are_said_the_same_of(number: float, status: int) -> None:
    one, column = Magnitudes.of(number), Magnitudes.of([number, number])
    assert one.status.shape == ()
    assert one.status == status
    np.testing.assert_array_equal(column.status, [status, status])
    np.testing.assert_array_equal(column.value, [one.value, one.value])
    longer = column.lengthened(3)
    assert longer.status.tolist() == [status, status, 4]
    assert np.isnan(longer.value[2])


def test_nan_and_infinity_give_nan_and_leave_other_rows_alone() -> None:
    with np.errstate(all="ignore"):
        norms = row_norms(np.array([[np.nan, 1], [np.inf, 1], [3, 4], [0, 0]]))
    assert np.isnan(norms[:2]).all()
    assert list(norms[2:]) == [5, 0]


@pytest.mark.parametrize(("rows", "wide", "high"), [(1, 3, 4), (2, 30, 40), (3, 300, 200), (50, 3, 4), (250, 510, 510)])
@pytest.mark.parametrize("scale", [1.0, 1e-170])
def test_outer_norms_in_every_branch(rows: int, wide: int, high: int, scale: float) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(5, rows, wide)), rng.normal(size=(5, rows, high)) * scale
    expected = [np.linalg.norm(one.T @ (other / scale)) * scale for one, other in zip(left, right, strict=True)]
    np.testing.assert_allclose(outer_norms(left, right), expected, rtol=1e-12)
    total, norms = OuterNorms().summed(left, right)
    np.testing.assert_allclose(norms, expected, rtol=1e-12)
    np.testing.assert_allclose(total, np.einsum("tni,tno->io", left, right), rtol=1e-12, atol=1e-12 * scale)


def test_rows_that_cancel_are_not_measured_by_the_gram_form() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=300), rng.normal(size=200)  # so many that the product is not formed
    tiny = 1e-5 * rng.normal(size=300)
    left = np.stack([one + tiny, -one])[None]
    right = np.stack([other, other])[None]
    np.testing.assert_allclose(outer_norms(left, right), np.linalg.norm(tiny) * np.linalg.norm(other), rtol=1e-9)


def test_what_is_made_of_a_factor_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    gram = outer_norms_module._gram

    def counted(factor: np.ndarray) -> np.ndarray:
        made.append(factor.shape[2])
        return gram(factor)

    monkeypatch.setattr(outer_norms_module, "_gram", counted)
    rng = np.random.default_rng(0)
    right, outer = rng.normal(size=(4, 2, 200)), OuterNorms()
    for width in (300, 400):
        left = rng.normal(size=(4, 2, width))
        total, norms = outer.summed(left, right)
        np.testing.assert_allclose(norms, [np.linalg.norm(a.T @ b) for a, b in zip(left, right, strict=True)])
        np.testing.assert_allclose(total, np.einsum("tni,tno->io", left, right), atol=1e-12)
    assert made == [300, 200, 400]
    np.testing.assert_allclose(outer.of_steps(right), np.linalg.norm(right, axis=(1, 2)), rtol=1e-12)


@pytest.mark.parametrize(
    ("cell", "gates", "times"), [("LSTM", 4, 1), ("GRU", 3, 2)]
)  # a GRU has two gradients of gates
def test_norms_of_what_reaches_the_gates_are_taken_once(
    cell: str, gates: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    squares = norms_module._squares

    def counted(rows: np.ndarray) -> np.ndarray:
        widths.append(rows.shape[-1])
        return squares(rows)

    monkeypatch.setattr(norms_module, "_squares", counted)
    states = getattr(rg.nn, cell)(3, 5)(rg.Tape().input(np.ones((1, 7, 3))))
    rg.record((states * states).sum())
    assert widths.count(5 * gates) == times
