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

from rnngraph.sources.jax.finding.sites import Plan, Site
from rnngraph.sources.jax.function import Function, Options
from rnngraph.sources.jax.running import through_scan
from rnngraph.sources.jax.running.read_together import Heard, largest_alone
from rnngraph.sources.jax.running.samples import Axes, Layout, layout_of
from rnngraph.sources.jax.running.step import all_steps, at_step, checkpointed, tap_to_size_one
from rnngraph.sources.jax.walk import CHECKPOINTS, Path, body, called, compute, counts, walk

How: TypeAlias = Callable[[Site, list[Any], Any], tuple[Sequence[Any], Any]]
Results: TypeAlias = Mapping[int, Sequence[Any]]  # of every scan, by number
_ALL = Heard()


class Programs:
    """The programs of one function."""

    def __init__(self, function: Function, plan: Plan, options: Options) -> None:
        """Make what is compiled on first use."""
        self.function, self.plan, self.options = function, plan, options
        self._layouts: dict[int, Layout] = {}
        self.whole = jax.jit(self._whole)
        self.shares = jax.jit(self._shares, static_argnums=(2,))
        self.step_shares = jax.jit(self._step_shares)
        self.rows = jax.jit(self._rows, static_argnums=(0, 1))
        self.handed_down = jax.jit(self._handed_down, static_argnums=(0,))
        self.felt = jax.jit(self._felt)

    def layout(self, site: Site, given: Sequence[Any]) -> Layout:
        """Find where the samples stand in a scan, once."""
        if site.number not in self._layouts:
            self._layouts[site.number] = layout_of(site, given, self.options.batch_axis)
        return self._layouts[site.number]

    def run(self, arrays: Sequence[Any], how: How, slots: Any, heard: Heard = _ALL) -> tuple[list[Any], dict[int, Any]]:
        """Compute the function with its scans run another way; give its results, and what was noted by scan.

        What is not `heard` hands nothing back.
        """
        run = _Run(self.plan, how, slots, heard)
        return walk((self.function.jaxpr, self.function.constants), list(arrays), run.visit), run.noted

    def _whole(self, arrays: Sequence[Any]) -> Any:
        """Give loss, losses of steps, gradients by leaf, and by scan values, gradients and parts."""
        slots = {site.number: through_scan.whole_slots(site) for site in self.plan.numbered}

        def function(own: Any, slots: Any) -> Any:
            every = [own.get(k, one) for k, one in enumerate(arrays)]
            results, noted = self.run(every, through_scan.whole, slots)
            return results[0], (results[1:], noted)

        mine = {k: arrays[k] for k, one in enumerate(self.function.weights) if one}
        loss, pull, (rest, noted) = jax.vjp(function, mine, slots, has_aux=True)
        gradients, arrived = pull(jnp.ones_like(loss))
        found = {}
        for site in self.plan.numbered:
            note, own = noted[site.number], arrived[site.number]
            arguments = all_steps(site, note["operands"], note["carried"])
            found[site.number] = {
                "carried": note["carried"], "total": own["states"], "before": own["before"], "read": own["read"],
                "results": note["results"], "inside": through_scan.inside(site, arguments),
                "given": [at_step(site, arguments, t) for t in _seen(site)],
                **through_scan.parts(site, arguments, own["results"], own["before"], weights=self.options.weights),
            }  # fmt: skip
        return loss, rest, gradients, found

    def _shares(
        self, arrays: Sequence[Any], results: Results, heard: Heard = _ALL, place: Any = 0
    ) -> dict[int, dict[int, Any]]:
        """Give what of the loss reaches the results of every scan without having passed another."""

        def function(own: Any) -> Any:
            return self.run(arrays, partial(_replaced, results=results), own, heard._replace(place=place))[0][0]

        loss, pull = jax.vjp(function, self._entered(results))
        found: dict[int, dict[int, Any]] = pull(jnp.ones_like(loss))[0]
        return found

    def _step_shares(self, arrays: Sequence[Any], results: Results, seeds: Any) -> dict[int, dict[int, Any]]:
        """Give the same of losses of steps that the user gives, (rows, ...); seeds are (rows, T)."""

        def function(own: Any) -> Any:
            losses = self._beside(arrays, results, own)[0][1]
            return losses.reshape(len(losses), -1).sum(axis=1)

        _, pull = jax.vjp(function, self._entered(results))
        found: dict[int, dict[int, Any]] = jax.vmap(lambda seed: pull(seed)[0])(seeds)
        return found

    def _handed_down(
        self, upper: int, arrays: Sequence[Any], results: Results, arrived: Mapping[int, Any]
    ) -> dict[int, dict[int, Any]]:
        """Give what of what arrives at operands of a scan, (rows, ...), reaches the results of those that it reads."""
        wanted = {k: one for k, one in self._entered(results).items() if k in self.plan.numbered[upper].below}

        def function(own: Any) -> Any:
            operands = self._beside(arrays, results, own)[1][upper]
            return {k: operands[k] for k in arrived}

        _, pull = jax.vjp(function, wanted)
        found: dict[int, dict[int, Any]] = jax.vmap(lambda some: pull(some)[0])(arrived)
        return found

    def _beside(self, arrays: Sequence[Any], results: Results, own: Any) -> tuple[list[Any], dict[int, Any]]:
        """Compute everything but the scans, whose results are known; give results, and operands by scan."""
        return self.run(arrays, partial(_replaced, results=results), own)

    def _entered(self, results: Results) -> dict[int, dict[int, Any]]:
        return {site.number: {k: results[site.number][k] for k in site.entered} for site in self.plan.numbered}

    def _rows(
        self,
        number: int,
        axes: Axes,
        arrays: Sequence[Any],
        results: Results,
        entering: dict[str, Any],
    ) -> Any:
        """Walk rows back through one scan; see `through_scan.walk_rows`. What is handed down is (rows, ...)."""
        site, operands = self.plan.numbered[number], self._beside(arrays, results, {})[1][number]
        return through_scan.walk_rows(site, operands, entering, dict(zip(site.tapped, axes, strict=True)))

    def _felt(self, arrays: Sequence[Any]) -> Any:
        slots = {site.number: through_scan.felt_slots(site) for site in self.plan.numbered}
        how = partial(through_scan.whole, by=tap_to_size_one)
        loss, pull = jax.vjp(lambda slots: self.run(arrays, how, slots)[0][0], slots)
        return pull(jnp.ones_like(loss))[0]


def _seen(site: Site) -> list[int]:
    """Choose a few steps that the layout is read off: at one alone, a reset may keep everything apart."""
    return sorted({site.length // 2, site.length // 3, site.length - 1, 0}, reverse=True)


def _replaced(site: Site, operands: list[Any], own: Any, *, results: Mapping[int, Sequence[Any]]) -> Any:
    return [own.get(k, one) for k, one in enumerate(results[site.number])], operands


class _Run:
    """One way through a function; what the scans note is kept by number."""

    def __init__(self, plan: Plan, how: How, slots: Any, heard: Heard = _ALL) -> None:
        self.plan, self.how, self.slots, self.heard = plan, how, slots, heard
        self.noted: dict[int, Any] = {}

    def visit(self, equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        single = self.heard.single
        if single is not None and path == single.path:
            alone = largest_alone([operands[k] for k in single.operands], self.heard.place)
            operands = [*operands]
            for k, one in zip(single.operands, alone, strict=True):
                operands[k] = one
        found = self._computed(equation, operands, path)
        return [jax.lax.stop_gradient(one) for one in found] if path in self.heard.silent else found

    def _computed(self, equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
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
            run = _Run(self.plan, self.how, slots, self.heard)
            return walk(nested, operands, run.visit, path=path), run.noted

        results, noted = checkpointed(equation, function)(self.slots, operands)
        self.noted |= noted
        found: Sequence[Any] = results
        return found

    def _layers(self, equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        first, count = counts(equation)
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
