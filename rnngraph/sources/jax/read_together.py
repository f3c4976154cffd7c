"""Whether the loss reads many steps at once, as pooling and attention do: it is one loss then, and not one a step.

In: a recording and what enters its scans. Out: yes or no, by asking at which steps one number enters, of those that the
loss sums up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.norms import norm
from rnngraph.sources.far_steps import made_of_far_steps
from rnngraph.sources.jax.sites import Site
from rnngraph.sources.jax.terms import Heard, Term, kinds_of_terms
from rnngraph.trace.magnitudes import Floats

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

    Entering = Callable[[JaxRecording, Site, Mapping[int, Any]], Floats]


def reads_together(recording: JaxRecording, clock: int, entered: Floats, entering: Entering) -> bool:
    """Tell whether the largest number that the loss sums up is made of far steps of a clock.

    Of a sum the term decides of which the most enters: a penalty on a mean activity beside words is a side term.
    `entered` are the norms of what enters of the loss, (T, N).
    """
    programs = recording.programs
    sites = [site for site in recording.sites if recording.clocks[site.number] == clock]

    def norms(heard: Heard, *, emitted: bool = False) -> Floats:
        """Give the norms, (T, N), of what enters, or only of what enters at what steps emit."""
        shares, found = programs.shares(recording.arrays, recording.results, heard), np.zeros_like(entered)
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
    return made_of_far_steps(norms(Heard(every - {main[-1].path}, main[-1]), emitted=True), entered)
