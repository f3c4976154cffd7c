"""Losses walked back through a scan: the whole one, and those of single steps, many at once.

In: a `Site` and its operands. Out: of the whole loss gradients at states, their parts, and each step's part of weights;
of single ones norms by row, step and sample, and what arrives at operands that other scans made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.finding.form import inexact
from rnngraph.sources.jax.finding.masks import Spot
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.running.step import (
    ByPlace,
    at_step,
    computed,
    norms_along,
    scan,
    tap,
    tap_of_norms,
    tapped,
)

Axes: TypeAlias = Mapping[int, int | None]  # of the samples, by argument of a step
_TOGETHER, _MOST_NUMBERS = 32, 2**22  # steps whose parts of weights are made together


def whole_slots(site: Site) -> Any:
    """Make slots for gradients at states, at results and at what is read."""
    _, carried, read = site.divide(site.arguments)
    return {
        "states": [_zeros(carried[k], site.length) for k in site.states],
        "before": [_zeros(carried[k], site.length) for k in site.states],
        "results": {k: _zeros(one.aval) for k, one in enumerate(site.equation.outvars) if inexact(one)},
        "read": {k: _zeros(read[k], site.length) for k in site.inputs},
    }


def whole(site: Site, operands: Sequence[Any], slots: Any, *, by: Any = tap) -> tuple[list[Any], Any]:
    """Run a scan so that what its slots ask for of one backward pass is handed out; at states, as the tap does."""
    constants, initial, read = site.divide(operands)
    for k, slot in slots["read"].items():
        read[k] = tap(read[k], slot)
    kept = [k for k in range(site.count) if k not in site.held]

    def function(carried: list[Any], given: Any) -> Any:
        after, emitted = _step(site, [*constants, *carried, *given[0]], given[1], by)
        after = [carried[k] if k in site.carries.fixed else one for k, one in enumerate(after)]
        return after, (emitted, [after[k] for k in kept])

    final, (emitted, stacked) = scan(site, function, initial, (read, {k: slots[k] for k in ("states", "before")}))
    results = [*final, *emitted]
    handed = [tap(one, slots["results"][k]) if k in slots["results"] else one for k, one in enumerate(results)]
    carried = dict(zip(kept, stacked, strict=True))
    return handed, {"operands": [*constants, *initial, *read], "results": results, "carried": carried}


def felt_slots(site: Site) -> Any:
    """Make slots for whether anything arrives at states, and at the states that steps are given."""
    arrived = {name: [jnp.zeros(site.length, jnp.float32) for _ in site.states] for name in ("states", "before")}
    return arrived | {"results": {}, "read": {}}


def _step(site: Site, arguments: list[Any], slots: Any, by: Any) -> tuple[list[Any], list[Any]]:
    """Compute a step with taps at its states and at the states that it is given."""
    for k, slot in zip(site.states, slots["before"], strict=True):
        arguments[site.first + k] = by(arguments[site.first + k], slot)
    found = tapped(site, arguments, slots["states"], [by] * len(site.states))
    return found[: site.count], found[site.count :]


def parts(site: Site, arguments: list[Any], arrived: ByPlace, before: Sequence[Any], *, weights: bool) -> Any:
    """Give what reaches the states from their own step, (T, ...), and norms of each step's part of weights, (T,).

    They are found apart from the backward pass, in which a second use of weights would change the order of its sums.

    Args:
        site: the scan.
        arguments: of all steps.
        arrived: what reaches the scan's results.
        before: what reaches the states that steps are given.
        weights: whether parts of weights are wanted.
    """
    results = [*site.states, *site.carries.gathered, *site.emitted]
    last = 0 if site.backward else site.length - 1
    ends = {k: jnp.zeros_like(one).at[last].set(arrived[k]) for k, one in zip(site.states, before, strict=True)}
    both = {}
    for k, column in zip(site.states, before, strict=True):
        shifted = (arrived[k][None], column[:-1]) if site.backward else (column[1:], arrived[k][None])
        both[k] = jnp.concatenate(shifted)

    def pulled(t: Any, states: ByPlace, wanted: Collection[int]) -> tuple[ByPlace, list[Any]]:
        """Give what reaches some arguments of one step, and its states."""
        now = at_step(site, arguments, t)

        def run(chosen: ByPlace, slots: list[Any]) -> ByPlace:
            found = tapped(site, [chosen.get(k, one) for k, one in enumerate(now)], slots)
            return {k: found[k] for k in results}

        slots = [jnp.zeros_like(now[site.first + k]) for k in site.states]
        seed = {k: arrived[k] if k in site.carries.gathered else (arrived | states)[k][t] for k in results}
        found: tuple[ByPlace, list[Any]] = jax.vjp(run, {k: now[k] for k in wanted}, slots)[1](seed)
        return found

    def of_weights(t: Any) -> ByPlace:
        return {k: norms_along(None, one)[0] for k, one in pulled(t, both, site.leaves)[0].items()}

    size = sum(site.arguments[k].size for k in site.leaves)
    together = max(1, min(_TOGETHER, _MOST_NUMBERS // max(size, 1)))
    steps = jnp.arange(site.length)
    known = jax.lax.map(of_weights, steps, batch_size=together) if weights and site.leaves else {}
    return {"immediate": jax.vmap(lambda t: pulled(t, ends, ())[1])(steps), "weights": known}


def inside(site: Site, arguments: Sequence[Any]) -> Any:
    """Say at which steps a scan keeps, forgets and stops its states, and give the gate that keeps one, (T, ...)."""

    def seen(t: Any) -> tuple[Any, Any]:
        values = computed(site.form, at_step(site, arguments, t))
        here = {what: [[_holds(one, values) for one in some] for some in spots] for what, spots in site.spots.items()}
        return here, {"gate": values[site.gate.number]} if site.gate else {}

    here, gate = jax.vmap(seen)(jnp.arange(site.length))
    return gate | {
        what: [[one & jnp.all(always) for one, always in some] for some in spots] for what, spots in here.items()
    }


def _holds(spot: Spot, values: ByPlace) -> tuple[Any, Any]:
    """Say where a spot holds in a step, and what must be so in every step."""
    here = values[spot.number]
    return here == spot.value, True if spot.rest is None else here + values[spot.rest] == 1


def _zeros(aval: Any, *lead: int) -> Any:
    return jnp.zeros((*lead, *aval.shape), aval.dtype)


# ---- single losses: the backward pass with a leading axis of rows
def walk_rows(site: Site, operands: Sequence[Any], entering: Mapping[str, Any], axes: Axes) -> dict[str, Any]:
    """Walk rows back; what of the whole loss enters at a step counts in each row as often as the row says.

    Args:
        site: the scan.
        operands: of the scan.
        entering: `shares`, what enters of the whole loss, by place among the results; `factors` (rows, T), how often
            each step's part counts; `above` by place, (rows, ...), what arrives from other scans.
        axes: of the samples.

    Returns:
        norms: `states` a list by state, `read` by argument, (rows, T, samples), `initial` (rows, samples);
        `handed`, what arrives at operands by place, (rows, ...).
    """
    shares, factors, above = entering["shares"], entering["factors"], entering["above"]
    emitted = {k: one for k, one in shares.items() if k in site.emitted}
    gathered = {k: one for k, one in shares.items() if k in site.carries.gathered}
    taps = {k: tap_of_norms(axis) for k, axis in axes.items()}
    states = [site.first + k for k in site.states]

    def step(constants: list[Any], carried: list[Any], given: Any) -> tuple[list[Any], Any]:
        read, own, slots = given
        arguments = [*constants, *carried, *read]
        for k in gathered:  # what a step adds is its own part, and not that of the steps before
            arguments[site.first + k] = jax.lax.stop_gradient(arguments[site.first + k])
        for k, slot in slots["read"].items():
            arguments[k] = taps[k](arguments[k], slot)
        found = tapped(site, arguments, slots["states"], [taps[k] for k in states])
        part = sum((_product(one, found[k]) for k, one in (own | gathered).items()), jnp.zeros((), factors.dtype))
        return found[: site.count], (found[site.count :], part)

    def function(handed: ByPlace, slots: Any) -> tuple[Any, ByPlace]:
        constants, initial, read = site.divide([handed.get(k, one) for k, one in enumerate(operands)])
        for place, k, slot in zip(site.states, states, slots["initial"], strict=True):
            initial[place] = taps[k](initial[place], slot)
        at_steps = {name: slots[name] for name in ("states", "read")}
        final, (columns, parts) = scan(site, partial(step, constants), initial, (read, emitted, at_steps))
        results = [*final, *columns]
        end = sum((_product(shares[k], final[k]) for k in site.states if k in shares), jnp.zeros((), factors.dtype))
        return parts.at[0 if site.backward else -1].add(end), {k: results[k] for k in above}

    slots = {
        "states": [_zero_norms(site.arguments[k], axes[k], site.length) for k in states],
        "read": {
            k: _zero_norms(site.arguments[k], axes[k], site.length) for k in axes if k not in (*states, *site.handed)
        },
        "initial": [_zero_norms(site.arguments[k], axes[k]) for k in states],
    }
    _, pull = jax.vjp(function, {k: operands[k] for k in site.handed}, slots)
    handed, norms = jax.vmap(pull)((factors, above))
    told: dict[str, Any] = norms | {"handed": handed}
    return told


def _zero_norms(aval: Any, axis: int | None, *lead: int) -> Any:
    """Make a slot for the norms of samples."""
    wide = jnp.promote_types(jnp.finfo(aval.dtype).dtype, jnp.float32)
    return jnp.zeros((*lead, 1 if axis is None else aval.shape[axis]), wide)


def _product(share: Any, value: Any) -> Any:
    """Give the number whose gradient by the value is the share."""
    wide = jnp.promote_types(value.dtype, jnp.float32)
    return jnp.sum(jnp.real(share.astype(wide) * value.astype(wide)))
