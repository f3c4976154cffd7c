"""A loss function and its arguments as a recording: what `measure` asks, answered by compiled programs.

In: `Programs` and the arrays of a call. Out: windows, norms and columns, as `measure.recording` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from rnngraph.measure.recording import Array, Facts, Felt, Losses, Recording, See, Take, Window
from rnngraph.nn.cells.gate import SATURATED
from rnngraph.norms import norm, row_norms
from rnngraph.sources.jax import picture
from rnngraph.sources.jax.facts import clocks_of, facts_of, gate_of, input_name
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.loss_walk import LossWalk
from rnngraph.sources.jax.running.programs import Programs
from rnngraph.sources.jax.running.samples import Layout, by_sample, host
from rnngraph.sources.jax.scan_weights import changed_arrays, parameters_of
from rnngraph.trace.change import Change
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes
from rnngraph.trace.model import InputTrace, ParameterTrace
from rnngraph.trace.precision import precision_of

_ALLOWED, _NARROW = 2e4, 50  # times the precision of the loss, and of a narrow state: sums over many steps


class JaxRecording:
    """One call of a loss function."""

    walked = True
    labels: Sequence[str | None] = ()

    def __init__(self, programs: Programs, arrays: Sequence[Any]) -> None:
        """Run the function and its backward pass once."""
        self.programs, self.arrays = programs, list(arrays)
        self.sites: list[Site] = programs.plan.numbered
        loss, steps, gradients, found = programs.whole(self.arrays)
        self.loss, self.steps, self.found = float(loss), [host(one) for one in steps], found
        self.results = {number: one["results"] for number, one in found.items()}
        self.leaf_gradients: Mapping[int, Any] = gradients
        weights = (self.arrays[leaf].dtype for site in self.sites for leaf in site.leaves.values())
        self.dtype = str(next((one for one in weights if jnp.issubdtype(one, jnp.floating)), loss.dtype))
        self.layouts: list[Layout] = [programs.layout(site, found[site.number]["given"]) for site in self.sites]
        self.model = f"{programs.function.title}: " + " + ".join(f"scan {site.name}" for site in self.sites)
        self.batch = self.layouts[0].batch
        self.clocks = clocks_of(self)
        self.nodes = picture.nodes_of(self.sites)
        self.facts: Sequence[Facts] = [facts_of(self, site) for site in self.sites]
        self.broken: dict[str, int] = {}  # way -> the first node that is not finite

    # ---- the walk of the whole loss
    def walk(self, take: Take) -> None:
        """Lend all steps of every scan at once."""
        self.broken.clear()
        for site in self.sites:
            window = self._window(site)
            take(window)
            self._look(site, window)
        gradients = (jnp.isfinite(one).all() for one in self.leaf_gradients.values())
        if "backward" not in self.broken and math.isfinite(self.loss) and all(gradients):
            self.broken.clear()  # what is infinite is meant so, as places that no step has written to yet

    def _window(self, site: Site) -> Window:
        values, total, immediate, carried = ({} for _ in range(4))
        for k, kind in enumerate(site.kinds):
            values[kind] = self.column(site, "carried", k)
            total[kind] = self.column(site, "total", k)
            immediate[kind] = self.column(site, "immediate", k)
            before = self.column(site, "before", k)
            cuts = self.facts[site.number].anew
            carried[kind] = site.from_next(before if cuts is None else np.where(cuts.T[:, :, None], 0, before))
        gate, gates = gate_of(self, site), {}
        if gate is not None:
            gates = {"gates": gate[:, :, None], "gates_saturated": (gate * (1 - gate))[:, :, None] < SATURATED}
        return Window(site.number, slice(None), values, total, immediate, carried, **gates)

    def column(self, site: Site, what: str, place: int) -> Array:
        """Give a column of a state, (T, N, units) by timestep: `carried` are the values."""
        axis, found = self.layouts[site.number].axes[place], self.found[site.number][what]
        one = found[site.states[place] if what == "carried" else place]
        return by_sample(one, axis, flipped=site.flipped)

    def _look(self, site: Site, window: Window) -> None:
        """Note the first step, in the order of the pass, at which something is not finite."""
        for way, columns in (("forward", window.values), ("backward", window.total)):
            for kind, column in columns.items():
                steps = np.flatnonzero(~np.isfinite(column).all(axis=(1, 2)))
                if steps.size and way not in self.broken:
                    first = steps[-1] if site.reverse == (way == "forward") else steps[0]
                    self.broken[way] = int(self.nodes[site.number][kind][first])

    def initial(self, recurrence: int, kind: str) -> float | None:
        """Give the norm of the gradient of a first state."""
        site = self.sites[recurrence]
        before = self.column(site, "before", site.kinds.index(kind))
        return norm(before[-1 if site.reverse else 0])

    def felt(self) -> Felt:
        """Walk once more in numbers that cannot underflow."""
        total, carried, immediate = {}, {}, {}
        for number, found in self.programs.felt(self.arrays).items():
            site = self.sites[number]
            for place, kind in enumerate(site.kinds):
                states, before = (
                    np.asarray(found[name][place])[:: -1 if site.flipped else 1] > 0 for name in ("states", "before")
                )
                first = before[-1:] if site.reverse else before[:1]
                total[number, kind] = np.concatenate([first, states])
                carried[number, kind] = site.from_next(before)
                immediate[number, kind] = states if place else np.zeros(len(states), bool)
        return Felt(total, immediate, carried)

    # ---- what stands beside the states
    def valid(self, recurrence: int) -> Booleans:
        """Tell data from padding, (N, T): copied states do not count."""
        mask = self.facts[recurrence].mask
        everything = np.ones((self.layouts[recurrence].batch, self.sites[recurrence].length), bool)
        return everything if mask is None else mask

    def loss_steps(self, timesteps: int) -> Floats:
        """Give each timestep's part of the loss, where the user gives losses of steps."""
        column = np.full(timesteps, np.nan)
        for one in self.steps:
            column[: len(one)] = one.reshape(len(one), -1).sum(axis=1)[:timesteps]
        return column

    def parameters(self, timesteps: int, *, eigenvalues: int) -> tuple[ParameterTrace, ...]:
        """Measure the weights."""
        return tuple(parameters_of(self, timesteps, eigenvalues))

    def inputs(self, timesteps: int) -> tuple[InputTrace, ...]:
        """Measure what enters a scan that reads no other."""
        found = []
        for site in self.sites:
            columns = [
                row_norms(by_sample(one, None, flipped=site.flipped))[:, 0]
                for one in self.found[site.number]["read"].values()
            ]
            if columns:
                steps = Magnitudes.of(row_norms(np.stack(columns, axis=-1)))
                found.append(InputTrace(input_name(site), steps.lengthened(timesteps)))
        return tuple(found)

    def graph(self, states: dict[str, Magnitudes]) -> GraphTrace:
        """Give the scans as a graph, step by step."""
        return picture.graph_of(self, states)

    # ---- losses one by one
    @cached_property
    def loss_walk(self) -> LossWalk:
        """What of the loss enters at every scan."""
        return LossWalk(self)

    def read_as(self, joint: bool | None) -> None:
        """Take the loss for one that reads many steps at once, or not, as the user says."""
        if joint is not None:
            self.loss_walk.joint = joint

    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        return Losses(self.loss_walk.norms, self.loss_walk.joint)

    def pull(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
        """Walk losses back together."""
        self.loss_walk.pull(rows, samples, see)

    # ---- once more with other weights
    def changed(self, changes: Sequence[Change]) -> Recording | None:
        """Call the same function with changed weights; None where a change means nothing here."""
        arrays = changed_arrays(self.sites, self.arrays, changes)
        return None if arrays is None else JaxRecording(self.programs, arrays)

    def notes(self) -> tuple[str, ...]:
        """Say what a reader of the numbers must know."""
        plan, walked = self.programs.plan, "loss_walk" in vars(self)
        difference = self.loss_walk.difference if walked else 0.0
        narrow = (jnp.finfo(site.equation.outvars[k].aval.dtype).eps for site in self.sites for k in site.states)
        allowed = max(_ALLOWED * precision_of(self.dtype).eps, _NARROW * float(max(narrow)))
        apart = ", ".join(site.name for site, layout in zip(self.sites, self.layouts, strict=True) if layout.doubt)
        doubts = [
            f"a step keeps every number apart ({apart}), so that the samples were taken for the first axis of the "
            "states; batch_axis= says another"
        ] * bool(apart)
        if difference > allowed:
            doubts.insert(
                0,
                f"uncertain: the losses of all steps together differ from the whole by {difference:.1e}, and rounding "
                f"explains about {allowed:.0e}",
            )
        return (*doubts, *plan.notes, *(f"not measured: {one}" for one in plan.reasons))
