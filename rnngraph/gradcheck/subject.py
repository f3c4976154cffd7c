"""What can be checked: something that gives outputs for arguments, and claims gradients of them.

In: functions, a tape or an op. Out: a `Subject`, in float64 wherever the arguments float.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array

TOLERANCES = {"float32": 1e-3, "float64": 1e-6}  # the relative errors that pass
SEPARATE = 64  # rows at most of leaves of a tape; the rest are moved together, so that the cost stays linear


@dataclass(slots=True)
class Subject:
    """A loss, outputs weighed by `upstream`, and its claimed gradients at a point; None where there is none."""

    names: list[str]
    points: list[Array]
    run: Callable[[Sequence[Array]], list[Array]]  # points -> outputs
    gradients: Callable[[Sequence[Array], Sequence[Array]], list[Any]]  # (points, upstream)
    upstream: list[Array]
    outputs: list[Array]
    claimed: list[Any]
    narrow: bool = False  # what is claimed was computed in float32, whatever the outputs are in
    coarse: bool = False  # so were the outputs, although they are in float64
    wanted: float | None = None  # the relative error that passes, where it is not that of the precision
    trusted: Collection[int] = ()  # places whose gradient passes, on the word of ops' rules, where nothing can be told

    @property
    def epsilon(self) -> float:
        """The rounding unit of the outputs: of the coarsest of them."""
        floats = {output.dtype for output in self.outputs if output.dtype.kind == "f"} | {np.dtype(np.float64)}
        return max(float(np.finfo(dtype).eps) for dtype in floats | ({np.dtype(np.float32)} if self.coarse else set()))

    @property
    def dtype(self) -> str:
        """The precision in which it computes."""
        return "float32" if self.narrow or self.epsilon > 1e-10 else "float64"

    @property
    def tolerance(self) -> float:
        """The relative error that passes."""
        return self.wanted or TOLERANCES[self.dtype]

    def floating(self) -> list[int]:
        """Give the places of the arguments that have a gradient."""
        return [place for place, gradient in enumerate(self.claimed) if gradient is not None]

    def rows(self) -> list[tuple[str, list[int]]]:
        """Give the rows of a report: their names, and the places that are moved together, which rules vouch for."""
        places = self.floating()
        together = [place for place in places if place in self.trusted] if len(places) > SEPARATE else []
        rest = together[SEPARATE - 1 :]
        rows = [(self.names[place], [place]) for place in places if place not in rest]
        return rows + (
            [(f"{self.names[rest[0]]} .. {self.names[rest[-1]]} ({len(rest)} leaves)", rest)] if rest else []
        )

    def moved(self, direction: Mapping[int, Array], offset: float) -> list[Array]:
        """Give the outputs with the arguments at some places moved, in float64."""
        points = [*self.points]
        for place, one in direction.items():
            points[place] = points[place] + offset * one
        return [np.asarray(output).astype(np.float64) for output in self.run(points)]

    def direction(self, place: int, generator: np.random.Generator) -> Array:
        """Draw a direction as long as the point itself, or of unit elements where that is zero."""
        point = self.points[place]
        length = float(np.sqrt(np.mean(point * point))) or 1.0
        return np.asarray(generator.normal(size=point.shape) * length)

    def at(self, points: list[Array]) -> Subject:
        """Give the same at another point."""
        return replace(self, points=points, outputs=self.run(points), claimed=self.gradients(points, self.upstream))

    def near(
        self, share: float, generator: np.random.Generator, turned: Callable[[Array], Array] = np.asarray
    ) -> list[Array]:
        """Draw a point beside its own, moved by a share of its size."""
        return [
            point + turned(share * self.direction(place, generator)) if point.dtype.kind == "f" else point
            for place, point in enumerate(self.points)
        ]


def widened(value: Any) -> Array:
    """Give floating values in float64, others as they are."""
    array = np.asarray(value)
    return array.astype(np.float64, copy=False) if array.dtype.kind == "f" else array


def weigh(upstream: Sequence[Array], outputs: Sequence[Array], less: Sequence[Array] | None = None) -> float:
    """Sum outputs, or their differences, by an upstream gradient."""
    others = [0.0] * len(outputs) if less is None else less
    return float(sum(float((u * (one - other)).sum()) for u, one, other in zip(upstream, outputs, others, strict=True)))
