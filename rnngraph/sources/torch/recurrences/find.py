"""Which recurrences ran: read off the graph's order, without being told.

In: the calls that a backward pass reached, and what it was walked from. Out: `Recurrence`s, and for every module
that is none the reason. A module is a recurrence if a call of it descends from an earlier one without passing
another's call.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import Edge, number_of, walk_down
from rnngraph.sources.torch.capture.module_calls import Call, TensorRef
from rnngraph.sources.torch.capture.module_calls import by_path as calls_by_path
from rnngraph.sources.torch.recurrences.loop_states import loop_states
from rnngraph.sources.torch.recurrences.module_states import bypasses, module_states
from rnngraph.sources.torch.recurrences.ode_solvers import first_stages, in_stages, is_between
from rnngraph.sources.torch.recurrences.raw_loops import raw_loops
from rnngraph.sources.torch.recurrences.recurrence import LOOP, MARKED, SEQUENCE, STEPS, Recurrence, is_builtin, is_cell
from rnngraph.sources.torch.recurrences.sequences import fused_sequences, iterations, step_sequences
from rnngraph.sources.torch.recurrences.whole_sequences import no_sequence

LEAST = 3  # calls that make a sequence of a module that is no cell
TREE = "its uses are joined as in a tree, and not in a line of steps: one goes on from several, which begin anew"
ANEW = "its state is made anew or detached at every call: no call of it descends from an earlier one"


@dataclass(slots=True)
class Found:
    """Recurrences, innermost and chosen; and reasons by path."""

    recurrences: list[Recurrence]
    reasons: dict[str, str] = field(default_factory=dict)


def find(
    calls: Sequence[Call],
    roots: Sequence[Edge],
    marks: Mapping[str, list[tuple[Edge, TensorRef]]],
    only: tuple[str, ...] = (),
    names: Mapping[int, str] | None = None,
) -> Found:
    """Find recurrences; with `only`, those of the modules that are named; `names` are those of parameters by id."""
    by_path = calls_by_path(calls)
    tops = [node for node, _ in roots]
    marked = [
        Recurrence(name, MARKED, [], [[edge] for edge, _ in some], [], dict(some)) for name, some in marks.items()
    ]
    if only:
        return Found([*(one for path in only for one in _named(path, by_path, tops)), *marked])
    fused = [one for path, some in by_path.items() if _is_fused(some) for one in fused_sequences(path, some)]
    chains = _chains(by_path)
    kept, reasons = [], {}
    for one in chains:
        reason = _reason(one, calls)
        if reason:
            reasons[one.path] = reason
        else:
            kept.append(one)
    heavy = [one for one in kept if _has_weights(one.module)] + fused
    outer = [one for one in kept if not is_builtin(one.module)]
    parts = _parts([*outer, *fused])
    outer = [one for one in outer if one not in parts]
    direct = [one for one in outer if is_cell(one.module) or _is_direct(one, heavy)]
    others = [*direct, *fused]
    inner = [one for one in direct if not any(_holds(one, other) for other in others) and not is_between(one, others)]
    if not marked:
        loops = [one for one in heavy if is_builtin(one.module) and not any(_holds(other, one) for other in outer)]
        some = [*fused, *inner]
        loops = [one for one in loops if _is_direct(one, some) and not any(_holds(one, other) for other in some)]
        loops = [one for one in loops if not (inner and _is_tree(one))]
        inner += loops
        inner = inner or _in_turns(outer)
    reasons |= {one.path: TREE for one in inner if _is_tree(one)}
    runs: list[Recurrence] = []
    for one in inner:
        if one.path not in reasons:
            runs += [run for run in _runs(one, tops, by_path, others) if run.how != LOOP or run.leave_out(runs)]
    found = [*fused, *runs, *marked] or raw_loops(tops, names or {}, calls)
    found.sort(key=lambda one: one.begin)  # what is computed first lies lowest
    around = [one for one in chains if reasons.get(one.path) == ANEW]
    reasons = {one.path: reasons[one.path] for one in chains if one.path in reasons and not _is_inside(one, around)}
    if found:  # beside a recurrence, what has no state to lose needs no word
        reasons = {path: why for path, why in reasons.items() if _keeps(by_path[path], weights=why != ANEW)}
    return Found(found, reasons)


def _keeps(calls: Sequence[Call], *, weights: bool) -> bool:
    """Whether a module, as one with a state does, hands out several tensors or holds one between calls; or weighs."""
    return any(len(call.values) > 1 for call in calls) or (weights and _has_weights(calls[0].module))


def _is_fused(calls: list[Call]) -> bool:
    return calls[0].layer is not None


def _chains(by_path: Mapping[str, list[Call]]) -> list[Recurrence]:
    found = []
    for path, calls in by_path.items():
        if _is_fused(calls) or len(calls) < (2 if is_cell(calls[0].module) else LEAST):
            continue
        chain = module_states(calls)
        if any(chain.states) or not is_builtin(calls[0].module):
            found.append(Recurrence(path, STEPS, calls, chain.states, chain.linked, stride=chain.stride))
    return found


def _reason(one: Recurrence, calls: Sequence[Call]) -> str:
    if not any(one.states):
        if is_builtin(one.module) or not _is_stepwise(one, calls):
            return "no call of it descends from an earlier one"
        return ANEW
    if not is_cell(one.module) and not _is_stepwise(one, calls):
        return "it is used again further up, with other modules between its calls each time"
    return ""


def _is_stepwise(one: Recurrence, calls: Sequence[Call]) -> bool:
    """Tell steps, between which the same happens every time, from a module that is used again further up.

    That one weight is used every time is enough: a step may have a layer of its own as well.
    """
    between = [
        {call.path: call for call in calls if a.end <= call.begin and call.end <= b.begin}
        for a, b in zip(one.calls, one.calls[1:], strict=False)
    ]
    paths = {tuple(some) for some in between}
    every = [call for path, call in between[0].items() if all(path in some for some in between)]
    return len(paths) < len(between) or not any(paths) or any(_has_weights(one.module) for one in every)


def _runs(
    one: Recurrence, tops: list[Any], by_path: Mapping[str, list[Call]], others: Sequence[Recurrence] = ()
) -> list[Recurrence]:
    """Divide calls into sequences.

    The state of a loop around a plain module, or one that a solver calls, is whatever crosses from call to call.
    """
    if not is_builtin(one.module) and not in_stages(one):
        return step_sequences(one, others)
    one.how = LOOP
    runs = step_sequences(one)
    for run in runs:
        run.calls = first_stages(run.calls)
        chain = loop_states(iterations(run.calls, by_path), tops, run.stride)
        run.states, run.linked = chain.states, chain.linked
    return [run for run in runs if any(run.states)]


def _in_turns(outer: Sequence[Recurrence]) -> list[Recurrence]:
    """Of modules that take turns on one state, give the last of a step: what it makes is carried to the next."""
    some = [one for one in outer if not any(_holds(one, other) for other in outer)]
    turns = len({len(one.calls) for one in some}) == 1 and len(some) > 1
    return sorted(some, key=lambda one: one.begin)[-1:] if turns else []


def _is_tree(one: Recurrence) -> bool:
    """Tell whether a call goes on from two that have begun apart."""
    calls, begins = one.calls, [call.begin for call in one.calls]
    if all(one.linked[1:]) or one.stride > 1:
        return False

    def owner(node: Any) -> int:
        k = bisect_right(begins, number_of(node)) - 1
        return k if calls[max(k, 0)].made(node) else -1

    def elsewhere(k: int, node: Any) -> bool:
        return owner(node) not in (-1, k)

    starts: list[set[int]] = []  # of each call, those from which all that it goes on from began
    for k, call in enumerate(calls):
        made = [node for node, _ in call.out if call.made(node)]
        links = walk_down(made, begins[0], partial(elsewhere, k))
        earlier = {owner(node) for _, node, _ in links} & set(range(k))
        starts.append({k} if not earlier else set().union(*(starts[j] for j in earlier)))
    return any(len(some) > 1 for some in starts)


def _has_weights(module: Any) -> bool:
    return any(True for _ in module.parameters())  # also where a list of them is given


def _holds(outer: Recurrence, inner: Recurrence) -> bool:
    return outer is not inner and any(one is inner.module for one in outer.module.modules() if one is not outer.module)


def _is_direct(one: Recurrence, heavy: Sequence[Recurrence]) -> bool:
    """Tell whether a state reaches a later call without passing another recurrence's module."""
    return any(module_states(one.calls, _aliens(one, heavy)).states)


def _parts(cells: list[Recurrence]) -> list[Recurrence]:
    """Tell the parts of a step, as gates are, from cells: the state is held in a module around, and goes past them.

    Around what has no weights, as what makes spikes, it may be held by a loop.
    """
    own = [one for one in cells if not is_cell(one.module)]
    inner = [one for one in own if not _has_weights(one.module) or any(_holds(other, one) for other in cells)]
    parts: list[Recurrence] = []
    others = cells  # what no part is or holds
    while found := [one for one in inner if one not in parts and bypasses(one.calls, _aliens(one, others))]:
        parts += found
        others = [one for one in cells if not any(one is part or _holds(part, one) for part in parts)]
    return parts


def _is_inside(one: Recurrence, around: Sequence[Recurrence]) -> bool:
    """Whether the module around it tells the same."""
    return one in around and any(_holds(other, one) for other in around)


def _aliens(one: Recurrence, others: Sequence[Recurrence]) -> list[Call]:
    return [
        call
        for other in others
        if not (other is one or _holds(other, one) or _holds(one, other))
        for call in other.calls
    ]


def _named(path: str, by_path: Mapping[str, list[Call]], tops: list[Any]) -> list[Recurrence]:
    calls = by_path.get(path, [])
    if not calls:
        return []
    if _is_fused(calls):
        return fused_sequences(path, calls)
    if len(calls) == 1:
        if why := no_sequence(calls[0]):
            raise InputError(f"{path} was called once, {why}.")
        return [Recurrence(path, SEQUENCE, calls)]
    chain = module_states(calls)
    if not any(chain.states):
        raise InputError(
            f"{path} was called {len(calls)} times, and {ANEW}, so that nothing is learnt over time through it."
        )
    return _runs(Recurrence(path, STEPS, calls, chain.states, chain.linked, stride=chain.stride), tops, by_path)
