"""A network as the rules see it: its layers, and the ways on which credit reaches what it is fed.

In: layers, and the lags at the inputs. Out: a `Path` an input and direction, and the `Network` of all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.credit import credit_at_input
from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.layer import Layer, layers_of, silence_of
from rnngraph.diagnosis.sums import Sums, sums_of
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.diagnosis.update import Update, update_from
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import InputLagTrace, Trace


@dataclass(frozen=True, slots=True)
class Path:
    """Credit from the losses to one input, in one direction of time, on every way through all layers."""

    input: InputLagTrace | None  # None where the input is not known: the credit is that of the lowest states
    layer: Layer  # the recurrence that reads the input, whose steps count
    sums: Sums
    left: Floats  # (L,) decades, end to end, by lag; entry 0 is lag 1
    horizon: int
    reach: int | None  # the last lag at which `epsilon` or more is left; None without any pair

    @property
    def name(self) -> str:
        """Name its end: an input and who reads it, or whose states these are."""
        return self.layer.name if self.input is None else f"{self.input.name} into {self.layer.name}"

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the recurrences at its end."""
        return (self.layer.name,) if self.input is None else self.input.recurrences

    @property
    def decades(self) -> float:
        """What is left at the horizon; NaN where there is none."""
        return float(self.left[self.horizon - 1]) if self.horizon else math.nan

    @property
    def alone(self) -> float:
        """What is left at the horizon of what the same losses had at lag 1, whatever they weigh among all."""
        return self.sums.gain_from_first(self.horizon) / LN10

    @property
    def written(self) -> float:
        """What reaches the input of what the states carry, over the size of its weights, in decades; NaN if unknown.

        Of lags from 1 on: what a state is given at its own step need not be remembered.
        """
        if self.input is None or not self.input.weight > 0:
            return math.nan
        sums = [one[np.isfinite(one)] for one in (self.sums.arrived, self.layer.sums.arrived)]
        if not sums[1].size:
            return math.nan
        top = [float(one.max()) if one.size else -math.inf for one in sums]
        return (top[0] - top[1] - math.log(self.input.weight)) / LN10

    def shut(self, limit: float) -> bool:
        """Whether nothing of the input is written into what the states carry."""
        return self.written <= limit

    @property
    def whole(self) -> bool:
        """Whether the credit reaches as far as was measured."""
        return self.reach is not None and self.reach >= self.sums.longest

    @property
    def where(self) -> dict[str, int | str]:
        """Name the path in a finding."""
        return self.layer.where | ({} if self.input is None else {"input": self.input.name})


@dataclass(frozen=True, slots=True)
class Network:
    """A trace, its layers and its paths."""

    trace: Trace
    limits: Thresholds
    asked: int | None
    layers: tuple[Layer, ...]
    paths: tuple[Path, ...]

    @property
    def head(self) -> Path:
        """The path on which least is left: what a network is fed must be heard on each."""
        return min(self.paths, key=lambda path: path.decades if path.horizon else math.inf)

    @property
    def loudest(self) -> Path:
        """The path on which most is left, which is what an explosion is told by."""
        return max(self.paths, key=lambda path: path.decades if path.horizon else -math.inf)

    @property
    def ending(self) -> Path | None:
        """The path on which credit ends first; where all are heard to their ends, the longest. None without any."""
        known = [path for path in self.paths if path.reach is not None]
        ending = [path for path in known if not path.whole]
        if ending:
            return min(ending, key=lambda path: path.reach or 0)
        return max(known, key=lambda path: path.reach or 0, default=None)

    @property
    def reach(self) -> int | None:
        """The last lag at which `epsilon` or more is left on every path that is so long; None without any pair."""
        return None if self.ending is None else self.ending.reach

    def entered_from(self, path: Path | None) -> str:
        """Name the recurrence of a path where no loss enters its clock, as an encoder under a decoder; else "".

        Its lags then count its own steps, and not those from the loss.
        """
        if path is None or path.layer.recurrence.clock in self.trace.lags[0].clocks:
            return ""
        return path.layer.name

    @property
    def whole(self) -> bool:
        """Whether the credit reaches as far as was measured, on every path."""
        return all(path.whole for path in self.paths if path.reach is not None)

    def update_from(self, lag: int) -> Update | None:
        """Give which share of the weights' gradient comes from losses at least so many steps away; None if unknown."""
        return update_from([layer.update for layer in self.layers], lag)

    def carriers(self, layer: Layer) -> list[Layer]:
        """Give the layers that take the same steps as one, or read the same input, and carry a gradient over them."""
        read = {layer.name}.union(*(path.readers for path in self.paths if layer.name in path.readers))
        clock, direction = layer.recurrence.clock, layer.recurrence.direction
        near = [one for one in self.layers if one.recurrence.clock == clock or one.name in read]
        same = [one for one in near if one.recurrence.direction == direction]
        return [one for one in same if one.decades > self.limits.vanishing]

    def path_of(self, layer: Layer) -> Path | None:
        """Find the path on which a layer lies: from what it reads itself, else one of its direction."""
        own, one = layer.name, layer.recurrence
        near = [path for path in self.paths if path.layer.recurrence.clock == one.clock and path.horizon]
        same = [path for path in near if path.layer.recurrence.direction == one.direction]
        read = [path for path in same if own in path.readers]
        return next(iter(read or same or near), None)


def network_of(trace: Trace, limits: Thresholds, asked: int | None) -> Network:
    """Gather the layers of a trace, judged at a horizon or each at its own, and the paths that lead to them.

    On what no loss reaches there is no path, unless no loss reaches any: how far back is asked of what learns.

    Raises:
        InputError: as `layers_of`.
    """
    layers = layers_of(trace, limits, asked)
    heard = [layer for layer in layers if not silence_of(layer)] or layers
    paths = [*_fed(trace, heard, asked)]
    fed = {path.layer.recurrence.clock for path in paths}
    # Of what nothing is known to be fed, the lowest states of each direction are the end of the way.
    lowest: dict[tuple[int, str], Layer] = {}
    for layer in heard:
        if layer.recurrence.clock not in fed:
            lowest.setdefault((layer.recurrence.clock, layer.recurrence.direction), layer)
    paths += [own_path(layer) for layer in lowest.values()]
    return Network(trace, limits, asked, tuple(layers), tuple(paths))


def own_path(layer: Layer) -> Path:
    """Take a layer's own states for the end of the way: how far it keeps what it is given."""
    return _path(None, layer, layer.sums, layer.asked)


def _fed(trace: Trace, layers: Sequence[Layer], asked: int | None) -> Iterator[Path]:
    by_name = {layer.name: layer for layer in layers}
    for one in trace.input_lags:
        directions = set()
        for name in one.recurrences:
            layer = by_name.get(name)
            if layer is not None and layer.recurrence.direction not in directions:
                directions.add(layer.recurrence.direction)
                yield _path(one, layer, sums_of(credit_at_input(one.log, layer.credit)), asked)


def _path(fed: InputLagTrace | None, layer: Layer, sums: Sums, asked: int | None) -> Path:
    limits = layer.limits
    horizon = sums.judged_lag(asked, limits.coverage)
    return Path(fed, layer, sums, sums.end_to_end() / LN10, horizon, sums.reach(limits.epsilon))
