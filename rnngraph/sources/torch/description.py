"""What a watch says in words: what was found, what was not and why, and what must be known beside the numbers.

In: a watch. Out: sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import all_below
from rnngraph.sources.torch.autograd.opaque_nodes import NOTE as STATISTICS
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.inputs.network_inputs import read_inside
from rnngraph.sources.torch.recurrences.find import Found
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, Recurrence, is_builtin, is_cell
from rnngraph.sources.torch.recurrences.whole_sequences import joins_positions, no_sequence, takes_data

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording
    from rnngraph.sources.torch.watch import Watch

SCALED = "the loss was walked back times {:g}, as a scaler does: the numbers are of the loss itself"
TABLE = (
    "no step of {} keeps its rows apart, or an index picks others in every step: they are taken together, as one sample"
)
OVERFLOWED = "with the loss times {:g} the gradient overflows, and a scaler skips such a step: shown is the loss itself"
HOOKS = "hooks that change a gradient act in the numbers, and were called again by every question to autograd"
TWICE = (
    "a second backward pass went through a graph without retain_graph=True, which PyTorch refuses where nothing is "
    "watched: detach the states that the next window starts from"
)

INSIDE = (
    "the loss depends on what is inside {} past its outputs, as a penalty on a gradient does: that part of it is in "
    "none of the numbers"
)
SCANNED = "a scan of PyTorch's walks all its steps in one operation, which shows none: a loop in its place shows them"


def text(watch: Watch) -> str:
    """Give a table of recurrences, and the modules that are none with the reason."""
    try:
        found = watch.find()
    except InputError as error:
        return f"<Watch of {type(watch.model).__name__}: {error}>"
    rows = [("path", "kind", "steps", "states")]
    rows += [(one.path, one.title, str(one.steps), _states(one)) for one in found.recurrences]
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    if not found.recurrences:
        lines = [nothing_found(watch, found)]
    others = [f"not {path}: {reason}" for path, reason in found.reasons.items()]
    return "\n".join([*lines, *others])


def _states(one: Recurrence) -> str:
    if one.how == SEQUENCE:
        return "the input, position by position; it has no step of its own"
    if one.fused:
        layers = one.module.num_layers * (2 if one.module.bidirectional else 1)
        kinds = "h, c" if one.module.mode == "LSTM" else "h"
        return kinds if layers == 1 else f"{kinds} of {layers} layers and directions"
    count = len(one.places)
    return "1 state" if count == 1 else f"{count} states"


def model_title(model: Any, found: Found) -> str:
    """Name a model for display."""
    inside = " + ".join(dict.fromkeys(f"{one.title} {one.path}" for one in found.recurrences))
    return f"{type(model).__name__}: {inside}"


def no_such_path(model: Any, names: Mapping[int, str], path: str) -> str:
    """Say which paths there are."""
    known = list(names.values())
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"{type(model).__name__} has no module {path!r}; only= can name {', '.join(known[:20])}{more}."


def nothing_walked(watch: Watch) -> str:
    """Say why there is no backward pass to trace."""
    if not watch.log.counts and not watch.marks:
        kind = type(watch.model).__name__
        return f"no module of {kind} was called inside the with block: run the model inside it.{_scripted(watch)}"
    if not watch.log.calls:
        return (
            "the model ran, but nothing that it computed needs a gradient that can be seen: it ran under "
            "torch.no_grad() or a transform of torch.func, such as grad or vmap, or all of its weights are frozen and "
            "its input needs none."
        )
    if watch.passes.count:
        return (
            "a backward pass ran inside the with block, but it reached no call that was made in it: the forward pass "
            "must run inside the block too, by the model itself and no copy of it, and its weights or inputs must need "
            "gradients."
        )
    return "no backward pass ran inside the with block: call loss.backward() inside it."


def nothing_found(watch: Watch, found: Found) -> str:
    """Say why there is no recurrence to trace."""
    seen = {path: count for path, count in watch.log.counts.items() if count}
    if watch.only:
        some = ", ".join(f"{path} was called {seen.get(path, 0)} times" for path in watch.only)
        return f"{some}, and no call that the backward pass reached goes on from an earlier one."
    listed = ", ".join(f"{path} ({'once' if n == 1 else f'{n} times'})" for path, n in list(seen.items())[:8])
    reasons = "".join(f" {path}: {reason}." for path, reason in list(found.reasons.items())[:4])
    kind = type(watch.model).__name__
    scanned = "".join(f" {SCANNED}." for run in watch.passes.found[-1:] if _scans(run))
    others = f"{reasons}{_silent(watch, seen)}{_scripted(watch)}{scanned}"
    return f"no recurrence was found in {kind}; called were {listed}.{others}{_advice(watch, seen)}"


def _scans(run: BackwardPass) -> bool:
    return any(node.name().startswith("ScanAutogradOp") for node in all_below(run.tops))


def _silent(watch: Watch, seen: Mapping[str, int]) -> str:
    """Say why the graph holds nothing of a cell, or of a module of the user's own."""
    modules, walked = dict(watch.model.named_modules()), {call.path for call in watch.log.calls}
    some = {path: modules[path] for path in seen if path in modules and path not in walked}
    own = {path: one for path, one in some.items() if not is_builtin(one) and any(True for _ in one.parameters())}
    path = min(own, key=lambda path: not is_cell(own[path]), default="")
    if not path:
        return ""
    if any(weight.requires_grad for weight in own[path].parameters()):
        return f" {path} made nothing that the loss has a gradient for: it ran under torch.no_grad(), or is not used."
    return (
        f" {path} has weights that are frozen and is given data, so that no gradient is asked of it: with "
        "x.requires_grad_() before the run its credit can be."
    )


def _scripted(watch: Watch) -> str:
    path = next((path for path, one in watch.model.named_modules() if isinstance(one, torch.jit.ScriptModule)), None)
    if path is None:
        return ""
    return f" {path} is scripted, and its calls cannot be seen: watch the model before it is given to torch.jit."


def _advice(watch: Watch, seen: Mapping[str, int]) -> str:
    """Say what can be done: where each backward pass reached one step, nothing; else a mark, or a name."""
    calls = {call: run for run in watch.passes.found for call in run.calls}
    cells = [call.path for call in calls if is_cell(call.module) and seen[call.path] == watch.passes.count > 1]
    if cells:
        return (
            f" Each of the {watch.passes.count} backward passes reached one call of {cells[0]}: its state is detached "
            "before every step, or the loss is walked back at every step, so that nothing is learned over time."
        )
    once = {call: run for call, run in calls.items() if seen[call.path] == 1 and not no_sequence(call)}
    named = next((call.path for call, run in once.items() if joins_positions(run, call)), None)
    fed = next((call.path for call in calls if seen[call.path] == 1 and not call.outer and takes_data(call)), None)
    before = "" if named else ", with x.requires_grad_() before the run"
    credit = "; for the credit of a module that takes a sequence at once, name it: "
    credit = f"{credit}watch(model, only={named or fed!r}){before}" if named or fed else ""
    count = watch.passes.count
    other = f" Another of the {count} passes back is looked at by watch(model, backward=-2)." if count > 1 else ""
    return f" A state in a loop of your own is shown with watch.mark(h) once a step{credit}.{other}"


def taken_apart(run: BackwardPass, recurrences: Sequence[Recurrence]) -> str:
    """Say that a module that takes its sequence at once treats every position by itself; "" where none does."""
    whole = [one for one in recurrences if one.how == SEQUENCE and one.steps > 1]
    apart = next((one.path for one in whole if not joins_positions(run, one.calls[0])), None)
    return f"{apart} treats every position by itself: no credit goes from one to another in it." if apart else ""


def notes(watch: Watch, recording: TorchRecording) -> tuple[str, ...]:
    """Say what a reader of the numbers must know."""
    found, run = [], recording.run
    if watch.passes.count > 1 and len(watch.passes.found) > 1:
        found.append(f"backward pass {run.number} of {watch.passes.count} in the block is shown")
    for one in recording.recurrences:
        if one.how == SEQUENCE:
            found.append(
                f"{one.path} takes a whole sequence at once and has no step of its own: the numbers are the credit of "
                "every position of its input, with time taken for its second axis"
            )
    found += [TABLE.format(one.path) for one in recording.recurrences if one.axis is None]
    found += [INSIDE.format(one.path) for one in recording.recurrences if read_inside(run, one)]
    found += [SCALED.format(run.factor)] if run.factor != 1 else []
    found += [OVERFLOWED.format(run.overflowed)] if run.overflowed != 1 else []
    found += [TWICE] if run.twice else []
    found += [SCANNED] if _scans(run) else []
    if recording.statistics:
        found.append(STATISTICS)
    found += _not_finite(recording)
    found += [HOOKS] if any(one.changed for one in run.hooked) else []
    return tuple(found)


def _not_finite(recording: TorchRecording) -> list[str]:
    found = []
    for where, what in zip(recording.first_nonfinite(), ("value", "gradient"), strict=True):
        if where is not None:
            number, kind, t = where
            one, state = recording.tracks[number].recurrence, recording.facts[number].states[kind]
            call = one.order[max(k for k, start in enumerate(one.starts or [0]) if start <= t)] + 1
            way = "forward" if what == "value" else "backward"
            found.append(
                f"the {what} of {state} is not finite at step {t} (call {call} of {one.path}), the first in the {way} "
                "pass; rnngraph.torch.first_nonfinite(function) runs a function and gives the line"
            )
    return found
