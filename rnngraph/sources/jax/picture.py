"""The scans of a call as the graph of a trace: a node a state and step, joined as the steps were.

In: a recording and the gradients of its states. Out: a `GraphTrace`. Operations inside a step are not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnngraph.sources.jax.facts import input_name
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Integers, Magnitudes

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording


def nodes_of(sites: Sequence[Site]) -> list[dict[str, Integers]]:
    """Number the nodes: of every scan an input and then the states of its timesteps, (T,) a kind; the loss is last."""
    found, first = [], 1
    for site in sites:
        count = len(site.kinds)
        found.append({kind: first + k + count * np.arange(site.length) for k, kind in enumerate(site.kinds)})
        first += 1 + count * site.length
    return found


def graph_of(recording: JaxRecording, states: dict[str, Magnitudes]) -> GraphTrace:
    """Build the columns."""
    ops, scopes, inputs = [("input", "input")], [""], list[list[int]]()
    rows: list[tuple[int, int, int]] = []  # op, scope, timestep
    for site in recording.sites:
        scopes.append(f"{site.name}.0/{recording.facts[site.number].direction}")
        rows += [(0, 0, -1)]
        rows += [(len(ops) + k, len(scopes) - 1, t) for t in range(site.length) for k in range(len(site.kinds))]
        inputs += [[], *(some for some in _read_by_steps(recording, site) for _ in site.kinds)]
        ops += [(f"{site.name} {kind}", "compute") for kind in site.kinds]
    rows.append((len(ops), 0, -1))
    lower = {other for site in recording.sites for other in site.below}
    inputs.append([n for site in recording.sites if site.number not in lower for n in _read_by_loss(recording, site)])
    ops.append(("loss", "loss"))
    grad = Magnitudes.unobserved((len(rows),))
    for site in recording.sites:
        for kind, ids in recording.nodes[site.number].items():
            known = states[f"{site.name}.{kind}"]
            grad.value[ids], grad.status[ids] = known.value[: len(ids)], known.status[: len(ids)]
    op, scope, timestep = np.array(rows, np.int64).T
    labels, roles = (tuple(one[k] for one in ops) for k in range(2))
    return GraphTrace(
        ops=labels, labels=labels, roles=roles, formulas=("",) * len(ops), scopes=tuple(scopes), shapes=("()",),
        names={str(_input(recording, site)): input_name(site) for site in recording.sites},
        op=op, scope=scope, shape=np.zeros(len(rows), np.int64), timestep=timestep,
        inputs=np.array([one for some in inputs for one in some], np.int64),
        offsets=np.concatenate([[0], np.cumsum([len(some) for some in inputs])]).astype(np.int64),
        grad=grad, first_nonfinite_forward=recording.broken.get("forward", -1),
        first_nonfinite_backward=recording.broken.get("backward", -1),
    )  # fmt: skip


def _read_by_loss(recording: JaxRecording, site: Site) -> list[int]:
    """Give the nodes of the steps of a last scan at which anything enters."""
    parts = [recording.column(site, "immediate", place) for place in range(len(site.kinds))]
    entered = np.any([(part != 0).any(axis=(1, 2)) for part in parts], axis=0)
    return [node for node, here in zip(_first_kind(recording, site), entered, strict=True) if here]


def _read_by_steps(recording: JaxRecording, site: Site) -> Iterator[list[int]]:
    """Give the nodes that each step reads: below, or the input, and the states before, or the end of an encoder."""
    below = [one for one in recording.sites if one.number in site.below]
    together = [one for one in below if recording.clocks[one.number] == recording.clocks[site.number]]
    start = [_first_kind(recording, one)[0 if one.reverse else -1] for one in below if one not in together]
    under = list(zip(*(_first_kind(recording, one) for one in together), strict=True))
    states = list(zip(*(ids.tolist() for ids in recording.nodes[site.number].values()), strict=True))
    for t in range(site.length):
        before = t + (1 if site.reverse else -1)
        past = states[before] if 0 <= before < site.length else start
        yield [*(under[t] if together else [_input(recording, site)]), *past]


def _input(recording: JaxRecording, site: Site) -> int:
    return _first_kind(recording, site)[0] - 1


def _first_kind(recording: JaxRecording, site: Site) -> list[int]:
    found: list[int] = recording.nodes[site.number][site.kinds[0]].tolist()
    return found
