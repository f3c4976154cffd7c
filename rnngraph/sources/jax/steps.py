"""One scan, computed again with taps: for gradients of the whole loss, for losses one by one, and for what arrives.

In: a `Site`, its operands, and slots for what is handed out. Out: the scan's results, unchanged, and what is noted
beside them. A state is tapped where it is defined, at any depth of calls, so that whatever reads it in its own step
counts; and where the next step is given it, which is the part that is carried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.body import inexact
from rnngraph.sources.jax.find import Site
from rnngraph.sources.jax.taps import as_it_is, gate, gather, norms_along, tap, tap_to_size_one, whole_norm
from rnngraph.sources.jax.walk import CHECKPOINTS, Path, body, called, compute, walk

Mark: TypeAlias = Callable[[Any], Any]
Axes: TypeAlias = tuple[int | None, ...]  # of the samples, by state and then by input
_OPTIONS = ("length", "reverse", "unroll", "_split_transpose")


def step(site: Site, arguments: Sequence[Any], marks: Mapping[int, Mark]) -> tuple[list[Any], list[Any]]:
    """Compute one step, with some of what it carries marked where that is defined; give what it carries and emits."""
    found = _marked(body(site.equation), arguments, marks)
    return found[: site.count], found[site.count :]


def _marked(inside: tuple[Any, Sequence[Any]], arguments: Sequence[Any], marks: Mapping[int, Mark]) -> list[Any]:
    jaxpr = inside[0]
    wanted: dict[Any, list[Mark]] = {}
    made = {one for equation in jaxpr.eqns for one in equation.outvars}
    late = {}
    for place, mark in marks.items():
        variable = jaxpr.outvars[place]
        if variable in made:
            wanted.setdefault(variable, []).append(mark)
        else:
            late[place] = mark  # it is handed on, and defined elsewhere

    def visit(equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        mine = {k: _all_of(wanted[one]) for k, one in enumerate(equation.outvars) if one in wanted}
        nested = called(equation)
        if mine and nested is not None:
            inner = partial(_marked, nested, marks=mine)
            if equation.primitive.name in CHECKPOINTS:
                inner = checkpointed(equation, inner)
            return inner(operands)
        return [mine[k](one) if k in mine else one for k, one in enumerate(compute(equation, operands))]

    results = walk(inside, arguments, visit)
    return [late[k](one) if k in late else one for k, one in enumerate(results)]


def _all_of(marks: Sequence[Mark]) -> Mark:
    def mark(value: Any) -> Any:
        for one in marks:
            value = one(value)
        return value

    return mark


def checkpointed(equation: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function be computed again on the way back, as an equation says."""
    params = equation.params
    wrapped: Callable[..., Any] = jax.checkpoint(function, policy=params["policy"], prevent_cse=params["prevent_cse"])
    return wrapped


def scan(site: Site, function: Callable[..., Any], initial: list[Any], read: Any) -> tuple[list[Any], Any]:
    """Run a scan with another step, as the user's is run."""
    params = {name: site.equation.params[name] for name in _OPTIONS if name in site.equation.params}
    found: tuple[list[Any], Any] = jax.lax.scan(function, initial, read, **params)
    return found


# ---- the whole loss
def whole_slots(site: Site, *, weights: bool) -> Any:
    """Make slots for gradients at states, at results, at what is read, and for norms at weights."""
    _, carried, read = _avals(site)
    results = site.equation.outvars
    return {
        "states": [_zeros(carried[k], site.length) for k in site.states],
        "before": [_zeros(carried[k], site.length) for k in site.states],
        "results": {k: _zeros(one.aval) for k, one in enumerate(results) if inexact(one)},
        "read": {k: _zeros(read[k], site.length) for k in site.inputs},
        "weights": {k: jnp.zeros(site.length, _real(_arguments(site)[k])) for k in site.leaves} if weights else {},
    }


def whole(site: Site, operands: Sequence[Any], slots: Any) -> tuple[list[Any], Any]:
    """Run a scan so that all gradients of one backward pass are handed out."""
    constants, initial, read = site.divide(operands)
    for k, slot in slots["read"].items():
        read[k] = tap(read[k], slot, as_it_is)
    inside = {name: slots[name] for name in ("states", "before", "weights")}
    kept = [k for k in range(site.count) if k not in site.carries.gathered]

    def function(carried: list[Any], given: Any) -> Any:
        now, own = given
        arguments = [*constants, *carried, *now]
        for k, slot in own["weights"].items():
            arguments[k] = tap(arguments[k], slot, whole_norm)
        for k, slot in zip(site.states, own["before"], strict=True):
            arguments[site.first + k] = tap(arguments[site.first + k], slot, as_it_is)
        marks = {k: _tapper(slot, as_it_is) for k, slot in zip(site.states, own["states"], strict=True)}
        after, emitted = step(site, arguments, marks)
        after = [carried[k] if k in site.carries.fixed else one for k, one in enumerate(after)]
        return after, (emitted, [after[k] for k in kept])

    final, (emitted, stacked) = scan(site, function, initial, (read, inside))
    results = [*final, *emitted]
    tapped = [tap(one, slots["results"][k], as_it_is) if k in slots["results"] else one for k, one in enumerate(results)]
    note = {"operands": (constants, initial, read), "results": results, "carried": dict(zip(kept, stacked, strict=True))}
    return tapped, note


def immediate(site: Site, note: Any, arrived: Mapping[int, Any]) -> list[Any]:
    """Give what reaches the states from their own step, (T, ...), given what reaches the scan's results."""
    constants, initial, read = note["operands"]
    before = [_shifted(site, note, k) for k in range(site.count)]
    axes = [None if k in (*site.carries.gathered, *site.carries.fixed) else 0 for k in range(site.count)]
    last = 0 if site.backward else site.length - 1
    gathered = {k: arrived[k] for k in site.carries.gathered}
    ends = {k: jnp.zeros_like(note["carried"][k]).at[last].set(arrived[k]) for k in site.states}
    emitted = {k: arrived[k] for k in arrived if k >= site.count}

    def one_step(carried: list[Any], now: list[Any], to_ends: Any, to_emitted: Any) -> list[Any]:
        def function(slots: list[Any]) -> Any:
            marks = {k: _tapper(slot, as_it_is) for k, slot in zip(site.states, slots, strict=True)}
            after, out = step(site, [*constants, *carried, *now], marks)
            return {k: out[k - site.count] for k in emitted}, {k: after[k] for k in (*ends, *gathered)}

        slots = [jnp.zeros_like(carried[k]) for k in site.states]
        _, pull = jax.vjp(function, slots)
        found: list[Any] = pull((to_emitted, to_ends | gathered))[0]
        return found

    found: list[Any] = jax.vmap(one_step, in_axes=(axes, 0, 0, 0))(before, read, ends, emitted)
    return found


def _shifted(site: Site, note: Any, place: int) -> Any:
    """Give what every step was given of a carried value, by the order of the scan's steps."""
    initial = note["operands"][1][place]
    if place in (*site.carries.gathered, *site.carries.fixed):
        return initial
    stacked = note["carried"][place]
    first = jnp.asarray(initial, stacked.dtype)[None] if stacked.dtype != initial.dtype else initial[None]
    parts = (stacked[1:], first) if site.backward else (first, stacked[:-1])
    return jnp.concatenate(parts)


def given(site: Site, note: Any, t: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Give constants, what is carried and what is read, as the scan's step t was given them."""
    constants, initial, read = note["operands"]
    steady = (*site.carries.gathered, *site.carries.fixed)
    carried = [initial[k] if k in steady else _shifted(site, note, k)[t] for k in range(site.count)]
    return constants, carried, [one[t] for one in read]


# ---- losses one by one
def row_slots(site: Site, axes: Axes) -> Any:
    """Make slots for norms by sample at states, at the first states and at what is read."""
    _, carried, read = _avals(site)
    split = len(site.states)
    shown = zip((carried[k] for k in site.states), axes[:split], strict=True)
    initial = [_norm_slot(aval, axis) for aval, axis in shown]
    return {
        "initial": initial,
        "states": [jnp.zeros((site.length, *one.shape), one.dtype) for one in initial],
        "read": {
            k: jnp.zeros((site.length, *_norm_slot(read[k], axis).shape), _real(read[k]))
            for k, axis in zip(site.inputs, axes[split:], strict=True)
        },
    }


def row(
    site: Site, operands: Sequence[Any], slots: Any, *, axes: Axes, factors: Any | None
) -> tuple[list[Any], dict[int, Any]]:
    """Run a scan so that what enters at a step counts as often as the step's factor says; note results with gates.

    Without `factors` nothing is gated.
    """
    constants, initial, read = site.divide(operands)
    split = len(site.states)
    hands = [norms_along(one) for one in axes]
    for place, slot, hand in zip(site.states, slots["initial"], hands, strict=False):
        initial[place] = tap(initial[place], slot, hand)
    gathered = site.carries.gathered if factors is not None else ()
    inside = {name: slots[name] for name in ("states", "read")}

    def function(carried: list[Any], given: Any) -> Any:
        now, own, factor = given
        for k, hand in zip(site.inputs, hands[split:], strict=True):
            now[k] = tap(now[k], own["read"][k], hand)
        arguments = [*constants, *carried, *now]
        for k in gathered:
            arguments[site.first + k] = jax.lax.stop_gradient(carried[k])
        marks = {
            k: _tapper(slot, hand) for k, slot, hand in zip(site.states, own["states"], hands, strict=False)
        }  # fmt: skip
        after, emitted = step(site, arguments, marks)
        after = [carried[k] if k in site.carries.fixed else one for k, one in enumerate(after)]
        for k in gathered:
            after[k] = gather(carried[k], after[k], factor)
        gated = {} if factor is None else {k: gate(emitted[k - site.count], factor) for k in emitted_places(site)}
        return after, (emitted, gated)

    final, (emitted, noted) = scan(site, function, initial, (read, inside, factors))
    if factors is not None:
        noted |= {k: final[k] for k in gathered}
        last = factors[0 if site.backward else site.length - 1]
        noted |= {k: gate(final[k], last) for k in site.states}
    return [*final, *emitted], noted


def entered_places(site: Site) -> list[int]:
    """Places among a scan's results at which a loss may enter."""
    return [*site.states, *site.carries.gathered, *emitted_places(site)]


def emitted_places(site: Site) -> list[int]:
    """Places among a scan's results of what every step emits and can have a gradient."""
    return [k for k, one in enumerate(site.equation.outvars) if k >= site.count and inexact(one)]


# ---- what arrives at all
def felt_slots(site: Site) -> Any:
    """Make slots for whether anything arrives at states, and at the states that steps are given."""
    return {name: [jnp.zeros(site.length, jnp.float32) for _ in site.states] for name in ("states", "before")}


def felt(site: Site, operands: Sequence[Any], slots: Any) -> tuple[list[Any], None]:
    """Run a scan so that no gradient of its states gets small on its way back."""
    constants, initial, read = site.divide(operands)

    def function(carried: list[Any], given: Any) -> Any:
        now, own = given
        arguments = [*constants, *carried, *now]
        for k, slot in zip(site.states, own["before"], strict=True):
            arguments[site.first + k] = tap_to_size_one(arguments[site.first + k], slot)
        marks = {
            k: partial(_to_size_one, slot=slot) for k, slot in zip(site.states, own["states"], strict=True)
        }  # fmt: skip
        return step(site, arguments, marks)

    final, emitted = scan(site, function, initial, (read, slots))
    return [*final, *emitted], None


def _to_size_one(value: Any, *, slot: Any) -> Any:
    return tap_to_size_one(value, slot)


def _tapper(slot: Any, hand: Callable[[Any], Any]) -> Mark:
    return lambda value: tap(value, slot, hand)


def _arguments(site: Site) -> list[Any]:
    return [one.aval for one in body(site.equation)[0].invars]


def _avals(site: Site) -> tuple[list[Any], list[Any], list[Any]]:
    return site.divide(_arguments(site))


def _zeros(aval: Any, *lead: int) -> Any:
    return jnp.zeros((*lead, *aval.shape), aval.dtype)


def _real(aval: Any) -> Any:
    wide = aval.dtype in (jnp.float64, jnp.complex128)
    return jnp.float64 if wide else jnp.float32


def _norm_slot(aval: Any, axis: int | None) -> Any:
    return jnp.zeros((1 if axis is None else aval.shape[axis],), _real(aval))
