"""The scans of a call as the graph of a trace: a node a state and step, joined as the steps were.

In: a recording and the gradients of its states. Out: a `GraphTrace`. Operations inside a step are not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rnngraph.sources.jax.facts import input_name
from rnngraph.sources.jax.sites import Site
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Integers, Magnitudes

if TYPE_CHECKING:
    from rnngraph.sources.jax.recording import JaxRecording


@dataclass(frozen=True, slots=True)
class Numbers:
    """Ids of nodes: of every scan an input and then the states of its timesteps; the loss is last."""

    firsts: list[int]
    size: int

    @staticmethod
    def of(sites: Sequence[Site]) -> Numbers:
        """Number the nodes."""
        sizes = [1 + len(site.kinds) * site.length for site in sites]
        return Numbers([sum(sizes[:k]) for k in range(len(sizes))], sum(sizes) + 1)

    def of_site(self, site: Site) -> dict[str, Integers]:
        """Give the ids of a scan's states by kind, (T,) each."""
        first, count = self.firsts[site.number] + 1, len(site.kinds)
        return {kind: first + place + count * np.arange(site.length) for place, kind in enumerate(site.kinds)}


@dataclass(slots=True)
class _Columns:
    ops: dict[tuple[str, str], int] = field(default_factory=dict)
    scopes: dict[str, int] = field(default_factory=dict)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    inputs: list[list[int]] = field(default_factory=list)

    def add(self, op: tuple[str, str], scope: str, t: int, inputs: list[int]) -> None:
        """Add a node; an op is its name and its role."""
        self.rows.append((self.ops.setdefault(op, len(self.ops)), self.scopes.setdefault(scope, len(self.scopes)), t))
        self.inputs.append(inputs)


def graph_of(recording: JaxRecording, states: dict[str, Magnitudes]) -> GraphTrace:
    """Build the columns."""
    columns, numbers = _Columns(), recording.numbers
    grad = Magnitudes.unobserved((numbers.size,))
    for site in recording.sites:
        _add(columns, recording, site)
        for kind, ids in numbers.of_site(site).items():
            known = states[f"{site.name}.{kind}"]
            grad.value[ids], grad.status[ids] = known.value[: len(ids)], known.status[: len(ids)]
    lower = {other for site in recording.sites for other in site.below}
    ends = [node for site in recording.sites if site.number not in lower for node in _read_by_loss(recording, site)]
    columns.add(("loss", "loss"), "", -1, ends)
    op, scope, timestep = (np.array([row[k] for row in columns.rows], np.int64) for k in range(3))
    ops, roles = (tuple(one[k] for one in columns.ops) for k in range(2))
    return GraphTrace(
        ops=ops, labels=ops, roles=roles, formulas=("",) * len(ops), scopes=tuple(columns.scopes), shapes=("()",),
        names={str(numbers.firsts[site.number]): input_name(site) for site in recording.sites},
        op=op, scope=scope, shape=np.zeros(len(op), np.int64), timestep=timestep,
        inputs=np.array([one for some in columns.inputs for one in some], np.int64),
        offsets=np.concatenate([[0], np.cumsum([len(some) for some in columns.inputs])]).astype(np.int64),
        grad=grad, first_nonfinite_forward=recording.broken.get("forward", -1),
        first_nonfinite_backward=recording.broken.get("backward", -1),
    )  # fmt: skip


def _read_by_loss(recording: JaxRecording, site: Site) -> list[int]:
    """Give the nodes of the steps of a last scan at which anything enters."""
    parts = [recording.column(site, "immediate", place) for place in range(len(site.kinds))]
    entered = np.any([(part != 0).any(axis=(1, 2)) for part in parts], axis=0)
    return [node for node, here in zip(_first_kind(recording.numbers, site), entered, strict=True) if here]


def _add(columns: _Columns, recording: JaxRecording, site: Site) -> None:
    numbers = recording.numbers
    columns.add(("input", "input"), "", -1, [])
    mine, scope = numbers.of_site(site), f"{site.name}.0/{recording.facts[site.number].direction}"
    below = [one for one in recording.sites if one.number in site.below]
    together = [one for one in below if recording.clocks[one.number] == recording.clocks[site.number]]
    others = [one for one in below if one not in together]
    before = 1 if site.reverse else -1
    start = [_first_kind(numbers, one)[0 if one.reverse else -1] for one in others]
    under = list(zip(*(_first_kind(numbers, one) for one in together), strict=True))
    states = list(zip(*(ids.tolist() for ids in mine.values()), strict=True))
    ops = [(f"{site.name} {kind}", "compute") for kind in site.kinds]
    for t in range(site.length):
        past = states[t + before] if 0 <= t + before < site.length else start
        inputs = [*(under[t] if together else [numbers.firsts[site.number]]), *past]
        for op in ops:
            columns.add(op, scope, t, inputs)


def _first_kind(numbers: Numbers, site: Site) -> list[int]:
    found: list[int] = numbers.of_site(site)[site.kinds[0]].tolist()
    return found
