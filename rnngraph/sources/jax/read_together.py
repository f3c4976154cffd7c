"""Whether the loss reads many steps at once, as pooling and attention do: it is one loss then, and not one a step.

In: a recording and what enters its scans. Out: yes or no, by asking again: what the later steps of a sample hand out is
moved, and what enters at its first steps is compared with before. A loss of every step by itself does not change there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from rnngraph.norms import norm
from rnngraph.sources.jax.samples import host
from rnngraph.sources.jax.sites import Plan, Site
from rnngraph.sources.jax.walk import Path, called, walk
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

    Entering = Callable[[JaxRecording, Site, Mapping[int, Any]], Floats]

_MOVE = 1e-2  # of the size of what a step hands out
_READS, _ALONE = 0.05, 3.0  # as for PyTorch: how strongly steps are read together, and what statistics of a batch reach
_TERMS = 8  # kinds of terms of a loss that are looked at, at most
_SUMS = ("add", "add_any", "sub")
_FACTORS = (
    "mul", "div", "neg", "reduce_sum", "convert_element_type", "reshape", "squeeze", "broadcast_in_dim", "copy",
)  # fmt: skip  # of one thing alone

_Term: TypeAlias = tuple[tuple[str, ...], Path]  # how it is made, and where


class _Made(NamedTuple):
    """A value that an equation makes: the equation's name, and the terms that it is the sum of."""

    name: str
    terms: frozenset[_Term]


def reads_together(
    recording: JaxRecording, shares: Mapping[int, Mapping[int, Any]], entered: Floats, entering: Entering
) -> bool:
    """Tell whether the loss reads far steps together; `entered` is (T, N), the norms of its shares.

    Of a sum the term decides of which the most enters: a penalty on a mean activity beside words is a side term.
    """
    if not _joins(recording, shares, entered, entering):
        return False
    programs = recording.programs
    kinds = _kinds_of_terms(programs.function.jaxpr, programs.plan)
    if not 1 < len(kinds) <= _TERMS:
        return True
    every, alone = frozenset.union(*kinds), []
    for some in kinds:
        own = programs.shares(recording.arrays, recording.results, every - some)
        sites = [site for site in recording.sites if site.length == len(entered)]
        norms = np.hypot.reduce([entering(recording, site, own[site.number]) for site in sites], axis=0)
        alone.append((own, np.asarray(norms), every - some))
    own, norms, silent = max(alone, key=lambda one: norm(one[1]))
    return _joins(recording, own, norms, entering, silent)


def _joins(
    recording: JaxRecording,
    shares: Mapping[int, Mapping[int, Any]],
    entered: Floats,
    entering: Entering,
    silent: frozenset[Path] = frozenset(),
) -> bool:
    """Tell whether what enters at steps of a sample depends on what far ones hand out."""
    sample = int((entered != 0).sum(axis=0).argmax())
    known = np.flatnonzero(entered[:, sample])
    if known.size < 2:
        return False
    moved, far = known[known.size // 2 :], known[: max(known.size // 4, 1)]
    results = {site.number: _moved(recording, site, shares[site.number], moved, sample) for site in recording.sites}
    after = recording.programs.shares(recording.arrays, results, silent)
    changed = np.zeros_like(entered)
    for site in recording.sites:
        apart = {k: host(after[site.number][k]) - host(one) for k, one in shares[site.number].items()}
        if site.length == len(changed):
            changed = np.hypot(changed, entering(recording, site, {k: d for k, d in apart.items() if k >= site.count}))
    own, felt = _size(changed[moved, sample]), _size(changed[far, sample])
    others = _size(np.delete(changed[far], sample, axis=1))
    return bool(felt > _READS * own and felt > _ALONE * others)


def _moved(recording: JaxRecording, site: Site, shares: Mapping[int, Any], steps: Integers, sample: int) -> Any:
    """Move what a scan emits at some steps of a sample, where the loss reads it."""
    found = list(recording.results[site.number])
    places = site.length - 1 - steps if site.flipped else steps
    for k in shares:
        if k < site.count or site.length <= places.max():
            continue
        value, axis = np.array(host(found[k])), recording.layouts[site.number].emitted.get(k)
        part = value if axis is None else np.moveaxis(value, axis % (value.ndim - 1) + 1, 1)[:, sample : sample + 1]
        drawn = np.random.default_rng(0).normal(size=part[places].shape)
        part[places] += (_MOVE * (np.abs(value).max(initial=0) or 1.0) * drawn).astype(value.dtype)
        found[k] = jnp.asarray(value, recording.results[site.number][k].dtype)
    return type(recording.results[site.number])(found)


def _size(norms: Floats) -> float:
    return float(np.sqrt(np.square(norms).mean())) if norms.size else 0.0


def _kinds_of_terms(jaxpr: Any, plan: Plan) -> list[frozenset[Path]]:
    """Divide a loss, the first result of a jaxpr, into the terms that it is the sum of: the paths that make them.

    Terms that are made alike are of one kind. It is looked through factors, and into the calls that hold scans.
    """

    def visit(equation: Any, given: list[_Made | None], path: Path) -> Sequence[_Made | None]:
        nested, name = called(equation), equation.primitive.name
        if nested is not None and path in plan.entered:
            return walk((nested[0], [None] * len(nested[1])), given, visit, literal=lambda _: None, path=path)
        below = [one for one in given if one is not None]
        if path not in plan.sites and (name in _SUMS or (len(below) == 1 and name in _FACTORS)):
            terms = frozenset[_Term]().union(*(one.terms for one in below))
        else:
            terms = frozenset([((name, *(one.name for one in below)), path)])
        return [_Made(name, terms)] * len(equation.outvars)

    nothing: list[None] = [None] * (len(jaxpr.constvars) + len(jaxpr.invars))
    first = len(jaxpr.constvars)
    loss = walk((jaxpr, nothing[:first]), nothing[first:], visit, literal=lambda _: None)[0]
    found: dict[tuple[str, ...], set[Path]] = {}
    for kind, path in loss.terms if loss else ():
        found.setdefault(kind, set()).add(path)
    return [frozenset(some) for some in found.values()]
