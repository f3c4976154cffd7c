"""NumPy expressions on recording arrays against central differences, and every name of NumPy."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
import rnngraph.numpy as rnp
from rnngraph.errors import InputError
from rnngraph.numpy.tables import kind_of
from tests.numpy.function_table import table

A = np.random.default_rng(0).uniform(0.2, 0.9, (3, 4))
B = np.random.default_rng(1).uniform(0.2, 0.9, (4, 3))
V = np.random.default_rng(2).uniform(0.2, 0.9, 4)
MASK = np.array([True, False, True, True])

EXPRESSIONS = """
a + a; a - v; a * v; a / v; a ** 2; a ** v; 2 ** a; a ** 0.5; -a; abs(a - 0.5); a @ b; a @ v; v @ b; v @ v; 3 - a
1 / a; a[1]; a[:, 2]; a[..., -1]; a[1:, ::2]; a[[0, 2, 2]]; a[:, mask]; a[a > 0.5]; a[np.newaxis, 0]
a[np.arange(3), [0, 1, 1]]; a.T; a.dot(b); a.sum(); a.sum(axis=0); a.sum(1, keepdims=True); a.mean(axis=-1); a.max()
a.min(axis=1); a.std(); a.var(axis=0); a.reshape(2, 6); a.reshape((4, -1)); a.ravel(); a.flatten(); a.transpose(1, 0)
a.swapaxes(0, 1); a.squeeze(); a.clip(0.3, 0.8); a.cumsum(axis=1); a.copy() * 2; a.astype(float) * 2
a.repeat(2, axis=0); a.take([0, 2], axis=1); a.diagonal(); a.trace(); np.exp(a); np.log(a); np.tanh(a); np.sqrt(a)
np.square(a); np.sin(a); np.cos(a); np.tan(a); np.sinh(a); np.cosh(a); np.arctan(a); np.arcsinh(a); np.arctanh(a)
np.log1p(a); np.expm1(a); np.log2(a); np.log10(a); np.exp2(a); np.reciprocal(a); np.maximum(a, 0.5); np.minimum(a, v)
np.maximum(0.4, a); np.logaddexp(a, v); np.power(a, v); np.power(a, 3); np.absolute(a); np.dot(a, b); np.dot(v, v)
np.dot(2.0, a); np.matmul(a, b); np.inner(v, v); np.inner(a, a); np.outer(v, v); np.vdot(v, v)
np.einsum('ij,jk->ik', a, b); np.einsum('ij,ij->', a, a); np.einsum('ij,j', a, v); np.einsum('ij->ji', a); np.sum(a)
np.sum(a, axis=(0, 1)); np.mean(a, axis=0, keepdims=True); np.max(a, axis=0); np.amin(a); np.var(a); np.std(a, axis=1)
np.cumsum(a); np.diff(a); np.diff(a, axis=0); np.average(a, axis=1); np.ptp(a); np.linalg.norm(a); np.linalg.norm(v)
np.trace(a); np.concatenate([a, a]); np.concatenate((a, b.T), axis=1); np.hstack([a, a]); np.hstack((v, v))
np.vstack([a, v]); np.stack([v, v]); np.stack([v, v], axis=1); np.column_stack([v, v]); np.dstack([a, a])
np.append(a, v); np.append(a, a, axis=0); np.array([v, v]); np.array([v.sum(), v.max(), 1.0])
np.split(a, 2, axis=1)[1]; np.array_split(v, 3)[0]; np.hsplit(a, 2)[0]; np.vsplit(a, 3)[1]; np.reshape(a, (2, 6))
np.ravel(a); np.transpose(a); np.swapaxes(a, 0, 1); np.moveaxis(a, 0, 1); np.rollaxis(a, 1); np.squeeze(a[None])
np.expand_dims(a, 1); np.atleast_2d(v); np.atleast_1d(v.sum()); np.broadcast_to(v, (2, 4)); np.clip(a, 0.3, None)
np.where(a > 0.5, a, 2 * a); np.where(mask, v, 0.0); np.take(a, [1, 1], axis=0); np.repeat(v, 3); np.tile(a, (2, 1))
np.roll(a, 1); np.roll(a, 1, axis=0); np.flip(a); np.flip(a, 1); np.fliplr(a); np.flipud(a); np.rot90(a)
np.diag(a @ b); np.diag(v); np.tril(a); np.triu(a, 1); np.delete(a, 1, axis=0); np.resize(v, (2, 4))
np.take_along_axis(a, np.argsort(a, axis=1), axis=1); np.copy(a) * 3; np.sum([v.sum(), v.max()])
np.mean([v[0], v[1]]); np.add.reduce(a); np.maximum.reduce(a); np.add.accumulate(v); np.subtract(a, v); (a > 0.5) * a
a * np.sign(a - 0.5); np.sum(a * (np.argmax(a) + 1)); [row for row in a][2]; sum(a); a * a.shape[0]; np.diagflat(v)
np.zeros_like(a) + a; np.ones_like(a) * a; np.full_like(a, 2.0) * a; np.asarray(a) * 2; np.broadcast_arrays(v, a)[0]
np.fabs(a - 0.5); np.conj(a); np.fmax(a, 0.5); np.fmin(a, v); np.minimum.reduce(a, axis=1); v[::-1]; a[-1, -1]
np.einsum('ij,jk,kl->il', a, b, a); np.positive(a); np.float_power(a, 2); np.tensordot(a, b, 1)
np.tensordot(a, a, ((0, 1), (0, 1))); np.tensordot(b, a, axes=(1, 0)); np.tensordot(v, v, 0); np.pad(a, 1)
np.dot(a, np.stack([b, b])); np.inner(a, np.stack([a, 2 * a])); np.dot(np.stack([a, a]), np.stack([b, b]))
np.pad(a, ((0, 1), (0, 0)), constant_values=1); np.pad(v, (2, 0), 'constant'); np.sort(a); np.sort(a, axis=0)
np.sort(a, None); np.nan_to_num(a); np.linalg.inv(a @ b + np.eye(3)); np.linalg.pinv(a); np.linalg.pinv(b)
np.linalg.solve(a @ b + np.eye(3), a); np.linalg.pinv(np.outer(v, v))
np.einsum('ij,jk->ki', a, b); np.einsum('ij,ki->jk', a, b); np.einsum('ij,ki->kj', a, b); np.einsum('ji,ki->jk', a, a)
np.einsum('ij,ik->kj', a, a); np.einsum('ij,jk', b, a); np.einsum('j,ij->i', v, a); np.einsum('j,jk->k', v, b)
np.einsum('ij,jk->i', a, b)
np.r_[v, 2.0, a[0]]; np.r_[0:3, v]; np.r_[a, a]; np.r_[[v[0], v[1]], v]; np.c_[v, 1:5, v]; np.c_[np.ones(3), a]
np.c_[v[0], v[1]]; np.c_[a, a]; np.lib.stride_tricks.sliding_window_view(v, 2)
np.stack([a, a]) @ v; v @ np.stack([b, b]); np.dot(np.stack([a, a]), v); np.matmul(v, b[None]); np.dot(a[None], b)
np.vectorize(lambda x: x * x if x > 0.5 else 3.0)(a)
np.einsum('ij,jk->ik', a[:, :1], b); np.einsum('ij,jk->ik', a, a[:1]); np.einsum('ij,ij->j', a, a[:1])
np.einsum('ij->', a); np.einsum('kij->j', a[None]); np.trace(a, 1); np.trace(a[None] * a[:, None, None], 0, 1, 3)
np.average(a, axis=0, weights=[1, 2, 3]); np.average(a @ b, axis=0, weights=[1, 2, 3]); np.average(a, 1, weights=v)
np.average(a, axis=0, weights=a); np.average(v, weights=v); np.median(a); np.median(a, axis=0); np.median(v[:3])
np.percentile(v, 30); np.percentile(a, [0, 25, 100], axis=1); np.quantile(a, 0.7, 0); np.quantile(v, [[0.1], [0.6]])
a.T.ravel(order='A'); a.T.flatten('K'); a.T.reshape(6, 2, order='A'); (a.T * 2).ravel('K'); np.array(v, ndmin=2)
np.full_like(a, fill_value=v); np.array([v, v], ndmin=3); np.full((2, 4), v); np.full(3, v[0]); a.mT
np.full((2, 4), fill_value=v, dtype=float); np.matrix_transpose(a)
"""


def expressions() -> list[str]:
    return [one.strip() for line in EXPRESSIONS.strip().splitlines() for one in line.split(";")]


def evaluate(text: str, numpy: Any, a: Any, b: Any, v: Any) -> Any:
    return eval(text, {"np": numpy, "a": a, "b": b, "v": v, "mask": MASK})


def test_there_are_very_many_expressions() -> None:
    assert len(set(expressions())) >= 180


@pytest.mark.parametrize("text", expressions())
def test_an_expression_has_the_value_and_the_gradient_that_it_should(text: str) -> None:
    def function(a: Any, b: Any, v: Any) -> Any:
        return evaluate(text, np, a, b, v) + 0 * (a.sum() + b.sum() + v.sum())

    value = np.asarray(evaluate(text, np, A, B, V))
    weights = np.random.default_rng(3).normal(size=value.shape)
    traced = rg.trace_function(function, A, B, V, loss=lambda y: (y * weights).sum(), check=False)
    np.testing.assert_allclose(traced.outputs, value, rtol=1e-13)
    for name, array in (("a", A), ("b", B), ("v", V)):
        direction = np.random.default_rng(4).normal(size=array.shape)
        given = {"a": A, "b": B, "v": V}
        slopes = [
            float((np.asarray(evaluate(text, np, **{**given, name: array + k * 1e-5 * direction})) * weights).sum())
            for k in (-1, 1)
        ]
        slope = (slopes[1] - slopes[0]) / 2e-5
        assert float((traced.gradients[name] * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-8), name


STATEMENTS = {
    "put a row": "out = np.zeros((3, 4)); out[1] = v",
    "put a column": "out = np.zeros((4, 3)); out[:, 1] = v",
    "put and read": "out = np.zeros((3, 4)); out[0] = v; out[1] = out[0] * 2; out[2] = out[1] + out[0]",
    "put twice": "out = np.zeros((3, 4)); out[0] = v; out[0] = 2 * v",
    "put a slice": "out = np.zeros(6); out[1:5] = v; out[2:4] = 0.5",
    "put parts of a row": "out = np.zeros((2, 8)); out[0, :4] = v; out[0, 4:] = 3 * v; out[1] = out[0] ** 2",
    "put by a mask": "out = np.zeros((3, 4)); out[a > 0.5] = a[a > 0.5] ** 2",
    "put a number": "out = v.copy(); out[1] = 0.0; out[2] = v[0] * v[1]",
    "in place": "out = a.copy(); out += v; out *= 2.0; out -= a; out /= 3.0",
    "in place on a row": "out = a.copy(); out[1] += v; out[:, 0] *= 2.0",
    "a view writes through": "out = a.copy(); row = out[1]; row[...] = v; row += 1.0",
    "a view sees a write": "base = a.copy(); row = base[1]; base[1] = v; out = row * 2",
    "a copy does not": "base = a.copy(); row = base[1].copy(); base[1] = v; out = row * 2",
    "an alias": "out = a.copy(); other = out; other[0] = v",
    "fill": "out = np.empty((3, 4)); out.fill(1.0); out[2] = v; out[...] = out * 2",
    "out=": "out = np.zeros((3, 4)); np.multiply(a, a, out=out); np.clip(out, 0.2, 0.6, out=out)",
    "out= of a product": "out = np.empty((3, 3)); np.dot(a, a.T, out=out); out += 1.0; np.tanh(out, out=out)",
    "add at": "out = np.zeros((3, 4)); np.add.at(out, [0, 2, 2], a)",
    "add at a plain one": "out = np.zeros(4); np.add.at(out, np.array([1, 1, 3]), v[:3])",
    "a list of rows": "out = np.zeros((2, 4)); out[:] = [v, 2 * v]",
    "a plain buffer in arithmetic": "out = np.zeros((3, 4)) + 1.0; out[0] = v; out = out * np.ones(4)",
    "broadcast in": "out = np.zeros((3, 4)); out[:] = v; out[:, 1:3] = v[0]",
    "unpack": "p, q, r = a; out = p * q + r",
    "a scalar does not alias": "s = v.sum(); t = s; s += 1.0; out = s * t",
    "random numbers": "out = np.random.default_rng(0).normal(size=(3, 4)); out = out * a; out[0] = v",
}


@pytest.mark.parametrize("name", list(STATEMENTS))
def test_statements_that_change_arrays(name: str) -> None:
    space: dict[str, Any] = {"np": np, "__name__": "a_users_module"}
    exec("def f(a, b, v):\n    " + STATEMENTS[name] + "\n    return out", space)
    value = space["f"](A.copy(), B.copy(), V.copy())
    weights = np.random.default_rng(3).normal(size=np.shape(value))
    traced = rg.trace_function(space["f"], A, B, V, loss=lambda y: (y * weights).sum())
    np.testing.assert_allclose(traced.outputs, value, rtol=1e-13)
    for key, array in (("a", A), ("v", V)):
        direction = np.random.default_rng(4).normal(size=array.shape)
        given = {"a": A, "b": B, "v": V}
        ends = [
            space["f"](**{n: (x + k * 1e-5 * direction if n == key else x.copy()) for n, x in given.items()})
            for k in (-1, 1)
        ]
        slope = float(((ends[1] - ends[0]) * weights).sum()) / 2e-5
        assert float((traced.gradients[key] * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-8), key


@pytest.mark.parametrize("letters", ["ij,jk->ik", "ij,jk->i", "ijk,jk->i"])
def test_an_einsum_of_shapes_that_do_not_fit(letters: str) -> None:
    with pytest.raises(InputError, match=r"\(3, 4\).*\(3, 4\)"):
        rg.trace_function(lambda a: np.einsum(letters, a, a), A, loss=lambda y: y.sum(), check=False)


def test_every_name_of_numpy_is_there() -> None:
    for name in dir(np):
        if not name.startswith("__"):
            assert getattr(rnp, name) is not None or getattr(np, name) is None, name
    assert {"tanh", "zeros"} <= set(dir(rnp))
    with pytest.raises(AttributeError):
        rnp.no_such_name  # noqa: B018
    modules = {path.stem for path in Path(rnp.__file__).parent.iterdir()}
    assert {"recorded", "finding"} <= modules
    assert modules.isdisjoint(dir(np))


def test_every_function_is_differentiated_works_on_values_or_is_refused_in_a_sentence() -> None:
    rows = table()
    assert {row.kind for row in rows} == {"differentiated", "values", "refused"}
    tensor = rg.trace_function(lambda x: x * 2, A).tape
    for row in rows:
        assert kind_of(getattr(np, row.name)) == row.kind
    counts = {kind: sum(row.kind == kind for row in rows) for kind in ("differentiated", "values", "refused")}
    assert counts["differentiated"] >= 100, counts
    assert len(tensor) > 1


@pytest.mark.parametrize("name", [row.name for row in table() if row.kind == "refused" and row.unary])
def test_a_refusal_names_the_function_and_what_to_use(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"np\.{getattr(np, name).__name__} of a recorded array is not differentiated here; use "
    ):
        rg.trace_function(lambda x: getattr(np, name)(x), A)


def test_comparisons_copies_and_pickles() -> None:
    def function(a: Any) -> Any:
        assert isinstance(a, np.ndarray)
        assert (a > 0.5).dtype == bool
        assert bool(a[0, 0] > 0)
        assert int(a.sum() * 0) == 0
        assert len(a) == 3
        assert a.size == 12
        assert f"{a[0, 0]:.2f}" == f"{A[0, 0]:.2f}"
        assert type(pickle.loads(pickle.dumps(a))).__module__ == "numpy"
        return (copy.deepcopy(a) * copy.copy(a)).sum()

    traced = rg.trace_function(function, A)
    np.testing.assert_allclose(traced.gradients["a"], 2 * A)


def test_the_documented_table_is_that_of_the_code() -> None:
    from tests.numpy.function_table import DOCUMENT, document

    written = DOCUMENT.read_text(encoding="utf-8")
    if f"NumPy {np.__version__}" not in written:
        pytest.skip("the page was written with another NumPy, which has other names")
    assert written == document()
