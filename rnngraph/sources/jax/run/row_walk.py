"""Losses of single steps walked back through a scan, groups of rows at once, each step computed again from its values.

In: a `Site`, what its steps were given, and what enters. Out: norms by step, group and sample at the states and at what
is read, and what arrives at operands that other scans made. A group enters late or early: the walk goes in stages, and
a group is walked from the stage on in which it first enters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.run.given import Given, axes_of_steps
from rnngraph.sources.jax.run.step import step, tapper
from rnngraph.sources.jax.run.taps import as_it_is, norms_along

ByPlace: TypeAlias = dict[int, Any]
Axes: TypeAlias = Mapping[int, int | None]  # of the samples, by argument of a step


def ends_of_stages(length: int, count: int) -> list[int]:
    """Give where stages end, in steps from the one that was processed last."""
    return [round(length * (k + 1) / count) for k in range(count)]


def walk_rows(
    site: Site, given: Given, after: Mapping[int, Any], entering: Mapping[str, Any], axes: Axes, stages: Sequence[int]
) -> dict[str, Any]:
    """Walk groups of rows back.

    Args:
        site: the scan.
        given: what its steps were given.
        after: what was carried after every step, by place.
        entering: `shares`, what enters of the whole loss, by place among the results; `factors` (groups, T, samples
            or 1), how often each step's part counts; `above` by place, (groups, ...), what arrives from other scans.
        axes: of the samples.
        stages: how many groups have entered by the end of every stage; groups are in the order in which they enter.

    Returns:
        norms: `states` a list by state, `read` by argument, (T, groups, samples), `initial` (groups, samples);
        `handed`, what arrives at operands by place, (groups, ...); `off`, how far states are off the known ones.
    """
    walk = _Walk(site, given, entering, axes)
    columns, groups = walk.columns(after), stages[-1]
    ends = [0, *ends_of_stages(site.length, len(stages))]
    carry, found = walk.start(stages[0]), []
    for low, high, count in zip(ends, ends[1:], stages, strict=False):
        part = slice(low, high) if site.backward else slice(site.length - high, site.length - low)
        now = {name: _cut(one, part, count if name in ("factors", "above") else None) for name, one in columns.items()}
        carry, seen = jax.lax.scan(walk.step, _lengthened(carry, count, 0), now, reverse=not site.backward)
        off = seen.pop("off")
        found.append(_lengthened(seen, groups, 1) | {"off": off})
    pieces = found if site.backward else found[::-1]
    told: dict[str, Any] = jax.tree.map(lambda *some: jnp.concatenate(some), *pieces)
    states, sums = carry
    arrived = {k: jnp.moveaxis(one, 1, 0) for k, one in told["handed"].items()} | sums
    arrived |= {k: one for k, one in states.items() if k in site.handed}
    initial = [walk.norms(k, states[k]) for k in walk.states]
    return told | {"initial": initial, "handed": arrived, "off": jnp.max(told["off"])}


class _Walk:
    """One step of the walk, and what does not change."""

    def __init__(self, site: Site, given: Given, entering: Mapping[str, Any], axes: Axes) -> None:
        self.site, self.given, self.entering, self.axes = site, given, entering, axes
        last = site.first + site.count
        self.states = [site.first + k for k in site.states]
        self.read = sorted({last + k for k in site.inputs} | {k for k in site.handed if k >= last})
        fixed = [site.first + k for k in site.carries.fixed]
        self.held = [k for k in sorted(site.handed) if k < site.first or k in fixed]

    def _of(self, name: str, *, emitted: bool) -> ByPlace:
        """Choose what enters by what is emitted, or by what is only added to."""
        gathered = self.site.carries.gathered
        return {
            k: one for k, one in self.entering[name].items() if (k >= self.site.count if emitted else k in gathered)
        }

    def columns(self, after: Mapping[int, Any]) -> dict[str, Any]:
        """Give what differs from step to step, (T, ...); of groups (T, groups, ...)."""
        _, carried, read = self.given
        stacked = [one for one, axis in zip(carried, axes_of_steps(self.site), strict=True) if axis == 0]
        return {
            "given": (stacked, read),
            "after": [after[k] for k in self.site.states],
            "shares": self._of("shares", emitted=True),
            "factors": jnp.moveaxis(self.entering["factors"], 1, 0),
            "above": {k: jnp.moveaxis(one, 1, 0) for k, one in self._of("above", emitted=True).items()},
        }

    def start(self, count: int) -> tuple[ByPlace, ByPlace]:
        """Enter at the last states, of the groups of the first stage; nothing has been summed yet."""
        site, shares, above = self.site, self.entering["shares"], self.entering["above"]
        last = self.entering["factors"][:count, 0 if site.backward else site.length - 1]
        states = {}
        for place, argument in zip(site.states, self.states, strict=True):
            aval = site.equation.outvars[place].aval
            now = jnp.zeros((count, *aval.shape), aval.dtype)
            now = now + _times(last, shares[place], self.axes[argument]) if place in shares else now
            states[argument] = now + above[place][:count] if place in above else now
        avals = {k: site.equation.invars[k].aval for k in self.held}
        return states, {k: jnp.zeros((count, *one.shape), one.dtype) for k, one in avals.items()}

    def norms(self, argument: int, arrived: Any) -> Any:
        """Give norms, (groups, samples), at a state or an input."""
        return jax.vmap(norms_along(self.axes[argument]))(arrived)

    def step(self, carry: tuple[ByPlace, ByPlace], now: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Walk all groups back through one step."""
        states, sums = carry
        point, run = self._again(now["given"])
        steady = {k: one[: len(now["factors"])] for k, one in self._of("above", emitted=False).items()}
        above = now["above"] | steady
        (after, _), pull = jax.vjp(run(tuple(above)), *point)
        arrived, slots = jax.vmap(pull)(([states[k] for k in self.states], above))
        shares = now["shares"] | self._of("shares", emitted=False)
        if shares:
            own = jax.vjp(run(tuple(shares)), *point)[1](([jnp.zeros_like(one) for one in after], shares))
            add = self._add(now["factors"])
            pairs = zip((arrived, slots), own, strict=True)
            arrived, slots = ({k: add(k, some[k], more[k]) for k in some} for some, more in pairs)
        told = {
            "states": [self.norms(k, slots[k]) for k in self.states],
            "read": {k: self.norms(k, arrived[k]) for k in self.read if k not in self.site.handed},
            "handed": {k: arrived[k] for k in self.read if k in self.site.handed},
            "off": jnp.max(jnp.stack([_off(*some) for some in zip(after, now["after"], strict=True)])),
        }
        return ({k: arrived[k] for k in self.states}, {k: one + arrived[k] for k, one in sums.items()}), told

    def _again(self, given: Any) -> tuple[tuple[ByPlace, ByPlace], Callable[[Sequence[int]], Callable[..., Any]]]:
        """Give arguments and slots that the step is differentiated by, and the step as a function of these."""
        constants, carried, _ = self.given
        stacked = iter(given[0])
        now = [
            one if axis is None else next(stacked) for one, axis in zip(carried, axes_of_steps(self.site), strict=True)
        ]
        arguments = [*constants, *now, *given[1]]
        point = {k: arguments[k] for k in (*self.states, *self.read, *self.held)}

        def run(places: Sequence[int]) -> Callable[..., Any]:
            def function(own: ByPlace, slots: ByPlace) -> Any:
                first = self.site.first
                marks = {k - first: tapper(slot, as_it_is) for k, slot in slots.items()}
                after, emitted = step(self.site, [own.get(k, one) for k, one in enumerate(arguments)], marks)
                results = [*after, *emitted]
                return [results[k] for k in self.site.states], {k: results[k] for k in places}

            return function

        return (point, {k: jnp.zeros_like(arguments[k]) for k in self.states}), run

    def _add(self, factors: Any) -> Callable[[int, Any, Any], Any]:
        """Make what adds the part of the step's own loss as often as it counts in each group."""
        return lambda argument, walked, own: walked + _times(factors, own, self.axes.get(argument))


def _times(factors: Any, part: Any, axis: int | None) -> Any:
    """Multiply a part (...) by factors (groups, samples or 1), of samples along an axis; give (groups, ...)."""
    shape = [1] * part.ndim
    if axis is not None:
        shape[axis] = factors.shape[1]
    return (factors.reshape(len(factors), *shape) * part).astype(part.dtype)


def _cut(columns: Any, part: slice, count: int | None) -> Any:
    return jax.tree.map(lambda one: one[part] if count is None else one[part, :count], columns)


def _lengthened(tree: Any, size: int, axis: int) -> Any:
    """Put zeros behind the groups that there are."""

    def longer(one: Any) -> Any:
        missing = [(0, size - one.shape[axis] if k == axis else 0) for k in range(one.ndim)]
        return jnp.pad(one, missing)

    return jax.tree.map(longer, tree)


def _off(found: Any, known: Any) -> Any:
    """Say how far a state is off the known one, relative to the largest."""
    size = jnp.max(jnp.abs(known), initial=0)
    return jnp.max(jnp.where(jnp.isfinite(known), jnp.abs(found - known), 0), initial=0) / jnp.where(size > 0, size, 1)
