"""Functions that print, write, draw, catch, recurse or lose gradients: one sentence, and nothing is left changed."""

from __future__ import annotations

import contextlib
import functools
import math
import pickle
import random
import threading
import types
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError

X, W = np.random.default_rng(0).normal(size=(5, 3)), np.random.default_rng(1).normal(size=(3, 3)) * 0.5
STATE: dict[str, Any] = {"W": W, "calls": 0}
HISTORY: list[Any] = []


def recurrence(x: Any, w: Any) -> Any:
    h = np.zeros(3)
    for now in x:
        h = np.tanh(now + h @ w)
    return h.sum()


def prints(x: Any, w: Any) -> Any:
    value = recurrence(x, w)
    print(f"loss {value:.3f}", value, repr(value)[:3])
    return value


def test_a_function_that_prints_and_one_that_writes_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plain = recurrence(X, W)
    traced = rg.trace_function(prints, X, W)
    assert capsys.readouterr().out.startswith(f"loss {plain:.3f} {plain!s:.6}")
    assert float(traced.value) == pytest.approx(plain)

    def writes(x: Any, w: Any) -> Any:
        value = recurrence(x, w)
        np.save(tmp_path / "h.npy", value)
        return value

    rg.trace_function(writes, X, W)
    assert float(np.load(tmp_path / "h.npy")) == pytest.approx(plain)


def test_random_numbers() -> None:
    def seeded(x: Any, w: Any) -> Any:
        mask = np.random.default_rng(3).random(x.shape) < 0.8
        return recurrence(x * mask / 0.8, w)

    def global_ones(x: Any, w: Any) -> Any:
        return recurrence(x + np.random.randn(5, 3) + random.random(), w)  # noqa: NPY002

    def unseeded(x: Any, w: Any) -> Any:
        return recurrence(x + np.random.default_rng().normal(size=(5, 3)), w)

    assert rg.trace_function(seeded, X, W).notes == ()
    before: Any = np.random.get_state()  # noqa: NPY002
    other = random.getstate()
    assert rg.trace_function(global_ones, X, W).notes == ()
    after: Any = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(after[1], before[1])
    assert random.getstate() == other
    assert "draws random numbers of its own" in rg.trace_function(unseeded, X, W).notes[0]


def test_a_function_that_catches_everything_is_held_to_plain_runs() -> None:
    def careless(x: Any, w: Any) -> Any:
        value = recurrence(x, w)
        with contextlib.suppress(Exception):
            value = value * float(value)
        return value

    with pytest.raises(InputError, match=r"the recorded run gives a loss of .* and a plain one"):
        rg.trace_function(careless, X, W)


def test_a_gradient_that_is_lost_without_a_word_is_found_by_moving_the_arrays() -> None:
    def through_a_file(x: Any, w: Any) -> Any:
        value = recurrence(x, w)
        return value * pickle.loads(pickle.dumps(value))

    with pytest.raises(InputError, match=r"recorded loss has the slope .*, plain runs have .*: a gradient was lost"):
        rg.trace_function(through_a_file, X, W)
    with pytest.raises(InputError, match="a gradient was lost"):
        rg.trace_function(lambda x, w: 1e-4 * through_a_file(x, w) + 1.0, X, W)
    assert rg.trace_function(through_a_file, X, W, check=False).notes == ()


def test_a_kink_at_the_point_is_no_lost_gradient() -> None:
    def kinked(x: Any, w: Any) -> Any:
        return np.where(x > 0, x, 0.0).sum() + np.maximum(w, 0).sum() + np.abs(x).sum() + np.sort(x, axis=0)[0].sum()

    assert "has a kink at the very values" in rg.trace_function(kinked, np.zeros((5, 3)), np.zeros((3, 3))).notes[0]
    assert rg.trace_function(kinked, X, W).notes == ()


def first_of(x: Any, w: Any) -> Any:
    return math.erf(recurrence(x, w))


def into_plain(x: Any, w: Any) -> Any:
    out = PLAIN.zeros(3)
    out[0] = recurrence(x, w)
    return out.sum() + 0 * recurrence(x, w)


PLAIN = types.SimpleNamespace(zeros=lambda n: [0.0] * n and memoryview_zeros(n))


def memoryview_zeros(n: int) -> Any:
    import numpy

    return numpy.zeros(n)


REFUSED = {
    "float": (lambda x, w: np.sum(x) * float(recurrence(x, w)), r"float\(...\) would take a recorded value out"),
    "a builtin": (first_of, r"float\(...\) would take a recorded value"),
    "item": (lambda x, w: x.sum() * recurrence(x, w).item(), r"\.item\(\) would take a recorded value"),
    "plain array": (into_plain, "a recorded value was put into a plain array|making a plain NumPy array"),
    "flat": (lambda x, w: x.sum() * sum(recurrence(x, w) * x.flat), r"\.flat would take a recorded value"),
    "linspace": (lambda x, w: np.linspace(0.0, np.sum(x @ w)).sum(), r"np.linspace of a recorded array is not"),
    "kron": (lambda x, w: np.kron(x, w).sum(), r"np.kron of a recorded array is not differentiated here; use np.ein"),
    "prod": (lambda x, w: np.prod(x @ w), r"np.prod of a recorded array is not differentiated here; use np.exp"),
    "a method of a ufunc": (lambda x, w: np.multiply.accumulate(x @ w).sum(), "np.multiply.accumulate of a recorded"),
    "an option of a ufunc": (lambda x, w: np.exp(x, where=[True] * 3).sum(), "np.exp with options of a recorded array"),
    "into a plain one": (lambda x, w: np.exp(x, out=memoryview_zeros(15).reshape(5, 3)), "np.exp with out= a plain"),
    "a sum into a plain one": (lambda x, w: np.sum(x, out=memoryview_zeros(1).reshape(())), "np.sum with out= a plain"),
    "nothing": (lambda x, w: None, "the function returned nothing that is recorded"),
    "a word": (lambda x, w: "done", "the function returned nothing that is recorded"),
    "a constant": (lambda x, w: np.float64(3.0), "the function returned a float64 that is not recorded"),
    "integers": (lambda x, w: np.argmax(x @ w), "the function returned a int64 that is not recorded|returned nothing"),
    "twice": (lambda x, w: put_twice(x, w), "names an element twice"),
}  # fmt: skip


def put_twice(x: Any, w: Any) -> Any:
    out = np.zeros(3)
    out[np.array([0, 0])] = (x @ w)[:2, 0]
    return out.sum()


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_would_lose_a_gradient_is_one_sentence(name: str) -> None:
    function, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        rg.trace_function(function, X, W)


def test_a_function_that_never_multiplies_one_that_recurses_and_a_lambda() -> None:
    traced = rg.trace_function(lambda x: (x - x.mean()).max(), X)
    assert traced.found.startswith("no recurrence was found")

    def deep(x: Any, w: Any, t: int) -> Any:
        return np.zeros(3) if t < 0 else np.tanh(x[t] + deep(x, w, t - 1) @ w)

    @functools.cache
    def remembered(t: int) -> Any:
        return np.zeros(3) if t < 0 else np.tanh(X[t] + remembered(t - 1) @ W)

    for traced in (
        rg.trace_function(lambda x, w: deep(x, w, 4).sum(), X, W), rg.trace_function(lambda: remembered(4).sum())
    ):  # fmt: skip
        assert "5 steps" in traced.found
        assert float(traced.value) == pytest.approx(recurrence(X, W))
    assert not remembered.cache_info().currsize


def test_builtins_and_ufuncs() -> None:
    np.testing.assert_allclose(next(iter(rg.trace_function(np.sum, X).gradients.values())), 1.0)
    traced = rg.trace_function(np.tanh, X, loss=lambda y: y.sum())
    np.testing.assert_allclose(next(iter(traced.gradients.values())), 1 - np.tanh(X) ** 2)
    assert float(rg.trace_function(sum, list(X[0])[:0] or [X[0], X[1]], loss=lambda y: y.sum()).value) == pytest.approx(
        X[:2].sum()
    )


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [((None,), {}, "the forward is of type NoneType; pass a"), ((recurrence, X, W), {"steps": 1}, "steps is 1"),
     ((recurrence, np.full((5, 3), np.nan), W), {}, "x holds nan"),
     ((recurrence, X.astype(int), W.astype(int)), {}, r"no array of floats was given .* x\.astype\(float\)"),
     ((lambda x, w: x.astype(int).dot(w).sum(), X, W), {}, r"plain\.dot\(it\)")],
)  # fmt: skip
def test_arguments_that_cannot_be_used(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rg.trace_function(*arguments, **options)


def test_a_matrix_is_refused_by_its_name() -> None:
    with pytest.warns(PendingDeprecationWarning):
        w = np.asmatrix(W)
    with pytest.raises(InputError, match=r"^w is a np\.matrix, whose \* is a product; give np\.asarray of it"):
        rg.trace_function(recurrence, X, w)


def test_an_error_of_the_functions_own_stays_its_own() -> None:
    def wrong(x: Any, w: Any) -> Any:
        return STATE["missing"]

    with pytest.raises(KeyError, match="missing"):
        rg.trace_function(wrong, X, W)
    with pytest.raises(ValueError, match=r"dot of shapes|matmul|not aligned"):
        rg.trace_function(lambda x, w: x.T @ w, X, W)


def uses_globals(x: Any) -> Any:
    global HISTORY
    STATE["calls"] += 1
    HISTORY.append(x)
    h = np.zeros(3)
    for now in x:
        h = np.tanh(now + h @ STATE["W"])
        HISTORY = [*HISTORY, h]
    if STATE["calls"] > 10**6:
        raise KeyboardInterrupt
    return h.sum()


def interrupted(x: Any) -> Any:
    STATE["W"] = x
    np.zeros(3)
    raise KeyboardInterrupt


@pytest.mark.parametrize("function", [uses_globals, interrupted])
def test_nothing_is_left_changed(function: Any) -> None:
    before = dict(globals())
    state, copy = dict(STATE), W.copy()
    if function is interrupted:
        with pytest.raises(KeyboardInterrupt):
            rg.trace_function(function, X)
    else:
        assert set(rg.trace_function(function, X).gradients) == {"x", "STATE.W"}
    assert all(globals()[key] is value for key, value in before.items())
    assert globals().keys() == before.keys()
    assert all(STATE[key] is value for key, value in state.items())
    np.testing.assert_array_equal(W, copy)
    assert HISTORY == []


def test_what_functions_hold_is_recorded_and_put_back() -> None:
    held = np.ones(3)

    def function(x: Any, gain: Any = np.full(3, 0.5), *, shift: Any = np.zeros(3)) -> Any:  # noqa: B008
        return np.sum((gain * x + shift) @ W * held)

    before = function.__defaults__, function.__kwdefaults__
    traced = rg.trace_function(function, X)
    assert set(traced.gradients) == {"x", "gain", "shift", "W", "held"}
    np.testing.assert_allclose(traced.gradients["held"], (0.5 * X @ W).sum(axis=0))
    assert (function.__defaults__, function.__kwdefaults__) == before
    assert type(held) is np.ndarray


class AsAttributes(dict[str, Any]):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.__dict__ = self


@pytest.mark.parametrize("kind", [dict, OrderedDict, AsAttributes, lambda given: defaultdict(list, given)])
def test_dicts_of_every_kind_and_a_module_in_a_closure(kind: Any) -> None:
    module = types.ModuleType("layers_of_ones_own")
    text = (
        "import numpy as np\ndef step(x, h, w):\n    new = np.zeros(3)\n    new[:] = np.tanh(x + h @ w)\n    return new"
    )
    exec(text, vars(module))
    weights = kind({"W": W})

    def function(x: Any, weights: Any) -> Any:
        h = np.zeros(3)
        for now in x:
            h = module.step(now, h, weights.W if kind is AsAttributes else weights["W"])
        return h.sum() + np.sum(weights["W"] ** 2)

    traced = rg.trace_function(function, X, weights)
    right = rg.trace_function(recurrence, X, W).gradients["w"] + 2 * W
    np.testing.assert_allclose(traced.gradients["weights.W"], right, rtol=1e-12)
    assert (type(weights), *weights.values()) == (type(kind({})), W)


def test_arguments_are_not_changed_in_place() -> None:
    def grows(x: Any, w: Any) -> Any:
        x *= 2.0
        w[0] = 0.0
        return recurrence(x, w)

    x, w = X.copy(), W.copy()
    traced = rg.trace_function(grows, x, w)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(w, W)
    np.testing.assert_array_equal(traced.gradients["w"][0], 0.0)


def test_threads_take_turns() -> None:
    found: list[float] = []

    def one(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(5, 3))
        found.append(abs(float(rg.trace_function(recurrence, x, W).value) - recurrence(x, W)))

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert max(found) < 1e-12
