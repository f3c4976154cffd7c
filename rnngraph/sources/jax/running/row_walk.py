"""Losses of single steps walked back through a scan, many rows at once: its backward pass with a leading axis of rows.

In: a `Site`, its operands, and what enters. Out: norms by row, step and sample at the states and at what is read, and
what arrives at operands that other scans made. What of the whole loss enters at a step is a number that the step gives
beside its results, and counts in each row as often as the row says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.running.step import ByPlace, scan, tap_of_norms, tapped

Axes: TypeAlias = Mapping[int, int | None]  # of the samples, by argument of a step


def walk_rows(site: Site, operands: Sequence[Any], entering: Mapping[str, Any], axes: Axes) -> dict[str, Any]:
    """Walk rows back.

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
        "states": [_zeros(site.arguments[k], axes[k], site.length) for k in states],
        "read": {k: _zeros(site.arguments[k], axes[k], site.length) for k in axes if k not in (*states, *site.handed)},
        "initial": [_zeros(site.arguments[k], axes[k]) for k in states],
    }
    _, pull = jax.vjp(function, {k: operands[k] for k in site.handed}, slots)
    handed, norms = jax.vmap(pull)((factors, above))
    told: dict[str, Any] = norms | {"handed": handed}
    return told


def _zeros(aval: Any, axis: int | None, *lead: int) -> Any:
    """Make a slot for the norms of samples."""
    wide = jnp.promote_types(jnp.finfo(aval.dtype).dtype, jnp.float32)
    return jnp.zeros((*lead, 1 if axis is None else aval.shape[axis]), wide)


def _product(share: Any, value: Any) -> Any:
    """Give the number whose gradient by the value is the share."""
    wide = jnp.promote_types(value.dtype, jnp.float32)
    return jnp.sum(jnp.real(share.astype(wide) * value.astype(wide)))
