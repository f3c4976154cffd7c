"""One step of a scan, computed again, with identities that hand out what comes back to them: its taps.

In: a `Site`, arguments of a step, and slots, which are numbers or arrays that are not read. Out: what the step carries
and emits. The gradient of a slot is then that of a state, or its norms, while nothing of the run is changed; an
addition of zeros would do as well, and would not be exact. A state is tapped where it is defined, at any depth of
calls, so that whatever reads it in its own step counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.finding.form import Form
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.walk import compute

Mark: TypeAlias = Callable[[int, Any], Any]  # takes a number and a value
ByPlace: TypeAlias = dict[int, Any]
_OPTIONS = ("length", "reverse", "unroll", "_split_transpose")


def handing(told: Callable[[Any], tuple[Any, Any]]) -> Any:
    """Make a tap: of what comes back, `told` says what goes on and what the slot gets."""
    one: Any = jax.custom_vjp(lambda value, slot: value)
    one.defvjp(lambda value, slot: (value, None), lambda _, arrived: told(arrived))
    return one


def _at_size_one(arrived: Any) -> tuple[Any, Any]:
    largest = jnp.max(jnp.abs(arrived), initial=0)
    return (arrived / _scale(largest)).astype(arrived.dtype), (largest > 0).astype(jnp.float32)


tap = handing(lambda arrived: (arrived, arrived))  # what comes back goes on unchanged, and to the slot
tap_to_size_one = handing(_at_size_one)  # it goes on at size one, never small; the slot hears whether any came


@cache
def tap_of_norms(axis: int | None) -> Any:
    """Give the tap whose slot gets the norms of samples along an axis."""
    return handing(lambda arrived: (arrived, norms_along(axis, arrived)))


def computed(form: Form, arguments: Sequence[Any], mark: Mark = lambda _, value: value) -> dict[int, Any]:
    """Compute a step; give all of its values by number. What its lines make is marked where it is made."""
    values = {**form.literals, **form.constants, **dict(zip(form.arguments, arguments, strict=True))}
    for line in form.lines:
        found = compute(line.equation, [values[one] for one in line.given])
        values.update({one: mark(one, value) for one, value in zip(line.made, found, strict=True)})
    return values


def tapped(site: Site, arguments: Sequence[Any], slots: Sequence[Any], taps: Sequence[Any] = ()) -> list[Any]:
    """Compute one step with a tap at every state; give what it carries and emits.

    A step of which the user has a part computed again on the way back is computed again as a whole.
    """
    form = site.form

    def function(arguments: Sequence[Any], slots: Sequence[Any]) -> list[Any]:
        wanted = list(zip(site.defined, site.states, slots, taps or [tap] * len(slots), strict=True))

        def mark(number: int, value: Any) -> Any:
            for one, _, slot, by in wanted:
                value = by(value, slot) if one == number else value
            return value

        values = computed(form, arguments, mark)
        results = [values[one] for one in form.results]
        for one, k, slot, by in wanted:
            if one not in form.maker:  # it is handed on, and defined elsewhere
                results[k] = by(results[k], slot)
        return results

    again = form.checkpoint
    found: list[Any] = (function if again is None else checkpointed(again, function))(list(arguments), list(slots))
    return found


def checkpointed(equation: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function be computed again on the way back, as an equation says."""
    params = equation.params
    wrapped: Callable[..., Any] = jax.checkpoint(function, policy=params["policy"], prevent_cse=params["prevent_cse"])
    return wrapped


def scan(site: Site, function: Callable[..., Any], initial: list[Any], read: Any) -> tuple[list[Any], Any]:
    """Run a scan with another step, as the user's is run."""
    params = {name: site.equation.params[name] for name in _OPTIONS if name in site.equation.params}
    found: tuple[list[Any], Any] = jax.lax.scan(function, initial, read, **params)
    return found


# ---- what every step was given: all steps can then be computed again, in any order
def all_steps(site: Site, operands: Sequence[Any], carried: Mapping[int, Any]) -> list[Any]:
    """Give the arguments of all steps, stacked but where every step is given the same.

    `carried` is what was carried after every step, in the order of the scan's arrays, of all that is not held.
    """
    constants, initial, read = site.divide(operands)
    before = [initial[k] if k in site.held else _before(site, initial[k], carried[k]) for k in range(site.count)]
    return [*constants, *before, *read]


def _before(site: Site, initial: Any, stacked: Any) -> Any:
    first = jnp.asarray(initial, stacked.dtype)[None]
    return jnp.concatenate((stacked[1:], first) if site.backward else (first, stacked[:-1]))


def at_step(site: Site, arguments: Sequence[Any], t: Any) -> list[Any]:
    """Choose those of one step, by its place among the scan's arrays."""
    alike = {*range(site.first), *(site.first + k for k in site.held)}
    return [one if k in alike else one[t] for k, one in enumerate(arguments)]


# ---- norms
def norms_along(axis: int | None, values: Any) -> Any:
    """Give the norm of every sample, (N,); of one, where there is no axis of samples."""
    rows = values.reshape(1, -1) if axis is None else jnp.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    sizes = jnp.abs(rows)
    sizes = sizes if sizes.dtype == jnp.float64 else sizes.astype(jnp.float32)
    scale = _scale(jnp.max(sizes, axis=1, initial=0))  # so that no square underflows
    return jnp.sqrt(jnp.sum(jnp.square(sizes / scale[:, None]), axis=1)) * scale


def _scale(largest: Any) -> Any:
    """Give what numbers are divided by; its reciprocal, which XLA may multiply with, is in range too."""
    about = jnp.finfo(largest.dtype)
    inside = jnp.clip(largest, 8 * about.tiny, about.max / 8)
    return jnp.where((largest > 0) & jnp.isfinite(largest), inside, 1).astype(largest.dtype)
