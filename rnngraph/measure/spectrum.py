"""The spectrum of a recurrence: finite-time Lyapunov exponents, and the largest singular values of its Jacobians.

In: a tape. Out: a `SpectrumTrace` a group of states that one step carries together. Exponents come from the adjoint
recursion, `Q <- qr(J_tᵀ Q)` with t descending (walking t upwards there would multiply in the reversed order). Steps
that copied the state over padding, or over which the recurrence was cut, are left out of product and count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.measure.jacobian import StepJacobian, units
from rnngraph.trace.magnitudes import Booleans, Floats
from rnngraph.trace.model import SpectrumTrace
from rnngraph.measure.names import layer_name
from rnngraph.measure.overview import valid_steps
from rnngraph.measure.routes import Routes, StateKey
from rnngraph.measure.transitions import processing_order, transitions, unseen_ways

_SAMPLES = 8
_ROUNDS, _BLOCK = 24, 4  # of the subspace iteration for a largest singular value
_TOLERANCE = 1e-10


def spectrum(
    loss: Tensor | Tape, k: int | None = None, *, stack: str | None = None, samples: int = _SAMPLES
) -> SpectrumTrace:
    """Measure the spectrum of the recurrence behind a loss.

    Args:
        loss: any tensor of the tape, or the tape.
        k: how many exponents, the largest first; by default 8, or as many as there are.
        stack: which recurrence, by the `name` that the result carries, where there are several: the layers of one
            stack are one; both directions of a layer are two.
        samples: how many samples of the batch are walked; exponents are means over them.

    Raises:
        InputError: a `k` below 1 or above the size of the state, no recurrence on the tape, several and no `stack`, or
            a step that reads other states than the last.
    """
    if not isinstance(loss, Tape | Tensor):
        raise InputError(f"the loss is a {type(loss).__name__}; pass the scalar Tensor that the model computed.")
    tape = loss if isinstance(loss, Tape) else loss.tape
    if not tape.recurrences:
        raise InputError("the tape holds no recurrence; declare the states of your own cell with tape.state.")
    found = {one.name: one for one in measure(tape, 8 if k is None else k, samples=samples, clip=k is None)}
    if stack is None and len(found) == 1:
        return next(iter(found.values()))
    if stack not in found:
        given = "several recurrences are there" if stack is None else f"there is no recurrence {stack!r}"
        raise InputError(f"{given}; choose with stack=: {', '.join(found)}.")
    return found[stack]


def measure(tape: Tape, k: int, *, samples: int = _SAMPLES, clip: bool = True) -> tuple[SpectrumTrace, ...]:
    """Measure `k` exponents, or as many as the state has where `clip` is true.

    Raises:
        InputError: a `k` below 1; or above the size of the state, where `clip` is false.
    """
    k = whole_number(k, "the number of Lyapunov exponents", least=1)
    routes = Routes(tape)
    chosen = np.unique(np.linspace(0, routes.batch - 1, min(max(samples, 1), routes.batch)).round().astype(int))
    found = []
    with np.errstate(all="ignore"):
        for name, keys in groups(routes):
            window = _window(routes, keys, chosen)
            if k > window.size and not clip:
                raise InputError(f"{k} exponents of {name} were asked for, but its state has {window.size} numbers.")
            singular = np.full(len(keys[0].ids), np.nan)
            for t, jacobian, valid in window.steps:
                singular[t] = largest_singular_value(jacobian, valid)
            exponents = lyapunov(window, min(k, window.size))
            found.append(SpectrumTrace(name, exponents, singular, product_log(window)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Window:
    """The steps of a group in processing order: timestep, Jacobian, which samples take it; and the state's size."""

    steps: list[tuple[int, StepJacobian, Booleans]]
    size: int
    samples: int


def groups(routes: Routes) -> list[tuple[str, list[StateKey]]]:
    """Gather the states that one step carries together: a whole stack, or a layer's direction where there are two."""
    both = {key.recurrence.name for key in routes.states if key.recurrence.direction == "reverse"}
    found: dict[str, list[StateKey]] = {}
    for key in routes.states:
        name = layer_name(key.recurrence) if key.recurrence.name in both else key.recurrence.name
        others = {len(other.ids) for other in found.get(name, ())}
        if others - {len(key.ids)}:  # declared alike, but not carried together
            name = f"{name}.{key.kind}"
        found.setdefault(name, []).append(key)
    return list(found.items())


def lyapunov(window: Window, k: int) -> Floats:
    """Compute the `k` largest exponents, nats per step, (k,): means over samples; NaN where no step is valid."""
    generator = np.random.default_rng(0)
    start = generator.normal(size=(window.samples, window.size, k))
    basis = np.linalg.qr(start)[0]
    total, count = np.zeros((window.samples, k)), np.zeros(window.samples)
    for _, jacobian, valid in reversed(window.steps):
        if not valid.any():
            continue
        moved = jacobian.back(np.moveaxis(basis, -1, 0))
        if not np.isfinite(moved).all():
            return np.full(k, np.nan)
        q, r = np.linalg.qr(np.moveaxis(moved, 0, -1))
        size = np.log(np.abs(np.diagonal(r, axis1=-2, axis2=-1)))
        total[valid] += size[valid]
        basis = np.where(valid[:, None, None], q, basis)
        count += valid
    if not count.any():
        return np.full(k, np.nan)
    rates = total[count > 0] / count[count > 0, None]
    return np.asarray(np.sort(rates.mean(axis=0))[::-1])


def largest_singular_value(jacobian: StepJacobian, valid: Booleans) -> float:
    """Compute the largest singular value of one step over its valid samples, by subspace iteration."""
    if not valid.any():
        return float("nan")
    if not jacobian.can_push:
        matrices = jacobian.matrix()[valid]
        return (
            float(np.linalg.norm(matrices, ord=2, axis=(1, 2)).max()) if np.isfinite(matrices).all() else float("nan")
        )
    size, samples = sum(jacobian.sizes), len(valid)
    generator = np.random.default_rng(1)
    basis = np.linalg.qr(generator.normal(size=(samples, size, min(_BLOCK, size))))[0]
    value = 0.0
    for _ in range(_ROUNDS):
        moved = jacobian.forward(np.moveaxis(basis, -1, 0))
        if not np.isfinite(moved).all():
            return float("nan")
        before = value
        value = float(np.linalg.norm(moved[:, valid].swapaxes(0, 1), ord=2, axis=(1, 2)).max())
        if abs(value - before) <= _TOLERANCE * value:
            break
        basis = np.linalg.qr(np.moveaxis(jacobian.back(moved), 0, -1))[0]
    return value


def product_log(window: Window, rounds: int = 10) -> float:
    """Compute ln of the largest singular value of the product over all steps, the largest over samples."""
    steps = [step for step in window.steps if step[2].any()]
    if not steps or not all(jacobian.can_push for _, jacobian, _ in steps):
        return float("nan")
    vector = np.random.default_rng(2).normal(size=(1, window.samples, window.size))
    vector /= np.linalg.norm(vector, axis=-1, keepdims=True)
    taken = np.any([valid for _, _, valid in steps], axis=0)
    value = np.full(window.samples, -np.inf)
    for _ in range(rounds):
        logs = np.zeros(window.samples)
        for _, jacobian, valid in steps:
            vector, logs = _renormalised(jacobian.forward(vector), vector, valid, logs)
        before, value = value, logs
        for _, jacobian, valid in reversed(steps):
            vector, _ = _renormalised(jacobian.back(vector), vector, valid, logs)
        if not np.isfinite(vector).all():
            return float("nan")
        if np.all(np.abs(value - before)[taken] <= _TOLERANCE):
            break
    return float(value[taken].max())


def _renormalised(moved: Floats, kept: Floats, valid: Booleans, logs: Floats) -> tuple[Floats, Floats]:
    size = np.linalg.norm(moved, axis=-1, keepdims=True)
    unit = np.where(size > 0, moved / np.where(size > 0, size, 1), 0)
    return np.where(valid[None, :, None], unit, kept), logs + np.where(valid, np.log(size[0, :, 0]), 0)


def _window(routes: Routes, keys: list[StateKey], samples: Array) -> Window:
    time = len(keys[0].ids)
    found = transitions(routes, keys)
    valid = (valid_steps(routes.tape, routes.batch, time) & ~found.copied & ~found.severed)[samples]
    order = processing_order(keys[0], time)
    unseen = unseen_ways(routes, keys, order)
    if unseen:
        name = keys[0].recurrence.name
        raise InputError(
            f"a step of {name} reads {unseen}; declare all that one step carries by one name, such as '{name}.h' and "
            f"'{name}.c', to get a spectrum."
        )
    steps = []
    for place, t in enumerate(order):
        if place:
            before = [key.ids[order[place - 1]] for key in keys]
        elif all(key.kind in key.recurrence.initial for key in keys):
            before = [key.recurrence.initial[key.kind] for key in keys]
        else:
            continue
        jacobian = StepJacobian(routes, [key.ids[t] for key in keys], before, samples=samples)
        steps.append((t, jacobian, valid[:, t]))
    size = sum(units(routes, key.ids[0]) for key in keys)
    return Window(steps, size, len(samples))
