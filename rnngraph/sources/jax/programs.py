"""The compiled programs that answer: gradients of the whole loss, shares of it, losses one by one, and what arrives.

In: a `Function` and its `Plan`. Out: `Programs`, whose methods take the arrays of a call. Nothing is compiled before it
is asked for, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax import single, whole
from rnngraph.sources.jax.axes import BatchAxis, Layout, layout_of
from rnngraph.sources.jax.function import Function
from rnngraph.sources.jax.single import Axes
from rnngraph.sources.jax.sites import Plan, Site
from rnngraph.sources.jax.step import checkpointed, emitted_places, entered_places
from rnngraph.sources.jax.walk import CHECKPOINTS, Path, body, called, compute, walk

How: TypeAlias = Callable[[Site, list[Any], Any], tuple[Sequence[Any], Any]]


class Programs:
    """The programs of one function; `axes` by site say where its samples stand."""

    def __init__(self, function: Function, plan: Plan) -> None:
        """Make what is compiled on first use."""
        self.function, self.plan = function, plan
        self._layouts: dict[tuple[int, BatchAxis], Layout] = {}
        self.whole = jax.jit(self._whole, static_argnums=(1,))
        self.shares = jax.jit(self._shares)
        self.rows = jax.jit(self._rows, static_argnums=(3,))
        self.step_rows = jax.jit(self._step_rows, static_argnums=(2,))
        self.felt = jax.jit(self._felt)
        self.handed_down = jax.jit(self._handed_down, static_argnums=(2, 3))

    def layout(self, site: Site, given: Sequence[Any], wanted: BatchAxis) -> Layout:
        """Find where the samples stand in a scan, once."""
        key = site.number, wanted
        if key not in self._layouts:
            self._layouts[key] = layout_of(site, given, wanted)
        return self._layouts[key]

    def run(self, arrays: Sequence[Any], how: How, slots: Any) -> tuple[list[Any], dict[int, Any]]:
        """Compute the function with its scans run another way; give its results, and what was noted by scan."""
        run = _Run(self.plan, how, slots)
        return walk((self.function.jaxpr, self.function.constants), list(arrays), run.visit), run.noted

    def _split(self, arrays: Sequence[Any]) -> tuple[dict[int, Any], Callable[[Mapping[int, Any]], list[Any]]]:
        weights = {k: arrays[k] for k, one in enumerate(self.function.weights) if one}
        return weights, lambda own: [own.get(k, one) for k, one in enumerate(arrays)]

    def _whole(self, arrays: Sequence[Any], weights: bool) -> Any:
        """Give loss, losses of steps, gradients by leaf, and by scan values, gradients and parts."""
        mine, joined = self._split(arrays)
        slots = {site.number: whole.whole_slots(site) for site in self.plan}

        def function(own: Any, slots: Any) -> Any:
            results, noted = self.run(joined(own), whole.whole, slots)
            return results[0], (results[1:], noted)

        loss, pull, (rest, noted) = jax.vjp(function, mine, slots, has_aux=True)
        gradients, arrived = pull(jnp.ones_like(loss))
        found = {}
        for site in self.plan:
            note, own = noted[site.number], arrived[site.number]
            parts = whole.weight_parts(site, note, own["results"], own["before"]) if weights and site.leaves else {}
            found[site.number] = {
                "values": [note["carried"][k] for k in site.states],
                "total": own["states"], "before": own["before"], "read": own["read"], "weights": parts,
                "immediate": whole.immediate(site, note, own["results"]), "results": note["results"],
                "given": [whole.given(site, note, t) for t in _seen(site)],
            }  # fmt: skip
        return loss, rest, gradients, found

    def _shares(self, arrays: Sequence[Any], results: Mapping[int, Sequence[Any]]) -> dict[int, dict[int, Any]]:
        """Give what of the loss reaches the results of every scan without having passed another."""
        wanted = {site.number: {k: results[site.number][k] for k in entered_places(site)} for site in self.plan}

        def function(own: Any) -> Any:
            return self.run(arrays, partial(_replaced, results=results), own)[0][0]

        loss, pull = jax.vjp(function, wanted)
        found: dict[int, dict[int, Any]] = pull(jnp.ones_like(loss))[0]
        return found

    def _handed_down(self, arrays: Sequence[Any], results: Mapping[int, Sequence[Any]], upper: int, t: int) -> Any:
        """Give what one step of a scan hands down to what others emit, past no other scan: norms by step."""
        below = [site for site in self.plan if site.number in self.plan.numbered[upper].below]
        wanted = {site.number: {k: results[site.number][k] for k in emitted_places(site)} for site in below}

        def function(own: Any) -> Any:
            noted = self.run(arrays, partial(_replaced, results=results), own)[1][upper]
            return [one[t] for one in noted if jnp.issubdtype(one.dtype, jnp.inexact)]

        found, pull = jax.vjp(function, wanted)
        keys = jax.random.split(jax.random.key(0), max(len(found), 1))
        seeds = [jax.random.normal(key, one.shape).astype(one.dtype) for key, one in zip(keys, found, strict=False)]
        return {
            number: sum(jnp.sum(jnp.abs(one).reshape(len(one), -1), axis=1) for one in some.values())
            for number, some in pull(seeds)[0].items()
        }

    def _rows(self, arrays: Sequence[Any], shares: Any, factors: Any, axes: tuple[Axes, ...]) -> Any:
        """Give norms by sample at every state for every row; factors of a scan are (rows, T)."""
        slots = {site.number: single.row_slots(site, axes[site.number]) for site in self.plan}

        def one(factors: Any) -> Any:
            def function(slots: Any) -> Any:
                return self.run(arrays, partial(_row, axes=axes, factors=factors), slots)[1]

            return jax.vjp(function, slots)[1](shares)[0]

        return jax.vmap(one)(factors)

    def _step_rows(self, arrays: Sequence[Any], seeds: Any, axes: tuple[Axes, ...]) -> Any:
        """Do the same for losses of steps that the user gives; seeds are (rows, T)."""
        slots = {site.number: single.row_slots(site, axes[site.number]) for site in self.plan}

        def function(slots: Any) -> Any:
            losses = self.run(arrays, partial(_row, axes=axes, factors=None), slots)[0][1]
            return losses.reshape(len(losses), -1).sum(axis=1)

        _, pull = jax.vjp(function, slots)
        return jax.vmap(lambda seed: pull(seed)[0])(seeds)

    def _felt(self, arrays: Sequence[Any]) -> Any:
        slots = {site.number: whole.felt_slots(site) for site in self.plan}
        loss, pull = jax.vjp(lambda slots: self.run(arrays, whole.felt, slots)[0][0], slots)
        return pull(jnp.ones_like(loss))[0]


def _seen(site: Site) -> list[int]:
    """Choose a few steps that the layout is read off: at one alone, a reset may keep everything apart."""
    return sorted({site.length // 2, site.length // 3, site.length - 1, 0}, reverse=True)


def _replaced(site: Site, operands: list[Any], own: Any, *, results: Mapping[int, Sequence[Any]]) -> Any:
    return [own.get(k, one) for k, one in enumerate(results[site.number])], site.divide(operands)[2]


def _row(site: Site, operands: list[Any], slots: Any, *, axes: tuple[Axes, ...], factors: Any) -> Any:
    mine = None if factors is None else factors[site.number]
    return single.row(site, operands, slots, axes=axes[site.number], factors=mine)


class _Run:
    """One way through a function; what the scans note is kept by number."""

    def __init__(self, plan: Plan, how: How, slots: Any) -> None:
        self.plan, self.how, self.slots = plan, how, slots
        self.noted: dict[int, Any] = {}

    def visit(self, equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        site = self.plan.sites.get(path)
        if site is not None:
            results, self.noted[site.number] = self.how(site, operands, self.slots.get(site.number, {}))
            return results
        if path not in self.plan.entered:
            return compute(equation, operands)
        if path in self.plan.layers:
            return self._layers(equation, operands, path)
        nested = called(equation)
        if nested is None:
            return compute(equation, operands)
        if equation.primitive.name in CHECKPOINTS:
            return self._checkpointed(equation, nested, operands, path)
        return walk(nested, operands, self.visit, path=path)

    def _checkpointed(self, equation: Any, nested: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        def function(slots: Any, operands: list[Any]) -> Any:
            run = _Run(self.plan, self.how, slots)
            return walk(nested, operands, run.visit, path=path), run.noted

        results, noted = checkpointed(equation, function)(self.slots, operands)
        self.noted |= noted
        found: Sequence[Any] = results
        return found

    def _layers(self, equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        first, count = equation.params["num_consts"], equation.params["num_carry"]
        carried, results = operands[first : first + count], []
        layers = range(equation.params["length"])
        order = reversed(layers) if equation.params["reverse"] else layers
        for layer in order:
            read = [one[layer] for one in operands[first + count :]]
            found = walk(body(equation), [*operands[:first], *carried, *read], self.visit, path=(*path, layer))
            carried = found[:count]
            results.append(found[count:])
        if equation.params["reverse"]:
            results.reverse()
        return [*carried, *(jnp.stack(some) for some in zip(*results, strict=True))]
