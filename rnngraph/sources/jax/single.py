"""Losses of single steps walked back through a scan: norms by sample at its states, and at what it reads.

In: a `Site`, its operands, slots, and a factor a step. Out: the scan's results, and those at which a loss enters, each
behind a gate that lets through what enters at the steps whose factor is not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.sites import Site
from rnngraph.sources.jax.step import avals, emitted_places, real, scan, step, tapper
from rnngraph.sources.jax.taps import gate, gather, norms_along, tap

Axes: TypeAlias = tuple[int | None, ...]  # of the samples, by state and then by input


def row_slots(site: Site, axes: Axes) -> Any:
    """Make slots for norms by sample at states, at the first states and at what is read."""
    _, carried, read = avals(site)
    split = len(site.states)
    shown = zip((carried[k] for k in site.states), axes[:split], strict=True)
    initial = [_norm_slot(aval, axis) for aval, axis in shown]
    return {
        "initial": initial,
        "states": [jnp.zeros((site.length, *one.shape), one.dtype) for one in initial],
        "read": {
            k: jnp.zeros((site.length, *_norm_slot(read[k], axis).shape), real(read[k]))
            for k, axis in zip(site.inputs, axes[split:], strict=True)
        },
    }


def row(
    site: Site, operands: Sequence[Any], slots: Any, *, axes: Axes, factors: Any | None
) -> tuple[list[Any], dict[int, Any]]:
    """Run a scan so that what enters at a step counts as often as the step's factor says; note results with gates.

    Without `factors` nothing is gated.
    """
    constants, initial, read = site.divide(operands)
    split = len(site.states)
    hands = [norms_along(one) for one in axes]
    for place, slot, hand in zip(site.states, slots["initial"], hands, strict=False):
        initial[place] = tap(initial[place], slot, hand)
    gathered = site.carries.gathered if factors is not None else ()
    inside = {name: slots[name] for name in ("states", "read")}

    def function(carried: list[Any], given: Any) -> Any:
        now, own, factor = given
        for k, hand in zip(site.inputs, hands[split:], strict=True):
            now[k] = tap(now[k], own["read"][k], hand)
        arguments = [*constants, *carried, *now]
        for k in gathered:
            arguments[site.first + k] = jax.lax.stop_gradient(carried[k])
        marks = {
            k: tapper(slot, hand) for k, slot, hand in zip(site.states, own["states"], hands, strict=False)
        }  # fmt: skip
        after, emitted = step(site, arguments, marks)
        after = [carried[k] if k in site.carries.fixed else one for k, one in enumerate(after)]
        for k in gathered:
            after[k] = gather(carried[k], after[k], factor)
        gated = {} if factor is None else {k: gate(emitted[k - site.count], factor) for k in emitted_places(site)}
        return after, (emitted, gated)

    final, (emitted, noted) = scan(site, function, initial, (read, inside, factors))
    if factors is not None:
        noted |= {k: final[k] for k in gathered}
        last = factors[0 if site.backward else site.length - 1]
        noted |= {k: gate(final[k], last) for k in site.states}
    return [*final, *emitted], noted


def _norm_slot(aval: Any, axis: int | None) -> Any:
    return jnp.zeros((1 if axis is None else aval.shape[axis],), real(aval))
