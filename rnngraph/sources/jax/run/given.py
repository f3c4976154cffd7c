"""What every step of a scan was given, from what it carried: all steps can then be computed again, in any order.

In: a `Site`, its operands, and what was carried after every step. Out: constants, what is carried and what is read,
stacked by the order of the scan's arrays; what every step is given the same is not stacked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp

from rnngraph.sources.jax.find.sites import Site

Given: TypeAlias = tuple[list[Any], list[Any], list[Any]]


def held(site: Site) -> tuple[int, ...]:
    """Places among what is carried of what every step is given the same, or none reads."""
    return (*site.carries.gathered, *site.carries.fixed)


def all_steps(site: Site, operands: Sequence[Any], carried: Mapping[int, Any]) -> Given:
    """Give what all steps were given; `carried` is what was carried after each, of all that is not held."""
    constants, initial, read = site.divide(operands)
    before = [carried_before(site, initial, carried, k) for k in range(site.count)]
    return constants, before, read


def carried_before(site: Site, initial: Sequence[Any], carried: Mapping[int, Any], place: int) -> Any:
    """Give one carried value as every step was given it."""
    if place in held(site):
        return initial[place]
    stacked = carried[place]
    first = jnp.asarray(initial[place], stacked.dtype)[None]
    parts = (stacked[1:], first) if site.backward else (first, stacked[:-1])
    return jnp.concatenate(parts)


def axes_of_steps(site: Site) -> list[int | None]:
    """Say of everything that is carried whether it is stacked, as `vmap` wants it."""
    return [None if k in held(site) else 0 for k in range(site.count)]


def one_step(site: Site, given: Given, t: int) -> Given:
    """Choose what one step was given."""
    constants, carried, read = given
    now = [one if axis is None else one[t] for one, axis in zip(carried, axes_of_steps(site), strict=True)]
    return constants, now, [one[t] for one in read]
