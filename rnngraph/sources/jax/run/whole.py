"""The whole loss walked back through a scan: gradients at its states, their parts, and each step's part of weights.

In: a `Site`, its operands, and slots for what is handed out. Out: the scan's results, unchanged, and what is noted
beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.find.carries import inexact
from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.run.given import Given, all_steps, axes_of_steps, held
from rnngraph.sources.jax.run.step import scan, seen_inside, step, tapper, zeros
from rnngraph.sources.jax.run.taps import as_it_is, tap, tap_to_size_one, whole_norm

_TOGETHER, _MOST_NUMBERS = 32, 2**22  # steps whose parts of weights are made together


def whole_slots(site: Site) -> Any:
    """Make slots for gradients at states, at results and at what is read."""
    _, carried, read = site.divide(site.arguments)
    results = site.equation.outvars
    return {
        "states": [zeros(carried[k], site.length) for k in site.states],
        "before": [zeros(carried[k], site.length) for k in site.states],
        "results": {k: zeros(one.aval) for k, one in enumerate(results) if inexact(one)},
        "read": {k: zeros(read[k], site.length) for k in site.inputs},
    }


def whole(site: Site, operands: Sequence[Any], slots: Any) -> tuple[list[Any], Any]:
    """Run a scan so that all gradients of one backward pass are handed out."""
    constants, initial, read = site.divide(operands)
    for k, slot in slots["read"].items():
        read[k] = tap(read[k], slot, as_it_is)
    inside = {name: slots[name] for name in ("states", "before")}
    kept = [k for k in range(site.count) if k not in held(site)]

    def function(carried: list[Any], given: Any) -> Any:
        now, own = given
        arguments = [*constants, *carried, *now]
        for k, slot in zip(site.states, own["before"], strict=True):
            arguments[site.first + k] = tap(arguments[site.first + k], slot, as_it_is)
        marks = {k: tapper(slot, as_it_is) for k, slot in zip(site.states, own["states"], strict=True)}
        after, emitted = step(site, arguments, marks)
        after = [carried[k] if k in site.carries.fixed else one for k, one in enumerate(after)]
        return after, (emitted, [after[k] for k in kept])

    final, (emitted, stacked) = scan(site, function, initial, (read, inside))
    results = [*final, *emitted]
    tapped = [
        tap(one, slots["results"][k], as_it_is) if k in slots["results"] else one for k, one in enumerate(results)
    ]
    note = {
        "operands": [*constants, *initial, *read],
        "results": results,
        "carried": dict(zip(kept, stacked, strict=True)),
    }
    return tapped, note


def immediate(site: Site, note: Any, arrived: Mapping[int, Any]) -> list[Any]:
    """Give what reaches the states from their own step, (T, ...), given what reaches the scan's results."""
    last = 0 if site.backward else site.length - 1
    ends = {k: jnp.zeros_like(note["carried"][k]).at[last].set(arrived[k]) for k in site.states}
    constants, *values = all_steps(site, note["operands"], note["carried"])
    steady = site.carries.gathered

    def one_step(carried: list[Any], now: list[Any], to_ends: Any, to_emitted: Any) -> list[Any]:
        def function(slots: list[Any]) -> Any:
            marks = {k: tapper(slot, as_it_is) for k, slot in zip(site.states, slots, strict=True)}
            after, emitted = step(site, [*constants, *carried, *now], marks)
            return _differentiated(site, after, emitted, steady)

        slots = [jnp.zeros_like(carried[k]) for k in site.states]
        found: list[Any] = jax.vjp(function, slots)[1]((to_emitted, to_ends | _steady(arrived, steady)))[0]
        return found

    emitted = {k: arrived[k] for k in site.emitted}
    found: list[Any] = jax.vmap(one_step, in_axes=(axes_of_steps(site), 0, 0, 0))(*values, ends, emitted)
    return found


def inside(site: Site, given: Given) -> tuple[list[Any], Any]:
    """Say at which steps a scan keeps its states, (T, ...) by state, and give the gate that keeps one, (T, ...)."""
    if not site.choices and site.keeper is None:
        return [], None
    constants, *values = given

    def one_step(carried: list[Any], now: list[Any]) -> tuple[list[Any], Any]:
        return seen_inside(site, [*constants, *carried, *now])

    axes = axes_of_steps(site), 0
    found: tuple[list[Any], Any] = jax.vmap(one_step, in_axes=axes, axis_size=site.length)(*values)
    return found


def weight_parts(site: Site, note: Any, arrived: Mapping[int, Any], before: Sequence[Any]) -> dict[int, Any]:
    """Give the norm of each step's part of the weights that the steps read, (T,), by argument of a step.

    They are found apart from the backward pass, in which a second use of them would change the order of its sums.
    """
    constants, before_each, read = all_steps(site, note["operands"], note["carried"])
    steady, ends = site.carries.gathered, {}
    for k, column in zip(site.states, before, strict=True):
        parts = (arrived[k][None], column[:-1]) if site.backward else (column[1:], arrived[k][None])
        ends[k] = jnp.concatenate(parts)
    emitted = {k: arrived[k] for k in site.emitted}
    shown = [None if axis is None else one for one, axis in zip(before_each, axes_of_steps(site), strict=True)]

    def one_step(given: Any) -> dict[int, Any]:
        carried, now, to_ends, to_emitted = given
        arguments = [*constants, *(before_each[k] if one is None else one for k, one in enumerate(carried)), *now]

        def function(weights: dict[int, Any]) -> Any:
            own = [weights.get(k, one) for k, one in enumerate(arguments)]
            return _differentiated(site, *step(site, own, {}), steady)

        weights = {k: arguments[k] for k in site.leaves}
        found = jax.vjp(function, weights)[1]((to_emitted, to_ends | _steady(arrived, steady)))[0]
        return {k: whole_norm(one) for k, one in found.items()}

    size = sum(site.arguments[k].size for k in site.leaves)
    together = max(1, min(_TOGETHER, _MOST_NUMBERS // max(size, 1)))
    found: dict[int, Any] = jax.lax.map(one_step, (shown, read, ends, emitted), batch_size=together)
    return found


def _differentiated(site: Site, after: list[Any], emitted: list[Any], steady: tuple[int, ...]) -> Any:
    places = site.emitted
    return {k: emitted[k - site.count] for k in places}, {k: after[k] for k in (*site.states, *steady)}


def _steady(arrived: Mapping[int, Any], places: tuple[int, ...]) -> dict[int, Any]:
    return {k: arrived[k] for k in places}


def felt_slots(site: Site) -> Any:
    """Make slots for whether anything arrives at states, and at the states that steps are given."""
    return {name: [jnp.zeros(site.length, jnp.float32) for _ in site.states] for name in ("states", "before")}


def felt(site: Site, operands: Sequence[Any], slots: Any) -> tuple[list[Any], None]:
    """Run a scan so that no gradient of its states gets small on its way back."""
    constants, initial, read = site.divide(operands)

    def function(carried: list[Any], given: Any) -> Any:
        now, own = given
        arguments = [*constants, *carried, *now]
        for k, slot in zip(site.states, own["before"], strict=True):
            arguments[site.first + k] = tap_to_size_one(arguments[site.first + k], slot)
        marks = {
            k: partial(_to_size_one, slot=slot) for k, slot in zip(site.states, own["states"], strict=True)
        }  # fmt: skip
        return step(site, arguments, marks)

    final, emitted = scan(site, function, initial, (read, slots))
    return [*final, *emitted], None


def _to_size_one(value: Any, *, slot: Any) -> Any:
    return tap_to_size_one(value, slot)
