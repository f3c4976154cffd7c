"""Write one number a timestep as short JSON.

In come columns of a trace, out go lists with an entry an atom: the logarithm or the number where it is known, else
null (not observed), "0" (exactly zero), "u" (underflow) or "n" (not finite). An atom of several timesteps has
`[low, high, known, zero, underflow, non-finite, unobserved]`. A list in which all entries agree holds only one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnngraph.graph.summary import Summary, summarise, summarise_plain
from rnngraph.trace.magnitudes import Floats, Integers, Magnitudes, Status

Atoms = tuple[tuple[int, int], ...]  # half-open ranges of timesteps, of which each is shown or hidden as a whole

CODES: dict[int, float | str | None] = {
    Status.ZERO: "0",
    Status.UNDERFLOW: "u",
    Status.NONFINITE: "n",
    Status.UNOBSERVED: None,
}


def magnitudes(found: Magnitudes, atoms: Atoms) -> dict[str, Any]:
    """Return decimal logarithms of norms `(T,)`."""
    logs = np.round(found.log10, 5).tolist()
    status = found.status.tolist()

    def entry(start: int, stop: int) -> Any:
        if stop - start == 1:
            return CODES.get(status[start], logs[start])
        return _range(summarise(found, slice(start, stop)), log=True)

    return {"log": _shortest([entry(start, stop) for start, stop in atoms])}


def magnitude(found: Magnitudes) -> Any:
    """Return one norm as an entry."""
    return CODES.get(int(found.status), round(float(found.log10), 5))


def numbers(found: Floats | Integers, atoms: Atoms) -> dict[str, Any]:
    """Return plain numbers `(T,)`, in which NaN means not observed."""
    values = np.asarray(found, dtype=np.float64)

    def entry(start: int, stop: int) -> Any:
        if stop - start == 1:
            return number(float(values[start]))
        return _range(summarise_plain(values, slice(start, stop)), log=False)

    return {"plain": _shortest([entry(start, stop) for start, stop in atoms])}


def totals(found: Floats, atoms: Atoms) -> list[Any]:
    """Return the sum of every atom, null where nothing is known."""
    return [
        number(float(np.nansum(part)) if not np.isnan(part).all() else math.nan)
        for part in (found[start:stop] for start, stop in atoms)
    ]


def number(value: float) -> Any:
    """Return one plain number as an entry."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "n"
    return float(f"{value:.5g}")


def _range(found: Summary, *, log: bool) -> list[Any]:
    ends = (found.low, found.high)
    if any(math.isnan(end) for end in ends):
        return [None, None, *found.counts]
    return [*(round(math.log10(end), 5) if log else number(end) for end in ends), *found.counts]


def _shortest(entries: list[Any]) -> list[Any]:
    first = entries[0]
    return [first] if all(entry == first and type(entry) is type(first) for entry in entries) else entries
