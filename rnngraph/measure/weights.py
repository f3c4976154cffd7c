"""Spectral radius and largest singular value of the recurrent weights.

In: a tape and the traces of its parameters. Out: the same traces with these numbers filled in. What they bound: a
largest singular value below 1 is enough for a tanh recurrence to forget, and one above 1 is needed, not enough, for
it to explode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnngraph.autodiff.node import PARAMETER
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.model import ParameterTrace

AUTOMATIC = 512  # rows up to which nobody waits for the eigenvalues


def weigh(
    tape: Tape, parameters: Sequence[ParameterTrace], *, largest: int | None = AUTOMATIC
) -> tuple[ParameterTrace, ...]:
    """Fill in the spectral radius (of square weights) and the largest singular value of every recurrent weight.

    Weights with more than `largest` rows, or with NaN or infinity in them, are left as they are.
    """
    recurrent = {recurrence.weight for recurrence in tape.recurrences if recurrence.weight}
    values = {node.name: node.value for node in tape.nodes if node.op is PARAMETER and node.name in recurrent}
    found = []
    for parameter in parameters:
        value = values.get(parameter.name)
        usable = value is not None and value.ndim == 2 and (largest is None or len(value) <= largest)
        if value is None or not usable or not np.isfinite(value).all():
            found.append(parameter)
            continue
        wide = value.astype(np.float64)
        square = wide.shape[0] == wide.shape[1]
        radius = float(np.abs(np.linalg.eigvals(wide)).max()) if square else float("nan")
        singular = float(np.linalg.norm(wide, ord=2))
        found.append(replace(parameter, spectral_radius=radius, largest_singular_value=singular))
    return tuple(found)
