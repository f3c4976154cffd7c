"""What is known of the cell that a step is: its recurrent weights, and the gate that keeps a state with its bias.

In: a `Form`, and the flows of the step's arguments. Out: `Weight`s and a `Gate`, read off the operations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rnngraph.sources.jax.finding.flow import STATE, Flow, Spans, through, whole
from rnngraph.sources.jax.finding.form import Form, Line

Flows: TypeAlias = dict[int, Flow]  # by the number of a value
_Sigmoid: TypeAlias = tuple[int, bool, tuple[int, int] | None]  # what is squashed, whether one minus it, which part


@dataclass(frozen=True, slots=True)
class Weight:
    """Where a weight stands in a leaf; along `axis` are the numbers that the state, or the input, is multiplied by."""

    leaf: int
    axis: int
    spans: Spans


@dataclass(frozen=True, slots=True)
class Gate:
    """The factor of a state, by which the step multiplies the one before: σ(bias + offset + ...), or one minus it."""

    number: int  # of the factor, among the values of the step
    state: int  # the place of the state among the states
    closes: bool  # it is one minus a sigmoid
    biases: tuple[Weight, ...]  # they add up
    offset: float


def follow(form: Form, given: Sequence[Flow], states: Sequence[int]) -> Flows:
    """Follow what the arguments of a step come from through the step; its states are new."""
    flows = dict(zip(form.arguments, given, strict=True))
    for k in states:
        shape = form.equation.outvars[k].aval.shape
        flows[form.ends(k)[0]] = Flow(parts=whole(STATE, shape))
    for line in form.lines:
        found = through(line.equation, [flows.get(one, Flow()) for one in line.given])
        flows.update(zip(line.made, found, strict=True))
    return flows


def weights_on(what: int, form: Form, flows: Flows) -> tuple[Weight, ...]:
    """Find the weights that multiply the state of the step before, or what the step reads."""
    products = (line for line in form.lines if line.name == "dot_general")
    return tuple(dict.fromkeys(one for line in products for one in _of_product(what, line, flows)))


def _of_product(what: int, line: Line, flows: Flows) -> Iterator[Weight]:
    sides, _ = line.equation.params["dimension_numbers"]
    given = [flows.get(one, Flow()).parts for one in line.given]
    if len(sides[0]) != 1:
        return
    for side in (0, 1):
        along, axis = sides[side][0], sides[1 - side][0]
        for state in (one.axes[along] for one in given[side] if one.leaf == what):
            for part in sorted((one for one in given[1 - side] if one.leaf >= 0), key=lambda one: (one.leaf, one.axes)):
                low, high = max(state.at, part.axes[axis].at), min(state.at + state.size, sum(part.axes[axis][2:]))
                if low < high:
                    own = part.axes[axis].own
                    yield Weight(part.leaf, own, part.spans(axis, low, high))


def gate_of(form: Form, flows: Flows, states: Sequence[int]) -> Gate | None:
    """Find a sigmoid, or one minus it, by which the step multiplies the state before.

    It is read off `f * c + ...`, `(1 - z) * h + ...` or `new + z * (h - new)`; a factor of another make is no gate.
    Nothing where no state has one, or several have.
    """
    read, found = frozenset(form.first + k for k in states), []
    for place, k in enumerate(states):
        before, after = form.ends(k)
        found += [(place, *one) for one in _products(form, after, form.as_read(before, read))]
    if len(found) != 1:
        return None
    place, number, (value, closes, part) = found[0]
    size = form.equation.outvars[states[place]].aval.shape[-1:]
    low, high = part or (0, *size) if size else (0, 0)
    biases: list[Weight] = []
    offset = _biases(form, flows, value, low, high, biases)
    return Gate(number, place, closes, tuple(biases), offset)


def _products(form: Form, value: int, same: Collection[int]) -> Iterator[tuple[int, _Sigmoid]]:
    """Go back from the new state through sums, and choices, to the products with the state before."""
    line = form.made(value)
    if line is not None and line.name in ("add", "add_any", "select_n"):
        for one in line.given[line.name == "select_n" :]:
            yield from _products(form, one, same)
    elif line is not None and line.name == "mul":
        for place in (0, 1):
            sigmoid = _sigmoid(form, line.given[place])
            if sigmoid is not None and _is_state(form, line.given[1 - place], same):
                yield line.given[place], sigmoid
                return


def _is_state(form: Form, value: int, same: Collection[int]) -> bool:
    line = form.made(value)
    value = line.given[0] if line is not None and line.name == "sub" else value  # new + z (h - new)
    return value in same or form.uncast(value) in same


def _sigmoid(form: Form, value: int) -> _Sigmoid | None:
    line = form.made(value)
    if line is None:
        return None
    if line.name == "logistic":
        return line.given[0], False, None
    if line.name == "sub" and form.literals.get(form.uncast(line.given[0])) == 1:
        found = _sigmoid(form, line.given[1])
        return None if found is None else (found[0], not found[1], found[2])
    if line.name in ("split", "slice"):  # of gates that stand side by side
        found = _sigmoid(form, line.given[0])
        return None if found is None or found[2] else (*found[:2], _last_span(line, form.uncast(value)))
    return None


def _biases(form: Form, flows: Flows, value: int, low: int, high: int, found: list[Weight]) -> float:
    """Go back through sums to the weights that are added to every sample, and give the numbers that are."""
    for part in flows.get(value, Flow()).parts:
        last = part.axes[-1] if part.axes else None
        if last is None or part.leaf < 0 or last.own < 0 or any(one.own >= 0 for one in part.axes[:-1]):
            continue
        if last.at <= low and high <= last.at + last.size:
            found.append(Weight(part.leaf, last.own, part.spans(len(part.axes) - 1, low, high)))
            return 0.0
    line = form.made(value)
    if line is not None and line.name in ("add", "add_any"):
        numbers = [float(form.literals[one]) for one in line.given if one in form.literals]
        return sum(numbers) + sum(_biases(form, flows, one, low, high, found) for one in line.given)
    if line is not None and line.name in ("split", "slice"):
        first = _last_span(line, form.uncast(value))[0]
        return _biases(form, flows, line.given[0], first + low, first + high, found)
    return 0.0


def _last_span(line: Line, value: int) -> tuple[int, int]:
    """Say which part of the last axis a split or slice takes; a part that is nowhere, where it takes of another."""
    params, axis = line.equation.params, line.equation.invars[0].aval.ndim - 1
    if line.name == "slice":
        return (-1, -1) if params["strides"] else (params["start_indices"][axis], params["limit_indices"][axis])
    place = line.made.index(value)
    low = int(sum(params["sizes"][:place]))
    return (low, low + int(params["sizes"][place])) if params["axis"] == axis else (-1, -1)
