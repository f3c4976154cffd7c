"""Rows of few samples of a large batch, walked side by side in one batch.

A step keeps samples apart, so that every place of its batch can hold any sample of any row. In: where samples stand in
what a step is given, and the samples that are chosen. Out: a `Packing`, or none where it is not known of everything
where its samples stand; what it computes is compared with the known states all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.run.axes import Layout
from rnngraph.sources.jax.run.given import Given, axes_of_steps
from rnngraph.sources.jax.run.row_walk import walk_rows
from rnngraph.trace.magnitudes import Floats, Integers

Axis = int | None


@dataclass(frozen=True, slots=True)
class Packing:
    """Where `chosen` samples stand in a batch of so many, several rows side by side."""

    chosen: tuple[int, ...]
    batch: int
    arguments: tuple[Axis, ...]  # the axis of the samples in what one step is given
    results: tuple[tuple[int, Axis], ...]  # and, by place, in results of one step

    @property
    def rows(self) -> int:
        """How many rows there are in a group."""
        return self.batch // len(self.chosen)

    def factors(self, factors: Floats) -> Floats:
        """Bring factors (rows, T) to groups, (groups, T, batch)."""
        split = factors.reshape(-1, self.rows, factors.shape[1]).transpose(0, 2, 1)
        wide = np.repeat(split, len(self.chosen), axis=2)
        return np.pad(wide, [(0, 0), (0, 0), (0, self.batch - wide.shape[2])])

    def norms(self, norms: Floats) -> Floats:
        """Bring norms (..., groups, batch) to rows, (..., rows, samples)."""
        used = norms[..., : self.rows * len(self.chosen)]
        return used.reshape(*norms.shape[:-2], -1, len(self.chosen))

    def _places(self) -> Integers:
        return np.resize(np.array(self.chosen), self.batch)

    def take(self, value: Any, axis: Axis, lead: int = 0) -> Any:
        """Put samples into the places of a batch, along an axis behind so many others."""
        return value if axis is None else value[(slice(None),) * (axis + lead) + (self._places(),)]

    def given(self, site: Site, given: Given) -> Given:
        """Do so with what all steps were given."""
        constants, carried, read = given
        axes = site.divide(self.arguments)
        leads = [1 if axis == 0 else 0 for axis in axes_of_steps(site)]
        return (
            [self.take(one, axis) for one, axis in zip(constants, axes[0], strict=True)],
            [self.take(*some) for some in zip(carried, axes[1], leads, strict=True)],
            [self.take(one, axis, 1) for one, axis in zip(read, axes[2], strict=True)],
        )

    def result(self, site: Site, value: Any, place: int) -> Any:
        """Do so with what arrives at a result of a scan."""
        return self.take(value, dict(self.results)[place], int(place >= site.count))

    def lead(self, site: Site, place: int) -> int:
        """Give the axis of the samples in what arrives at a result of a scan."""
        return (dict(self.results)[place] or 0) + int(place >= site.count)

    def group(self, rows: Any, axis: int) -> Any:
        """Put rows (rows, ...) side by side, along an axis of what is behind the first."""
        chosen = jnp.take(rows, np.array(self.chosen), axis=axis + 1)
        split = chosen.reshape(-1, self.rows, *chosen.shape[1:])
        beside = jnp.moveaxis(split, 1, axis + 1)
        shape = beside.shape
        merged = beside.reshape(*shape[: axis + 1], shape[axis + 1] * shape[axis + 2], *shape[axis + 3 :])
        missing = [(0, self.batch - merged.shape[axis + 1] if k == axis + 1 else 0) for k in range(merged.ndim)]
        return jnp.pad(merged, missing)

    def apart(self, groups: Any, axis: int) -> Any:
        """Take rows apart again; samples that are not chosen get nothing."""
        count, shape = len(self.chosen), groups.shape
        used = groups[(slice(None),) * (axis + 1) + (slice(self.rows * count),)]
        split = jnp.moveaxis(used.reshape(*shape[: axis + 1], self.rows, count, *shape[axis + 2 :]), axis + 1, 1)
        rows = split.reshape(-1, *split.shape[2:])
        at = (slice(None),) * (axis + 1) + (np.array(self.chosen),)
        return jnp.zeros((len(rows), *shape[1:]), rows.dtype).at[at].set(rows)


def walk_packed(
    packing: Packing,
    site: Site,
    given: Given,
    after: Mapping[int, Any],
    entering: Mapping[str, Any],
    stages: Sequence[int],
) -> dict[str, Any]:
    """Walk rows back side by side; see `walk_rows`. Norms are by place in the batch, what is handed down is by row."""
    axes, last = packing.arguments, site.first + site.count
    here: dict[str, Any] = {
        "shares": {k: packing.result(site, one, k) for k, one in entering["shares"].items()},
        "factors": entering["factors"],
        "above": {k: packing.group(one, packing.lead(site, k)) for k, one in entering["above"].items()},
    }
    known = {k: packing.take(one, axes[site.first + k], 1) for k, one in after.items()}
    told = walk_rows(site, packing.given(site, given), known, here, dict(enumerate(axes)), stages)
    handed = {k: packing.apart(one, (axes[k] or 0) + int(k >= last)) for k, one in told["handed"].items()}
    return told | {"handed": handed}


def packing_of(site: Site, layout: Layout, chosen: Sequence[int], above: Collection[int]) -> Packing | None:
    """Say where samples stand, where that is known and several rows fit into the batch.

    Args:
        site: the scan.
        layout: what is known of its samples.
        chosen: the samples.
        above: places among the results at which something arrives from other scans.
    """
    if layout.batch < 2 * len(chosen) or None in layout.axes[: len(site.states)]:
        return None
    known: dict[int, Axis] = dict(zip(site.tapped, layout.axes, strict=True))
    last = site.first + site.count
    arguments: list[Axis] = []
    for k, one in enumerate(site.arguments):
        sampled = k in site.sampled or site.first <= k < last
        axes = [known[k]] if known.get(k) is not None else _of_size(one.shape, layout.batch) if sampled else [None]
        if len(axes) != 1 or (axes[0] is None and k in site.handed):
            return None
        arguments += axes
    results: list[tuple[int, Axis]] = []
    for k in site.entered:
        shape = site.equation.outvars[k].aval.shape[int(k >= site.count) :]
        axes = [layout.emitted[k]] if layout.emitted.get(k) is not None else _of_size(shape, layout.batch)
        axes = [arguments[site.first + k]] if k < site.count else axes
        if len(axes) != 1 or (axes[0] is None and k in above):
            return None
        results.append((k, axes[0]))
    return Packing(tuple(chosen), layout.batch, tuple(arguments), tuple(results))


def _of_size(shape: Sequence[int], size: int) -> list[Axis]:
    """List the axes of a size; none is one answer, several are none."""
    return [axis for axis, one in enumerate(shape) if one == size] or [None]
