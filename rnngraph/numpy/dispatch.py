"""From a call of NumPy on recording arrays to a node on the tape, to a plain result, or to one sentence.

In: what `__array_ufunc__` and `__array_function__` are given. Out: recording arrays, arrays of values, or an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.along import DOT
from rnngraph.autodiff.node import Op
from rnngraph.numpy.tables import JOINS, RULES, SCIPY, UFUNCS, VALUES, refusal
from rnngraph.numpy.tape import NOTHING
from rnngraph.numpy.values import Handle, recorded_in, unwrapped, value_of, wrapped

if TYPE_CHECKING:
    from rnngraph.numpy.recorded import Recorded


def ufunc(function: Any, method: str, given: Sequence[Any], out: Any, options: dict[str, Any]) -> Any:
    """Record a call of a ufunc, or of one of its methods."""
    if out is None and not options and method == "__call__":
        op = UFUNCS.get(function) or SCIPY.get(function.__name__)
        found = None if op is None or len(given) > 2 else quick(op, function, *given)
        if found is not None:
            return found
    target = given[0]
    given = [unwrapped(one) for one in given]
    source = recorded_in(given)
    if out is not None:
        return _into(out[0], function, method, (given, options, source))
    called = getattr(function, method)
    if source is None:
        return wrapped(called(*given, **options))
    if method != "__call__":
        if called in RULES:
            return RULES[called](*([target] if method == "at" else given[:1]), *given[1:], **options)
        raise refusal(f"{function.__name__}.{method}")
    if function in VALUES:
        return function(*value_of(given), **options)
    if options:
        raise refusal(f"{function.__name__} with options")
    if function in UFUNCS:
        return operated(UFUNCS[function], given)
    if function in RULES:
        return RULES[function](*[stacked(one) for one in given])
    raise refusal(function.__name__)


def quick(op: Op, function: Any, a: Any, b: Any = NOTHING) -> Any:
    """Record an op that a function of NumPy computes, of recorded arrays; None for what needs a second look."""
    if b is NOTHING:
        i = a.settled()
        if i < 0:
            return _mixed(op, a)
        one = a.tape.entry(i)
        return a.tape.enter(op, (i,), (one.value,), function(one.value), one.requires)
    if not (isinstance(a, Handle) and isinstance(b, Handle)):
        return _mixed(op, a, b)
    i = a._node if a._source is None and a._parts is None else a.settled()  # without a call, as a rule
    j = b._node if b._source is None and b._parts is None else b.settled()
    if i < 0 or j < 0:
        return _mixed(op, a, b)
    tape = a.tape
    one, other = tape.entry(i), tape.entry(j)
    try:
        value = function(one.value, other.value)
    except ValueError:
        return tape.record(op, (i, j), NOTHING)  # which says that the shapes do not fit
    return tape.enter(op, (i, j), (one.value, other.value), value, one.requires or other.requires)


def _mixed(op: Op, *given: Any) -> Any:
    """Record an op on recorded arrays and plain ones; None for lists, and arrays that are plain yet."""
    source = next((one for one in given if isinstance(one, Handle) and (one.settled() >= 0 or one.plain is None)), None)
    plain = [one for one in given if type(one) in (list, tuple) or (isinstance(one, Handle) and one.plain is not None)]
    if source is None or plain:
        return None
    tape = source.tape
    return tape.record(op, tuple([tape.lift(one, source.dtype) for one in given]), NOTHING)


def quick_product(a: Any, b: Any) -> Any:
    """Record a product of two recorded matrices or vectors; None for anything else."""
    if not isinstance(b, Handle):
        return None
    ids = i, j = a.settled(), b.settled()
    if i < 0 or j < 0:
        if a.plain is not None or b.plain is not None:
            return None
        ids = a.id, b.id
    tape = a.tape
    left, right = tape.entry(ids[0]), tape.entry(ids[1])
    one, other = arguments = left.value, right.value
    axes = one.ndim, other.ndim
    if axes == (2, 2) and one.shape[1] == other.shape[0]:
        return tape.enter(ops.MATMUL, ids, arguments, np.dot(one, other), left.requires or right.requires)
    op = DOT if axes in _WITH_VECTORS else ops.MATMUL if axes == (2, 2) else None
    return None if op is None else tape.record(op, ids, NOTHING)


_WITH_VECTORS = frozenset(((1, 1), (1, 2), (2, 1)))


def together(given: Sequence[Any]) -> list[Recorded]:
    """Give recorded arrays of anything, of which one is recorded at least."""
    source: Any = recorded_in(list(given))
    return [lifted(one, source) for one in given]


def operated(op: Op, given: Sequence[Any], options: dict[str, Any] = NOTHING) -> Any:
    """Record an op on operands of which one is recorded at least."""
    lifts = together(given)
    return lifts[0].tape.record(op, tuple([one.id for one in lifts]), options)


def _into(target: Any, function: Any, method: str, call: tuple[list[Any], dict[str, Any], Any]) -> Any:
    """Write a result into `out`, as `x += y` does."""
    given, options, source = call
    if not isinstance(target, Handle):
        if source is None:
            return getattr(function, method)(*given, out=target, **options)
        raise refusal(f"{function.__name__} with out= a plain array")
    if source is None and target.plain is not None:
        getattr(function, method)(*given, out=target.plain, **options)
        return target
    return target.become(ufunc(function, method, given, None, options))


def function(called: Any, given: Sequence[Any], options: dict[str, Any]) -> Any:
    """Record a call of a function of NumPy; a list of recorded arrays is one array, where it is not to be joined."""
    out, options = options.get("out"), {key: unwrapped(one) for key, one in options.items() if key != "out"}
    if isinstance(out, Handle):  # it is written into, and not read
        return out.become(function(called, given, options))
    given = [unwrapped(one) for one in given]
    if recorded_in([*given, *options.values()]) is None:
        return wrapped(called(*given, **options) if out is None else called(*given, out=out, **options))
    if out is not None:
        raise refusal(f"{called.__name__} with out= a plain array")
    if called in RULES:
        first = given[:1] if called in JOINS else map(stacked, given[:1])
        return RULES[called](*first, *given[1:], **options)
    if called in VALUES:
        return called(*value_of(given), **value_of(options))
    raise refusal(called.__name__)


def stacked(x: Any) -> Any:
    """Make one array of a list that holds recorded ones; anything else stays as it is."""
    if type(x) not in (list, tuple) or recorded_in(x) is None:
        return x
    return RULES[np.stack]([one if isinstance(one, Handle) else stacked(one) for one in x])


def lifted(x: Any, source: Recorded) -> Recorded:
    """Give a recorded array of anything, on the tape of another."""
    x = stacked(unwrapped(x))
    if isinstance(x, Handle):
        return x  # type: ignore[return-value]
    found: Recorded = source.tape.tensor(source.tape.lift(x, source.dtype))
    return found


def copied(x: Recorded) -> Recorded:
    """Give an array of its own with the same value."""
    plain = x.plain
    if plain is not None:
        return wrapped(plain.copy())  # type: ignore[no-any-return]
    return x.tape.tensor(x.id)


def product(a: Any, b: Any) -> Any:
    """Record a matrix product, also with vectors."""
    found = quick_product(a, b) if isinstance(a, Handle) else None
    if found is not None:
        return found
    a, b = together([a, b])
    axes = a.ndim, b.ndim
    if not min(axes):
        np.matmul(a.value, b.value)  # NumPy's own error
    if max(axes) > 2 and min(axes) == 1:
        found = product(a, b.reshape(-1, 1)) if axes[1] == 1 else product(a.reshape(1, -1), b)
        return found.reshape(found.shape[:-1] if axes[1] == 1 else (*found.shape[:-2], found.shape[-1]))
    return operated(ops.MATMUL if min(axes) >= 2 else DOT, [a, b])
