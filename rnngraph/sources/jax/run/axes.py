"""Where the samples stand in a scan's states and inputs: the axis along which a step keeps everything apart.

In: what one step was given. Out: an axis a state and an input. One place along an axis is made NaN, and the step says
where NaN comes out: a product over units spreads it over all of them, a batch keeps it in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnngraph.errors import InputError
from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.run.step import step
from rnngraph.trace.magnitudes import Booleans

FOUND, NONE = "found", "none"
BatchAxis = int | str
Axes: TypeAlias = tuple[int | None, ...]  # of the samples, by state and then by input


@dataclass(frozen=True, slots=True)
class Layout:
    """The axes of the samples of one scan; None where there is none, or none is known."""

    batch: int
    axes: Axes  # by state, then by input
    emitted: dict[int, int | None]  # by place among the results, of one step
    doubt: str = ""  # a sentence, where several axes keep apart


def layout_of(site: Site, given: Sequence[Any], wanted: BatchAxis) -> Layout:
    """Find the axes, or take the one that is `wanted`; `given` is what some steps were given.

    Raises:
        InputError: a state has not the axis that is wanted.
    """
    _, carried, _ = given[0]
    shapes = [tuple(carried[k].shape) for k in site.states]
    nothing: Axes = (None,) * (len(shapes) + len(site.inputs))
    if wanted == NONE or not shapes[0]:
        return Layout(1, nothing, {})
    probe, doubt = _Probe(site, given), ""
    if wanted == FOUND:
        apart = [probe.apart(k) for k in range(len(shapes))]
        chosen = _chosen(apart, shapes)
        if None not in chosen and all(len(some) > 1 for some in apart):
            doubt = (
                f"the step of {site.name} keeps every number apart, so that its samples were taken for the first axis "
                "of its states; batch_axis= says another"
            )
    else:
        axis = int(wanted)
        for kind, shape in zip(site.kinds, shapes, strict=True):
            if not -len(shape) <= axis < len(shape):
                raise InputError(f"batch_axis is {axis}, but {site.name}.{kind} has the shape {shape}.")
        chosen = [axis % len(shape) for shape in shapes]
    sizes = {None if axis is None else shape[axis] for axis, shape in zip(chosen, shapes, strict=True)}
    if len(sizes) > 1 or None in sizes:
        return Layout(1, nothing, {}, doubt)
    first = [probe.axis_of_input(k, chosen) for k in range(len(site.inputs))]
    return Layout(int(sizes.pop() or 1), (*chosen, *first), probe.emitted(chosen), doubt)


def _chosen(apart: Sequence[Sequence[int]], shapes: Sequence[tuple[int, ...]]) -> list[int | None]:
    """Choose among axes that keep apart: the only one, and of others one of that size; of a state of one axis none."""
    surest = min(range(len(apart)), key=lambda k: len(apart[k]) or len(shapes[k]) + 1)
    if not apart[surest] or (len(shapes[surest]) == 1 and shapes[surest][0] > 1):
        return [None] * len(apart)
    size = shapes[surest][apart[surest][0]]
    return [
        next((axis for axis in some if shape[axis] == size), None) for some, shape in zip(apart, shapes, strict=True)
    ]


class _Probe:
    """Steps with NaN in one place, all run at once."""

    def __init__(self, site: Site, given: Sequence[Any]) -> None:
        self.site = site
        self.targets = [("carried", k) for k in site.states] + [("read", k) for k in site.inputs]
        _, carried, read = given[0]
        self.shapes = [tuple({"carried": carried, "read": read}[name][k].shape) for name, k in self.targets]
        self.poisons = [(place, axis) for place, shape in enumerate(self.shapes) for axis in range(len(shape))]
        masks = [self._masks(place) for place in range(len(self.targets))]

        def function(masks: list[Any], given: Any) -> Any:
            constants, carried, read = given
            now = {"carried": list(carried), "read": list(read)}
            for (name, k), mask in zip(self.targets, masks, strict=True):
                now[name][k] = jnp.where(mask, jnp.nan, _finite(now[name][k]))
            after, emitted = step(site, [*constants, *now["carried"], *now["read"]], {})
            results = {k: after[k] for k in site.states}
            results |= {k + site.count: one for k, one in enumerate(emitted)}
            return {k: jnp.isnan(one) for k, one in results.items() if jnp.issubdtype(one.dtype, jnp.inexact)}

        run = jax.jit(jax.vmap(function, in_axes=(0, None)))
        with jax.debug_nans(False):
            runs = [{k: np.asarray(found) for k, found in run(masks, one).items()} for one in given]
        self.found = {k: np.logical_or.reduce([one[k] for one in runs]) for k in runs[0]}

    def _masks(self, place: int) -> Booleans:
        """Give what is NaN of one target in every run, (runs, ...): the first place along an axis."""
        masks = np.zeros((len(self.poisons), *self.shapes[place]), bool)
        for number, (target, axis) in enumerate(self.poisons):
            if target == place:
                masks[(number, *(0 if k == axis else slice(None) for k in range(len(self.shapes[place]))))] = True
        return masks

    def apart(self, place: int) -> list[int]:
        """List the axes of a state along which a step keeps apart."""
        size = self.shapes[place]
        found = [
            axis
            for number, axis in self._runs(place)
            if all(
                self._kept(number, k, size[axis]) is not None or not self.found[k][number].any()
                for k in self.site.states
            )
        ]
        return [axis for axis in found if size[axis] > 1] or found

    def axis_of_input(self, place: int, chosen: Sequence[int | None]) -> int | None:
        """Find the axis of an input whose first place reaches only the first sample of the states."""
        target = place + len(self.site.states)
        for number, axis in self._runs(target):
            masks = [(self.found[k][number], own) for k, own in zip(self.site.states, chosen, strict=True)]
            reaches = any(mask.any() for mask, _ in masks) and all(_only_first(mask, own) for mask, own in masks)
            if reaches and self.shapes[target][axis] == self.shapes[0][chosen[0] or 0]:
                return axis
        return None

    def emitted(self, chosen: Sequence[int | None]) -> dict[int, int | None]:
        """Find the axis of the samples in what a step emits."""
        found: dict[int, int | None] = {}
        numbers = [self._number(place, axis) for place, axis in enumerate(chosen) if axis is not None]
        for k in self.found:
            if k >= self.site.count:
                masks = [self.found[k][number] for number in numbers if self.found[k][number].any()]
                size = self.shapes[0][chosen[0] or 0]
                axes = [a for a in range(self.found[k].ndim - 1) if self.found[k].shape[a + 1] == size]
                found[k] = next((a for a in axes if masks and all(_only_first(mask, a) for mask in masks)), None)
        return found

    def _runs(self, place: int) -> Iterator[tuple[int, int]]:
        return ((number, axis) for number, (target, axis) in enumerate(self.poisons) if target == place)

    def _number(self, place: int, axis: int) -> int:
        return self.poisons.index((place, axis))

    def _kept(self, number: int, result: int, size: int) -> int | None:
        """Find an axis of a result outside of whose first place no NaN came, of the same size."""
        mask = self.found[result][number]
        axes = (axis for axis in range(mask.ndim) if mask.shape[axis] == size)
        return next((axis for axis in axes if mask.any() and _only_first(mask, axis)), None)


def _only_first(mask: Booleans, axis: int | None) -> bool:
    if axis is None:
        return False
    return not np.moveaxis(mask, axis, 0)[1:].any()


def _finite(value: Any) -> Any:
    return jnp.where(jnp.isfinite(value), value, jnp.asarray(0.5, value.dtype))
