"""What is known of a value before anything is computed: what it comes from, and in which order it holds time.

In: an equation and the `Flow`s of its operands. Out: the `Flow`s of its results. A size stands for an axis: that
positions along an axis of that size were turned round, or were put into an order that nobody knows beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

Spans: TypeAlias = tuple[tuple[int, int], ...]  # by axis, from and to
STATE, INPUT = -1, -2  # stand for a weight: the state of the step before, and what the step reads
NOTHING: frozenset[int] = frozenset()
_SAME = ("convert_element_type", "copy", "copy_p", "reduce_precision", "optimization_barrier")
_RESIZED = ("slice", "dynamic_slice", "pad", "concatenate")
_PASSED = ("mul", "neg", "tanh", "logistic", "select_n", "custom_jvp_call", "max")


class Axis(NamedTuple):
    """Along one axis of a value, where a part of a weight stands."""

    own: int  # the axis of the weight; -1 where the part is repeated
    start: int  # in the weight
    at: int  # in the value
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A block of a weight that was only moved, and where it stands in a value."""

    leaf: int  # the weight, STATE or INPUT
    axes: tuple[Axis, ...]  # of the value

    def spans(self, along: int = -1, low: int = 0, high: int = 0) -> Spans:
        """Give the block in the weight; along one axis of the value, what stands there from low to high."""
        found = [(0, 1)] * (1 + max((axis.own for axis in self.axes), default=-1))
        for place, axis in enumerate(self.axes):
            cut = (axis.start + low - axis.at, axis.start + high - axis.at)
            if axis.own >= 0:
                found[axis.own] = cut if place == along else (axis.start, axis.start + axis.size)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of one value."""

    data: bool = False  # it depends on something that is no weight
    weights: bool = False
    flips: frozenset[int] = NOTHING  # sizes of axes that were turned round
    mixed: frozenset[int] = NOTHING  # sizes of axes of which the order is not known
    sites: frozenset[int] = NOTHING  # scans that it comes from; -1 - n for what scan n gathers in its carry
    parts: frozenset[Part] = (
        frozenset()
    )  # of weights; of the state and the input, as long as it is moved or multiplied by numbers

    @property
    def ordered(self) -> bool:
        """Whether it may hold time."""
        return self.data or bool(self.flips or self.mixed)


def whole(leaf: int, shape: Sequence[int]) -> frozenset[Part]:
    """Give all of a weight, as it is."""
    return frozenset([Part(leaf, tuple(Axis(axis, 0, 0, size) for axis, size in enumerate(shape)))])


def through(equation: Any, flows: Sequence[Flow]) -> list[Flow]:
    """Say what is known of the results of a plain equation."""
    shapes = [_shape(one) for one in equation.invars]
    flips = NOTHING.union(*(one.flips for one in flows))
    mixed = NOTHING.union(*(one.mixed for one in flows))
    for flow, shape in zip(flows, shapes, strict=True):
        if flow.ordered:
            mixed |= {size for size in flips if size in shape and size not in flow.flips}
    flips, mixed = _moved(equation, flows, shapes, flips, mixed)
    flow = Flow(
        any(one.data for one in flows),
        any(one.weights for one in flows) and equation.primitive.name != "stop_gradient",
        sites=NOTHING.union(*(one.sites for one in flows)),
    )
    found = []
    for place, result in enumerate(equation.outvars):
        turned, unknown = (_followed(equation, sizes, shapes, _shape(result)) for sizes in (flips, mixed))
        parts = frozenset(_parts(equation, flows, place)) if any(one.parts for one in flows) else frozenset[Part]()
        found.append(replace(flow, flips=turned, mixed=unknown, parts=parts))
    return found


def _moved(
    equation: Any,
    flows: Sequence[Flow],
    shapes: Sequence[tuple[int, ...]],
    flips: frozenset[int],
    mixed: frozenset[int],
) -> tuple[frozenset[int], frozenset[int]]:
    """Follow what an equation does to the order of positions."""
    name, params = equation.primitive.name, equation.params
    if name == "rev":
        turned = [shapes[0][one] for one in params["dimensions"]]
        return flips ^ frozenset(turned), mixed | {one for one in turned if shapes[0].count(one) > 1}
    if name == "gather" and flows[0].ordered:
        indexed, taken = params["dimension_numbers"].start_index_map, params["slice_sizes"]
        windows = {taken[one] for one in indexed if 1 < taken[one] < shapes[0][one]}  # each begins somewhere else
        return flips, mixed | windows | {shapes[0][one] for one in indexed if taken[one] < shapes[0][one]}
    if name == "concatenate" and len(set(equation.invars)) < len(flows) and any(one.ordered for one in flows):
        return flips, mixed | {_shape(equation.outvars[0])[params["dimension"]]}  # behind itself, to be rolled
    if name == "sort":
        return flips, mixed | {shapes[0][params["dimension"]]}
    if name.startswith("scatter") and flows[2].ordered:
        places = params["dimension_numbers"].scatter_dims_to_operand_dims
        return flips, mixed | {shapes[0][one] for one in places if shapes[0][one] in shapes[2]}
    return flips, mixed


def _followed(
    equation: Any, sizes: frozenset[int], shapes: Sequence[tuple[int, ...]], result: tuple[int, ...]
) -> frozenset[int]:
    """Follow sizes to a result: an axis may be cut or lengthened, or be put into one axis with others for a while."""
    name = equation.primitive.name
    if not sizes or not result:
        return NOTHING
    if name == "reshape":
        return sizes
    before = {size for shape in shapes for size in shape}
    left = before - set(result)
    hidden = sizes - before - set(result)  # of an axis that was put into one with others
    gone = {one for one in sizes if one in left} | {one for one in hidden if any(size % one == 0 for size in left)}
    resized = {
        new
        for shape in (shapes if name in _RESIZED else ())
        for old, new in zip(shape, result, strict=False)
        if len(shape) == len(result) and old in sizes and new not in (old, 1)
    }
    return frozenset((sizes - gone) | resized)


def _parts(equation: Any, flows: Sequence[Flow], result: int) -> Iterator[Part]:
    """Follow parts that are only cast, turned, cut or put side by side; the state also number by number."""
    name, params = equation.primitive.name, equation.params
    shape = _shape(equation.outvars[result])
    offset = 0
    for flow, operand in zip(flows, equation.invars, strict=True):
        size = _shape(operand)
        for part in flow.parts:
            axes = _axes(name, params, part.axes, (size, shape), offset, result)
            if axes is not None or (name in _PASSED and part.leaf in (STATE, INPUT) and size == shape):
                yield Part(part.leaf, tuple(part.axes if axes is None else axes))
        offset += size[params["dimension"]] if name == "concatenate" else 0


def _axes(
    name: str, params: Any, axes: Sequence[Axis], shapes: tuple[tuple[int, ...], ...], offset: int, result: int
) -> Sequence[Axis] | None:
    """Follow the axes of one part; None where it is not only moved."""
    before, after = shapes
    if name in _SAME:
        return axes
    if name == "transpose":
        return [axes[one] for one in params["permutation"]]
    if name == "concatenate":
        own = params["dimension"]
        return [one._replace(at=one.at + offset) if k == own else one for k, one in enumerate(axes)]
    if name == "slice" and not params["strides"]:
        return _cut(axes, list(zip(params["start_indices"], params["limit_indices"], strict=True)))
    if name == "split":
        low = int(sum(params["sizes"][:result]))
        windows = [(0, size) for size in before]
        windows[params["axis"]] = (low, low + int(params["sizes"][result]))
        return _cut(axes, windows)
    if name == "broadcast_in_dim":
        stands = {to: one for one, to in enumerate(params["broadcast_dimensions"]) if before[one] == after[to]}
        return [axes[stands[k]] if k in stands else Axis(-1, 0, 0, size) for k, size in enumerate(after)]
    if name in ("reshape", "squeeze", "expand_dims"):
        wide = [one for one, size in zip(axes, before, strict=True) if size != 1]
        if [size for size in before if size != 1] != [size for size in after if size != 1]:
            return None
        rest = iter(wide)
        return [Axis(-1, 0, 0, 1) if size == 1 else next(rest) for size in after]
    return None


def _cut(axes: Sequence[Axis], windows: Sequence[tuple[int, int]]) -> list[Axis] | None:
    """Follow a part into windows of a value; None where none of it is in them."""
    found = []
    for axis, (first, last) in zip(axes, windows, strict=True):
        low, high = max(axis.at, first), min(axis.at + axis.size, last)
        if low >= high:
            return None
        found.append(Axis(axis.own, axis.start + low - axis.at, low - first, high - low))
    return found


def _shape(variable: Any) -> tuple[int, ...]:
    return tuple(getattr(variable.aval, "shape", ()))
