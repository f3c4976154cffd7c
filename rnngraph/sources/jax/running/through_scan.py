"""The whole loss walked back through a scan: gradients at its states, their parts, and each step's part of weights.

In: a `Site`, its operands, and slots for what is handed out. Out: the scan's results, unchanged, and what is noted
beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

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
    tapped,
)

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
