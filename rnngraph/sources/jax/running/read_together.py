"""Whether the loss reads many steps at once, as pooling and attention do: it is one loss then, and not one a step.

In: a recording and what enters its scans. Out: yes or no. The loss is divided into the terms that it is the sum of,
which are equations; programs listen to some of them by `Heard`, and it is asked at which steps one number of a term
enters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnngraph.norms import norm
from rnngraph.sources.far_steps import ASKED, made_of_far_steps
from rnngraph.sources.jax.finding.form import inexact
from rnngraph.sources.jax.finding.sites import Plan, Site
from rnngraph.sources.jax.walk import Path, called, walk
from rnngraph.trace.magnitudes import Floats

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

    Entering = Callable[[JaxRecording, Site, Mapping[int, Any]], Floats]

_SUMS = ("add", "add_any", "sub")
_FACTORS = (
    "mul", "div", "neg", "reduce_sum", "convert_element_type", "reshape", "squeeze", "broadcast_in_dim", "copy",
)  # fmt: skip  # of one thing alone


class Term(NamedTuple):
    """An equation: how it is made, where it stands, and which of its operands come from scans."""

    kind: tuple[str, ...]
    path: Path
    operands: tuple[int, ...]


class Heard(NamedTuple):
    """What hands back its gradient: everything but some equations, and of one term one of its largest numbers alone."""

    silent: frozenset[Path] = frozenset()
    single: Term | None = None
    place: Any = 0  # of the number, among the largest


class _Made(NamedTuple):
    """A value that comes from a scan: the name of its equation, and the terms that it is the sum of."""

    name: str
    terms: frozenset[Term]


def kinds_of_terms(jaxpr: Any, plan: Plan) -> list[list[Term]]:
    """Divide a loss, the first result of a jaxpr, into the terms that it is the sum of, in their order.

    Terms that are made alike are of one kind. It is looked through factors, and into the calls that hold scans.
    """

    def visit(equation: Any, given: list[_Made | None], path: Path) -> Sequence[_Made | None]:
        nested, name = called(equation), equation.primitive.name
        if nested is not None and path in plan.entered:
            return walk((nested[0], [None] * len(nested[1])), given, visit, literal=lambda _: None, path=path)
        below = [one for one in given if one is not None]
        if not below and path not in plan.sites:
            return [None] * len(equation.outvars)
        if path not in plan.sites and (name in _SUMS or (len(below) == 1 and name in _FACTORS)):
            terms = frozenset[Term]().union(*(one.terms for one in below))
        else:
            operands = [k for k, one in enumerate(given) if one is not None and inexact(equation.invars[k])]
            terms = frozenset([Term((name, *(one.name for one in below)), path, tuple(operands))])
        return [_Made(name, terms)] * len(equation.outvars)

    nothing: list[None] = [None] * (len(jaxpr.constvars) + len(jaxpr.invars))
    first = len(jaxpr.constvars)
    loss = walk((jaxpr, nothing[:first]), nothing[first:], visit, literal=lambda _: None)[0]
    found: dict[tuple[str, ...], list[Term]] = {}
    for term in sorted(loss.terms, key=lambda one: one.path) if loss else ():
        found.setdefault(term.kind, []).append(term)
    return list(found.values())


def _largest(place: Any, arrived: list[Any]) -> tuple[list[Any], None]:
    """Keep one number of all that arrives, and what arrives beside it in values of one shape, as at both factors."""
    sizes: dict[tuple[int, ...], Any] = {}
    for one in arrived:
        sizes[one.shape] = jnp.maximum(sizes.get(one.shape, 0), jnp.abs(one).astype(jnp.float32))
    every = jnp.concatenate([one.ravel() for one in sizes.values()])
    largest = jax.lax.top_k(every, min(ASKED, every.size))[1]
    kept, chosen, first = largest[jnp.minimum(place, largest.size - 1)], {}, 0
    for shape, one in sizes.items():
        chosen[shape] = (first + jnp.arange(one.size) == kept).reshape(shape)
        first += one.size
    return [jnp.where(chosen[one.shape], one, jnp.zeros_like(one)) for one in arrived], None


largest_alone: Any = jax.custom_vjp(lambda values, _: values)  # of what comes back to a list, one number goes on
largest_alone.defvjp(lambda values, place: (values, place), _largest)


def reads_together(recording: JaxRecording, clock: int, entered: Floats, entering: Entering) -> bool:
    """Tell whether the largest numbers that the loss sums up are made of far steps of a clock.

    Of a sum the term decides of which the most enters: a penalty on a mean activity beside words is a side term.
    `entered` are the norms of what enters of the loss, (T, N).
    """
    programs = recording.programs
    sites = [site for site in recording.sites if recording.clocks[site.number] == clock]

    def norms(heard: Heard, place: int = 0, *, emitted: bool = False) -> Floats:
        """Give the norms, (T, N), of what enters, or only of what enters at what steps emit."""
        shares, found = programs.shares(recording.arrays, recording.results, heard, place), np.zeros_like(entered)
        for site in sites:
            own = {k: one for k, one in shares[site.number].items() if k >= site.count or not emitted}
            found = np.hypot(found, entering(recording, site, own))
        return found

    kinds = kinds_of_terms(programs.function.jaxpr, programs.plan)
    every = frozenset(term.path for some in kinds for term in some)

    def size(some: list[Term]) -> float:
        return norm(norms(Heard(every - {term.path for term in some})))

    main = max(kinds, key=size) if len(kinds) > 1 else [term for some in kinds for term in some]
    if not main or main[-1].path in programs.plan.sites:
        return False
    heard = Heard(every - {main[-1].path}, main[-1])
    return made_of_far_steps((norms(heard, k, emitted=True), entered) for k in range(ASKED))
