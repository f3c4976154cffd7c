"""Losses of single steps walked back through a scan, many rows at once, each step computed again from its values.

In: a `Site`, what its steps were given, and what enters. Out: norms by step, row and sample at the states and at what
is read, and what arrives at operands that other scans made. A row enters late or early: the walk goes in stages, and
a row is walked from the stage on in which it first enters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.sites import Site
from rnngraph.sources.jax.step import ByPlace, as_function, differing, joined, norms_along

Axes: TypeAlias = Mapping[int, int | None]  # of the samples, by argument of a step


def ends_of_stages(length: int, count: int) -> list[int]:
    """Give where stages end, in steps from the one that was processed last."""
    return [round(length * (k + 1) / count) for k in range(count)]


def walk_rows(
    site: Site, arguments: list[Any], entering: Mapping[str, Any], axes: Axes, stages: Sequence[int]
) -> dict[str, Any]:
    """Walk rows back.

    Args:
        site: the scan.
        arguments: of all steps.
        entering: `shares`, what enters of the whole loss, by place among the results; `factors` (rows, T), how often
            each step's part counts; `above` by place, (rows, ...), what arrives from other scans.
        axes: of the samples.
        stages: how many rows have entered by the end of every stage; rows are in the order in which they enter.

    Returns:
        norms: `states` a list by state, `read` by argument, (T, rows, samples), `initial` (rows, samples);
        `handed`, what arrives at operands by place, (rows, ...).
    """
    walk = _Walk(site, arguments, entering, axes)
    columns, ends = walk.columns(), [0, *ends_of_stages(site.length, len(stages))]
    carry, found = walk.start(stages[0]), []
    for low, high, count in zip(ends, ends[1:], stages, strict=False):
        part = slice(low, high) if site.backward else slice(site.length - high, site.length - low)
        fixed, by_row = (jax.tree.map(lambda one, part=part: one[part], some) for some in columns)
        now = fixed, jax.tree.map(lambda one, count=count: one[:, :count], by_row)
        carry, seen = jax.lax.scan(walk.step, _lengthened(carry, count, 0), now, reverse=not site.backward)
        found.append(_lengthened(seen, stages[-1], 1))
    told: dict[str, Any] = jax.tree.map(
        lambda *some: jnp.concatenate(some), *(found if site.backward else reversed(found))
    )
    states, sums = carry
    arrived = {k: jnp.moveaxis(one, 1, 0) for k, one in told["handed"].items()} | sums
    arrived |= {k: one for k, one in states.items() if k in site.handed}
    return told | {"initial": [walk.norms(k, states[k]) for k in walk.states], "handed": arrived}


class _Walk:
    """One step of the walk, and what does not change."""

    def __init__(self, site: Site, arguments: list[Any], entering: Mapping[str, Any], axes: Axes) -> None:
        self.site, self.arguments, self.axes, last = site, arguments, axes, site.first + site.count
        self.shares, self.above, self.factors = entering["shares"], entering["above"], entering["factors"]
        self.states = [site.first + k for k in site.states]
        self.handed = sorted(k for k in site.handed if k >= last)
        self.read = sorted({last + k for k in site.inputs} - {*self.handed})
        fixed = [site.first + k for k in site.carries.fixed]
        self.held = [k for k in sorted(site.handed) if k < site.first or k in fixed]

    def columns(self) -> tuple[Any, Any]:
        """Give what differs from step to step, (T, ...), and that of rows, (T, rows, ...)."""
        shares, above = (
            {k: o for k, o in some.items() if k in self.site.emitted} for some in (self.shares, self.above)
        )
        by_row = jnp.moveaxis(self.factors, 1, 0), {k: jnp.moveaxis(one, 1, 0) for k, one in above.items()}
        return (differing(self.site, self.arguments), shares), by_row

    def start(self, count: int) -> tuple[ByPlace, ByPlace]:
        """Enter at the last states, of the rows of the first stage; nothing has been summed yet."""
        site, states = self.site, {}
        last = self.factors[:count, 0 if site.backward else site.length - 1]
        for place, argument in zip(site.states, self.states, strict=True):
            aval = site.equation.outvars[place].aval
            now = jnp.zeros((count, *aval.shape), aval.dtype)
            now = now + _times(last, self.shares[place]) if place in self.shares else now
            states[argument] = now + self.above[place][:count] if place in self.above else now
        avals = {k: site.equation.invars[k].aval for k in self.held}
        return states, {k: jnp.zeros((count, *one.shape), one.dtype) for k, one in avals.items()}

    def norms(self, argument: int, arrived: Any) -> Any:
        """Give norms, (rows, samples), at a state or an input."""
        return jax.vmap(partial(norms_along, self.axes[argument]))(arrived)

    def step(self, carry: tuple[ByPlace, ByPlace], now: Any) -> tuple[Any, dict[str, Any]]:
        """Walk all rows back through one step."""
        (states, sums), ((own, shares), (factors, above)) = carry, now
        gathered = self.site.carries.gathered
        shares = shares | {k: self.shares[k] for k in gathered if k in self.shares}
        above = above | {k: self.above[k][: len(factors)] for k in gathered if k in self.above}
        arguments = joined(self.site, self.arguments, own)
        point = {k: arguments[k] for k in (*self.states, *self.read, *self.handed, *self.held)}
        slots = [jnp.zeros_like(arguments[k]) for k in self.states]

        def pull(results: Sequence[int]) -> Any:
            return jax.vjp(as_function(self.site, arguments, results), point, slots)[1]

        carried = {k - self.site.first: states[k] for k in self.states}
        arrived, at_states = jax.vmap(pull([*carried, *above]))(carried | above)
        if shares:
            mine = pull(list(shares))(shares)  # of the whole loss, once for all rows
            arrived, at_states = jax.tree.map(
                lambda walked, part: walked + _times(factors, part), (arrived, at_states), mine
            )
        told = {
            "states": [self.norms(*some) for some in zip(self.states, at_states, strict=True)],
            "read": {k: self.norms(k, arrived[k]) for k in self.read},
            "handed": {k: arrived[k] for k in self.handed},
        }
        return ({k: arrived[k] for k in self.states}, {k: one + arrived[k] for k, one in sums.items()}), told


def _times(factors: Any, part: Any) -> Any:
    """Multiply a part (...) by factors (rows,); give (rows, ...)."""
    return (factors.reshape(-1, *[1] * part.ndim) * part).astype(part.dtype)


def _lengthened(tree: Any, size: int, axis: int) -> Any:
    """Put zeros behind the rows that there are."""

    def longer(one: Any) -> Any:
        return jnp.pad(one, [(0, size - one.shape[axis] if k == axis else 0) for k in range(one.ndim)])

    return jax.tree.map(longer, tree)
