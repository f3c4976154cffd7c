"""The spectrum of a recurrence: finite-time Lyapunov exponents, and the largest singular values of its Jacobians.

In: a recording, of which one step at a time is multiplied by its transposed Jacobian. Out: a `SpectrumTrace` a group
of recurrences that one step carries together. Exponents come from `Q <- qr(J_tᵀ Q)` with t descending: the adjoint
gives the same exponents. Steps that copied the state over padding, or were cut, are left out of product and count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.measure.recording import Array, Stepwise
from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import SpectrumTrace

SAMPLES = 8
EXPLICIT = 512  # numbers of a state up to which a step's Jacobian is formed, for its largest singular value


@dataclass(frozen=True, slots=True)
class Group:
    """Recurrences that one step carries together: a whole stack, or a layer's direction where there are two."""

    name: str
    sizes: dict[tuple[int, str], int]  # units of every state, by recurrence and kind
    steps: range  # timesteps, last processed first
    valid: Booleans  # (samples, T) the steps that are taken
    samples: Integers

    @property
    def members(self) -> tuple[int, ...]:
        """The numbers of the recurrences."""
        return tuple(dict.fromkeys(number for number, _ in self.sizes))

    @property
    def size(self) -> int:
        """The number of numbers that one step carries."""
        return sum(self.sizes.values())


def measure_spectra(
    recording: Stepwise, k: int, *, samples: int = SAMPLES, clip: bool = True
) -> tuple[SpectrumTrace, ...]:
    """Measure `k` exponents, or as many as the state has where `clip` is true.

    Raises:
        InputError: a `k` below 1; or above the size of the state, where `clip` is false.
    """
    k = whole_number(k, "the number of Lyapunov exponents", least=1)
    found = []
    with np.errstate(all="ignore"):
        for group in groups(recording, samples):
            if k > group.size and not clip:
                raise InputError(
                    f"{k} exponents of {group.name} were asked for, but its state has {group.size} numbers."
                )
            found.append(_spectrum(recording, group, min(k, group.size)))
    return tuple(found)


def groups(recording: Stepwise, samples: int = SAMPLES) -> list[Group]:
    """Gather the recurrences that one step carries together."""
    both = {one.stem for one in recording.facts if one.reverse}
    members: dict[str, list[int]] = {}
    for number, one in enumerate(recording.facts):
        members.setdefault(one.name if one.stem in both else one.stem, []).append(number)
    found = []
    for name, numbers in members.items():
        first = recording.facts[numbers[0]]
        chosen = np.unique(np.linspace(0, first.batch - 1, min(max(samples, 1), first.batch)).round().astype(np.int64))
        sizes = {(n, kind): recording.units(n, kind) for n in numbers for kind in recording.facts[n].states}
        steps = range(first.timesteps) if first.reverse else range(first.timesteps)[::-1]
        taken = np.logical_and.reduce([recording.valid(n) & ~recording.facts[n].severed for n in numbers])
        found.append(Group(name, sizes, steps, taken[chosen], chosen))
    return found


def _spectrum(recording: Stepwise, group: Group, k: int) -> SpectrumTrace:
    samples, size = len(group.samples), group.size
    explicit = size <= EXPLICIT
    eye = np.broadcast_to(np.eye(size), (samples, size, size))
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(samples, size, k)))[0]
    total, count = np.zeros((samples, k)), np.zeros(samples)
    product, logs = eye, np.zeros(samples)
    singular = np.full(len(group.steps), np.nan)
    for t in group.steps:
        valid = group.valid[:, t]
        if not valid.any():
            continue
        back = step_back(recording, group, t, eye if explicit else basis)
        if back is None:
            continue
        if explicit:
            singular[t] = _largest(back, valid)
            product, logs = _multiplied(back, product, logs, valid)
        moved = back @ basis if explicit else back
        if not np.isfinite(moved).all():
            return SpectrumTrace(group.name, np.full(k, np.nan), singular, np.nan)
        q, r = np.linalg.qr(moved)
        total[valid] += np.log(np.abs(np.diagonal(r, axis1=-2, axis2=-1)))[valid]
        basis = np.where(valid[:, None, None], q, basis)
        count += valid
    if not count.any():
        return SpectrumTrace(group.name, np.full(k, np.nan), singular, np.nan)
    rates = total[count > 0] / count[count > 0, None]
    exponents = np.sort(rates.mean(axis=0))[::-1]
    largest = logs + np.log(np.linalg.norm(product, ord=2, axis=(1, 2)))
    return SpectrumTrace(group.name, exponents, singular, float(largest[count > 0].max()) if explicit else np.nan)


def _multiplied(step: Floats, product: Floats, logs: Floats, valid: Booleans) -> tuple[Floats, Floats]:
    """Multiply the product from the left, with its scale apart."""
    moved = step @ product
    scale = np.abs(moved).max(axis=(1, 2))
    usable = valid & (scale > 0)
    moved = moved / np.where(usable, scale, 1)[:, None, None]
    return np.where(valid[:, None, None], moved, product), logs + np.where(
        usable, np.log(np.where(usable, scale, 1)), 0
    )


def _largest(jacobians: Floats, valid: Booleans) -> float:
    chosen = jacobians[valid]
    return float(np.linalg.norm(chosen, ord=2, axis=(1, 2)).max()) if np.isfinite(chosen).all() else np.nan


def step_back(recording: Stepwise, group: Group, t: int, columns: Array) -> Floats | None:
    """Multiply columns (samples, size, k) by the transposed Jacobian of the step into t; None where it is not known."""
    parts = np.split(np.moveaxis(columns, -1, 0), np.cumsum([*group.sizes.values()])[:-1], axis=-1)
    found = recording.back(group.members, t, dict(zip(group.sizes, parts, strict=True)), group.samples)
    return None if not found else np.moveaxis(np.concatenate([found[key] for key in group.sizes], axis=-1), 0, -1)
