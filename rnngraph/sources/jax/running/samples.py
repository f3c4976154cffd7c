"""Where the samples stand in a scan's states and inputs, and what the device gives by timestep, sample and unit.

In: what a few steps were given. Out: an axis a state and an input: that along which a step keeps everything apart. The
first place along an axis is made NaN, and the step says where NaN comes out: a product over units spreads it over all
of them, a batch keeps it in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnngraph.errors import InputError
from rnngraph.measure.recording import Array
from rnngraph.norms import row_norms
from rnngraph.sources.jax.finding.form import inexact
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.running.step import computed
from rnngraph.trace.magnitudes import Booleans, Floats

FOUND, NONE = "found", "none"
BatchAxis = int | str
Reach: TypeAlias = dict[tuple[int, int], dict[int, Booleans]]  # (argument, axis) -> by result, where NaN comes out
Axes: TypeAlias = tuple[int | None, ...]  # of the samples, by state and then by input


@dataclass(frozen=True, slots=True)
class Layout:
    """The axes of the samples of one scan; None where there is none, or none is known."""

    batch: int
    axes: Axes  # by state, then by input
    emitted: Mapping[int, int | None]  # by place among the results, of one step
    doubt: bool = False  # several axes keep apart


def layout_of(site: Site, given: Sequence[Sequence[Any]], wanted: BatchAxis) -> Layout:
    """Find the axes, or take the one that is `wanted`; `given` are the arguments of a few steps.

    Raises:
        InputError: a state has not the axis that is wanted.
    """
    states, inputs = site.tapped[: len(site.states)], site.tapped[len(site.states) :]
    shapes = {k: tuple(given[0][k].shape) for k in site.tapped}
    nothing, doubt = (None,) * len(site.tapped), False
    if wanted == NONE or not shapes[states[0]]:
        return Layout(1, nothing, {})
    for kind, k in zip(site.kinds, states, strict=True):
        if wanted != FOUND and not -len(shapes[k]) <= int(wanted) < len(shapes[k]):
            raise InputError(f"batch_axis is {wanted}, but {site.name}.{kind} has the shape {shapes[k]}.")
    reach = _reach(site, given)
    if wanted == FOUND:
        apart = {k: _apart(k, shapes[k], reach, site.states) for k in states}
        chosen = _chosen(apart, shapes)
        doubt = None not in chosen.values() and all(len(some) > 1 for some in apart.values())
    else:
        chosen = {k: int(wanted) % len(shapes[k]) for k in states}
    sizes = {None if axis is None else shapes[k][axis] for k, axis in chosen.items()}
    batch = sizes.pop()
    if sizes or batch is None:
        return Layout(1, nothing, {}, doubt)
    emitted: dict[int, int | None] = {}
    for place in site.emitted:
        masks = [one for k, axis in chosen.items() if (one := reach[k, axis or 0][place]).any()]
        axes = [axis for axis, size in enumerate(site.equation.outvars[place].aval.shape[1:]) if size == batch]
        emitted[place] = next((a for a in axes if masks and all(_first_only(one, a) for one in masks)), None)
    ends = {place: chosen[k] for place, k in zip(site.states, states, strict=True)}
    ends |= {place: axis for place, axis in emitted.items() if axis is not None}  # what a head alone reads
    read: list[int | None] = []
    for k in inputs:
        axes = [axis for axis, size in enumerate(shapes[k]) if size == batch]
        read.append(next((a for a in axes if _reaches(reach[k, a], ends)), None))
    return Layout(batch, (*chosen.values(), *read), emitted, doubt)


def _chosen(apart: Mapping[int, Sequence[int]], shapes: Mapping[int, tuple[int, ...]]) -> dict[int, int | None]:
    """Choose among axes that keep apart: the only one, and of others one of that size; of a state of one axis none."""
    surest = min(apart, key=lambda k: len(apart[k]) or len(shapes[k]) + 1)
    if not apart[surest] or (len(shapes[surest]) == 1 and shapes[surest][0] > 1):
        return dict.fromkeys(apart)
    size = shapes[surest][apart[surest][0]]
    return {k: next((axis for axis in some if shapes[k][axis] == size), None) for k, some in apart.items()}


def _reach(site: Site, given: Sequence[Sequence[Any]]) -> Reach:
    """Say where NaN comes out, by result, of NaN in the first place along an axis, by argument and axis."""
    shapes = {k: tuple(given[0][k].shape) for k in site.tapped}
    runs = [(k, axis) for k, shape in shapes.items() for axis in range(len(shape))]
    poisoned = {k: np.zeros((len(runs), *shape), bool) for k, shape in shapes.items()}
    for number, (k, axis) in enumerate(runs):
        np.moveaxis(poisoned[k][number], axis, 0)[0] = True

    def function(masks: Mapping[int, Any], given: Sequence[Any]) -> dict[int, Any]:
        own = {k: jnp.where(mask, jnp.nan, _finite(given[k])) for k, mask in masks.items()}
        values = computed(site.form, [own.get(k, one) for k, one in enumerate(given)])
        found = [values[one] for one in site.form.results]
        return {k: jnp.isnan(found[k]) for k in (*site.states, *site.emitted) if inexact(site.equation.outvars[k])}

    run = jax.jit(jax.vmap(function, in_axes=(0, None)))
    with jax.debug_nans(False):
        each = [run(poisoned, one) for one in given]
    found = {k: np.logical_or.reduce([np.asarray(one[k]) for one in each]) for k in each[0]}
    return {one: {k: mask[number] for k, mask in found.items()} for number, one in enumerate(runs)}


def _apart(
    argument: int,
    shape: tuple[int, ...],
    reach: Mapping[tuple[int, int], Mapping[int, Booleans]],
    states: Sequence[int],
) -> list[int]:
    """List the axes of a state along which a step keeps apart: of a size above one, but where it keeps all of them."""
    found = []
    for axis, size in enumerate(shape):
        masks = [reach[argument, axis][k] for k in states]
        if all(not m.any() or any(m.shape[a] == size and _first_only(m, a) for a in range(m.ndim)) for m in masks):
            found.append(axis)
    wide = [axis for axis in found if shape[axis] > 1]
    return found if len(wide) == sum(size > 1 for size in shape) else wide or found


def _reaches(masks: Mapping[int, Booleans], ends: Mapping[int, int | None]) -> bool:
    """Whether NaN comes out, and of everything the first sample alone."""
    return any(masks[k].any() for k in ends) and all(_first_only(masks[k], axis or 0) for k, axis in ends.items())


def _first_only(mask: Booleans, axis: int) -> bool:
    return not np.moveaxis(mask, axis, 0)[1:].any()


def _finite(value: Any) -> Any:
    return jnp.where(jnp.isfinite(value), value, jnp.asarray(0.5, value.dtype))


def host(value: Any) -> Array:
    """Bring an array over; a narrow float becomes a float32, and a complex number two real ones on a last axis."""
    array = np.asarray(value)
    if array.dtype.kind == "c":
        return np.ascontiguousarray(array)[..., None].view(array.real.dtype)
    return array if array.dtype in (np.float32, np.float64) or array.dtype.kind != "V" else array.astype(np.float32)


def by_sample(value: Any, axis: int | None, *, flipped: bool) -> Array:
    """Bring (T, ...) to (T, N, units), timesteps ascending; `axis` is that of the samples in one step."""
    array = host(value)
    array = array[::-1] if flipped else array
    if axis is None:
        return array.reshape(len(array), 1, -1)
    return np.moveaxis(array, axis + 1, 1).reshape(len(array), array.shape[axis + 1], -1)


def sample_norms(value: Any, axis: int | None, batch: int, *, flipped: bool) -> Floats:
    """Give the norm of every step and sample, (T, N); where the samples are not known, all of it is every sample's."""
    norms = row_norms(by_sample(value, axis, flipped=flipped))
    return np.asarray(np.broadcast_to(norms, (len(norms), batch)) if norms.shape[1] != batch else norms)
