"""Which calls of a watched run are traced, and why there are none to trace.

In: a `Recorder` that watched a run, and the layer and call that were asked for. Out: `Call`s by their module's path.
"""

from __future__ import annotations

from rnngraph.errors import InputError
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.capture import Recorder
from rnngraph.sources.torch.passes import several
from rnngraph.sources.torch.sequence import chain_break


def forward_calls(calls: list[Call]) -> dict[str, list[Call]]:
    """Group the calls of a forward pass by module, and tell each its place among the module's calls."""
    found: dict[str, list[Call]] = {}
    for one in calls:
        members = found.setdefault(one.module, [])
        one.place = len(members)
        members.append(one)
    return found


def chosen_calls(
    recorder: Recorder, calls: list[Call], layer: str | None, call: int | None = None
) -> dict[str, list[Call]]:
    """Choose the calls that a gradient reached, of one layer or of all, and of them all or the one that is numbered.

    Raises:
        InputError: there are none, or no such layer or call.
    """
    if recorder.failure:
        raise InputError(f"the run went on, but {recorder.failure}.")
    if not calls:
        raise _nothing_called(recorder)
    everything = forward_calls(calls)
    found = reached_calls(everything)
    if not found:
        raise _nothing_reached(calls)
    if layer is not None and layer not in found:
        raise InputError(f"no watched layer with a gradient is called {layer!r}; there is {', '.join(found)}.")
    paths = list(found) if layer is None else [layer]
    if call is None:
        chosen = {path: found[path] for path in paths}
    else:
        chosen = {path: [_numbered(path, everything[path], call)] for path in paths}
    for path, members in chosen.items():
        if any(one.several for one in members):
            raise several(path)
    return chosen


def reached_calls(everything: dict[str, list[Call]]) -> dict[str, list[Call]]:
    """Give the calls of every layer that a gradient reached, and what lies between them."""
    found = {path: _reached(members) for path, members in everything.items()}
    return {path: members for path, members in found.items() if members}


def _reached(calls: list[Call]) -> list[Call]:
    """Give the calls that a gradient reached, and those between that are needed to make them one sequence."""
    reached = [one for one in calls if one.grads]
    if len(reached) < 2 or chain_break(reached) is None:
        return reached
    between = [one for one in calls[reached[0].place : reached[-1].place + 1] if one.grads or one.gradient]
    return between if chain_break(between) is None else reached


def is_loose(calls: list[Call]) -> bool:
    """Tell cells whose states the user's code changes between the steps, so that only hooks can see them."""
    return calls[0].layout.cell and chain_break(calls) is not None


def _numbered(path: str, calls: list[Call], call: int) -> Call:
    if not -len(calls) <= call < len(calls):
        raise InputError(f"call is {call}; {path} was called {len(calls)} times, 0 to {len(calls) - 1}.")
    if not calls[call].grads:
        reached = ", ".join(str(one.place) for one in calls if one.grads)
        raise InputError(f"no gradient reached call {call} of {path}; pick one that it reached: {reached}.")
    return calls[call]


def _nothing_called(recorder: Recorder) -> InputError:
    if recorder.compiled:
        return InputError(
            "no recurrent layer was called inside the watch: a model that torch.compile compiled before the watch "
            "passes over the hooks; call torch.compiler.reset() before the with block, so that it is compiled again "
            "inside, or watch the model that was not compiled."
        )
    return InputError(
        "no recurrent layer was called inside the watch: run the model's forward pass inside the with block "
        "(and watch the model that is called, not a copy)."
    )


def _nothing_reached(calls: list[Call]) -> InputError:
    if not any(one.recording for one in calls):
        return InputError(
            "no gradient reached a recurrent layer, because the forward pass ran under torch.no_grad(): run it with "
            "gradients inside the with block."
        )
    if not any(one.gradient for one in calls):
        return InputError(
            f"no gradient reached {calls[0].module}, because its weights are frozen and its input needs none: let its "
            "input need one (x.requires_grad_()), so that gradient passes through the layer."
        )
    return InputError(
        "no gradient reached a recurrent layer: call loss.backward() inside the with block, on a loss that "
        "depends on the layer."
    )
