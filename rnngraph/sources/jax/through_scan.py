"""The whole loss walked back through a scan: gradients at its states, their parts, and each step's part of weights.

In: a `Site`, its operands, and slots for what is handed out. Out: the scan's results, unchanged, and what is noted
beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.form import inexact
from rnngraph.sources.jax.sites import Site
from rnngraph.sources.jax.step import (
    ByPlace,
    as_function,
    differing,
    joined,
    norms_along,
    scan,
    seen_inside,
    tap,
    tap_to_size_one,
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


def whole(site: Site, operands: Sequence[Any], slots: Any) -> tuple[list[Any], Any]:
    """Run a scan so that all gradients of one backward pass are handed out."""
    constants, initial, read = site.divide(operands)
    for k, slot in slots["read"].items():
        read[k] = tap(read[k], slot)
    kept = [k for k in range(site.count) if k not in site.held]

    def function(carried: list[Any], given: Any) -> Any:
        after, emitted = _step(site, [*constants, *carried, *given[0]], given[1], tap)
        after = [carried[k] if k in site.carries.fixed else one for k, one in enumerate(after)]
        return after, (emitted, [after[k] for k in kept])

    final, (emitted, stacked) = scan(site, function, initial, (read, {k: slots[k] for k in ("states", "before")}))
    results = [*final, *emitted]
    handed = [tap(one, slots["results"][k]) if k in slots["results"] else one for k, one in enumerate(results)]
    carried = dict(zip(kept, stacked, strict=True))
    return handed, {"operands": [*constants, *initial, *read], "results": results, "carried": carried}


def felt_slots(site: Site) -> Any:
    """Make slots for whether anything arrives at states, and at the states that steps are given."""
    return {name: [jnp.zeros(site.length, jnp.float32) for _ in site.states] for name in ("states", "before")}


def felt(site: Site, operands: Sequence[Any], slots: Any) -> tuple[list[Any], None]:
    """Run a scan so that no gradient of its states gets small on its way back."""
    constants, initial, read = site.divide(operands)

    def function(carried: list[Any], given: Any) -> Any:
        return _step(site, [*constants, *carried, *given[0]], given[1], tap_to_size_one)

    final, emitted = scan(site, function, initial, (read, slots))
    return [*final, *emitted], None


def _step(site: Site, arguments: list[Any], slots: Any, by: Any) -> tuple[list[Any], list[Any]]:
    """Compute a step with taps at its states and at the states that it is given."""
    for k, slot in zip(site.states, slots["before"], strict=True):
        arguments[site.first + k] = by(arguments[site.first + k], slot)
    found = tapped(site, arguments, slots["states"], [by] * len(site.states))
    return found[: site.count], found[site.count :]


def parts(site: Site, arguments: list[Any], arrived: Mapping[int, Any], before: Sequence[Any], *, weights: bool) -> Any:
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

    def seeds(given: Any) -> tuple[list[Any], list[Any], ByPlace]:
        own, states, emitted = given
        now = joined(site, arguments, own)
        slots = [jnp.zeros_like(now[site.first + k]) for k in site.states]
        return now, slots, states | emitted | {k: arrived[k] for k in site.carries.gathered}

    def immediate(given: Any) -> Any:
        now, slots, seed = seeds(given)
        run = as_function(site, now, results)
        return jax.vjp(lambda slots: run({}, slots), slots)[1](seed)[0]

    def of_weights(given: Any) -> ByPlace:
        now, slots, seed = seeds(given)
        run = as_function(site, now, results)
        found = jax.vjp(lambda own: run(own, slots), {k: now[k] for k in site.leaves})[1](seed)[0]
        return {k: norms_along(None, one)[0] for k, one in found.items()}

    own, emitted = differing(site, arguments), {k: arrived[k] for k in site.emitted}
    size = sum(site.arguments[k].size for k in site.leaves)
    together = max(1, min(_TOGETHER, _MOST_NUMBERS // max(size, 1)))
    known = jax.lax.map(of_weights, (own, both, emitted), batch_size=together) if weights and site.leaves else {}
    return {"immediate": jax.vmap(immediate)((own, ends, emitted)), "weights": known}


def inside(site: Site, arguments: Sequence[Any]) -> Any:
    """Say at which steps a scan keeps and forgets its states, and give the gate that keeps one, (T, ...)."""
    if not site.kept and not site.forgotten and site.gate is None:
        return {}
    own = differing(site, arguments)
    return jax.vmap(lambda own: seen_inside(site, joined(site, arguments, own)), axis_size=site.length)(own)


def _zeros(aval: Any, *lead: int) -> Any:
    return jnp.zeros((*lead, *aval.shape), aval.dtype)
