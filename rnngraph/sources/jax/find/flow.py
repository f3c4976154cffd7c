"""What is known of a value before anything is computed: what it comes from, and in which order it holds time.

In: an equation and the `Flow`s of its operands. Out: the `Flow`s of its results. A size stands for an axis: that
positions along an axis of that size were turned round, or were put into an order that nobody knows beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Spans: TypeAlias = tuple[tuple[int, int], ...]  # by axis, from and to
View: TypeAlias = tuple[int, bool, Spans]  # a part of an argument, and whether it is transposed
NOTHING: frozenset[int] = frozenset()
_SAME = ("convert_element_type", "copy", "copy_p", "reduce_precision", "optimization_barrier")
_RESIZED = ("slice", "dynamic_slice", "pad", "concatenate")
_PASSED = (*_SAME, "mul", "neg", "tanh", "logistic", "select_n", "custom_jvp_call", "max")


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of one value."""

    data: bool = False  # it depends on something that is no weight
    weights: bool = False
    flips: frozenset[int] = NOTHING  # sizes of axes that were turned round
    mixed: frozenset[int] = NOTHING  # sizes of axes of which the order is not known
    sites: frozenset[int] = NOTHING  # scans that it comes from; -1 - n for what scan n gathers in its carry
    leaves: frozenset[View] = frozenset()  # it is these parts of weights, side by side
    joined: int = -1  # the axis on which they are side by side
    near: Spans = ()  # by axis, where the state of the step before stands in it, with no product between

    @property
    def ordered(self) -> bool:
        """Whether it may hold time."""
        return self.data or bool(self.flips or self.mixed)


def through(equation: Any, flows: Sequence[Flow]) -> list[Flow]:
    """Say what is known of the results of a plain equation."""
    shapes = [tuple(getattr(one.aval, "shape", ())) for one in equation.invars]
    union = frozenset[int]()
    flips = union.union(*(one.flips for one in flows))
    mixed = union.union(*(one.mixed for one in flows))
    for flow, shape in zip(flows, shapes, strict=True):
        if flow.ordered:
            mixed |= {size for size in flips if size in shape and size not in flow.flips}
    flips, mixed = _moved(equation, flows, shapes, flips, mixed)
    sites = union.union(*(one.sites for one in flows))
    data = any(one.data for one in flows)
    weights = any(one.weights for one in flows) and equation.primitive.name != "stop_gradient"
    found = []
    for place, result in enumerate(equation.outvars):
        turned, unknown = (_followed(equation, sizes, shapes, _shape(result)) for sizes in (flips, mixed))
        one = Flow(data, weights, turned, unknown, sites)
        leaves, joined = _leaves(equation, flows, place)
        near = _near(equation, flows, shapes)
        found.append(
            replace(one, leaves=leaves, joined=joined, near=near if len(near) == len(result.aval.shape) else ())
        )
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


def _leaves(equation: Any, flows: Sequence[Flow], result: int) -> tuple[frozenset[View], int]:
    """Follow weights that are only cast, transposed, cut or put side by side."""
    name, first = equation.primitive.name, flows[0] if flows else Flow()
    if not first.leaves:
        return frozenset(), -1
    if name in _SAME or (name in ("reshape", "squeeze") and _shape(equation.invars[0]) == _shape(equation.outvars[0])):
        return first.leaves, first.joined
    if name == "transpose" and equation.params["permutation"] == (1, 0):
        turned = frozenset((leaf, not transposed, spans) for leaf, transposed, spans in first.leaves)
        return turned, 1 - first.joined if first.joined >= 0 else -1
    if name == "concatenate" and all(one.leaves and one.joined < 0 for one in flows):
        return frozenset[View]().union(*(one.leaves for one in flows)), int(equation.params["dimension"])
    if first.joined < 0 and len(first.leaves) == 1:
        return _cut(equation, next(iter(first.leaves)), result), -1
    return frozenset(), -1


def _cut(equation: Any, view: View, result: int) -> frozenset[View]:
    """Follow a weight of which a part is taken."""
    name, params = equation.primitive.name, equation.params
    leaf, transposed, spans = view
    if name == "slice" and not params["strides"]:
        parts = list(zip(params["start_indices"], params["limit_indices"], strict=True))
    elif name == "split":
        low = sum(params["sizes"][:result])
        parts = [(0, size) for size in _shape(equation.invars[0])]
        parts[params["axis"]] = (int(low), int(low + params["sizes"][result]))
    else:
        return frozenset()
    parts = parts[::-1] if transposed else parts
    return frozenset(
        [(leaf, transposed, tuple((a + low, a + high) for (a, _), (low, high) in zip(spans, parts, strict=True)))]
    )


def _near(equation: Any, flows: Sequence[Flow], shapes: Sequence[tuple[int, ...]]) -> Spans:
    """Follow the state of the step before, as long as it is moved, or multiplied number by number."""
    name, params = equation.primitive.name, equation.params
    known = [place for place, one in enumerate(flows) if one.near]
    if not known:
        return ()
    near, shape = flows[known[0]].near, shapes[known[0]]
    result = _shape(equation.outvars[0])
    if name in _PASSED and shape == result:
        return near
    if name == "transpose":
        return tuple(near[one] for one in params["permutation"])
    if name in ("reshape", "squeeze", "expand_dims", "broadcast_in_dim"):
        return _reshaped(near, shape, result)
    if name == "concatenate" and len(known) == 1:
        axis = params["dimension"]
        before = sum(one[axis] for one in shapes[: known[0]])
        low, high = near[axis]
        return (*near[:axis], (low + before, high + before), *near[axis + 1 :])
    return ()


def _reshaped(near: Spans, shape: tuple[int, ...], result: tuple[int, ...]) -> Spans:
    """Follow axes through a change of axes of size one."""
    wide = [span for span, size in zip(near, shape, strict=True) if size != 1]
    if [size for size in shape if size != 1] != [size for size in result if size != 1]:
        return ()
    spans = iter(wide)
    return tuple((0, 1) if size == 1 else next(spans) for size in result)


def _shape(variable: Any) -> tuple[int, ...]:
    return tuple(getattr(variable.aval, "shape", ()))
