"""From what the hooks kept to a trace: which calls belong together, the replay, the comparison, the notes.

In: a `Recorder` that watched a run. Out: a `Trace`.
"""

from __future__ import annotations

from collections.abc import Sequence as Texts
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.capture import Recorder
from rnngraph.sources.torch.choose import chosen_calls, is_loose
from rnngraph.sources.torch.compare import compare, note
from rnngraph.sources.torch.feeding import Feed, feeds_of
from rnngraph.sources.torch.reading import lagless
from rnngraph.sources.torch.recompute import in_order
from rnngraph.sources.torch.replay import input_gradient, replay
from rnngraph.sources.torch.sequence import Sequence, chain_break, joined
from rnngraph.sources.torch.steps import from_calls
from rnngraph.sources.torch.weights import weight_gradients
from rnngraph.sources.walk import Walk
from rnngraph.trace.model import WITHOUT_LAGS

if TYPE_CHECKING:
    from rnngraph.trace.model import Trace


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a watched run is to be traced, and how."""

    layer: str | None = None
    call: int | None = None
    labels: Texts[str | None] = ()
    tolerance: float | None = None
    record: dict[str, Any] = field(default_factory=dict)  # options of `rnngraph.record`


def traced(recorder: Recorder, choice: Choice) -> Trace:
    """Walk what was watched again and measure it.

    Raises:
        InputError: nothing was called, no backward ran, a choice is needed, or the replay and PyTorch disagree.
    """
    from rnngraph.trace.record import record

    recorder.settle()
    everything = in_order(recorder.calls)
    chosen = chosen_calls(recorder, everything, choice.layer, choice.call)
    loose = {path: calls for path, calls in chosen.items() if is_loose(calls)}
    if loose:
        return _seen(recorder, chosen, loose, str(choice.record.get("source", "")))
    walked = _replayed(chosen, choice)
    notes = []
    for path, sequence in walked.sequences.items():
        calls = chosen[path]
        # The gradients of the parameters are those of all calls together.
        reached = {one.index for one in everything if one.module == path and one.grads}
        whole = reached <= {one.index for one in calls}
        hooked = recorder.hooked[path]
        grads = {name: one for name, one in recorder.weight_grads[path].items() if name not in hooked}
        expected = weight_gradients(grads, calls[0]) if whole else {}
        notes.append(note(path, sequence, compare(sequence, walked.walks[path], expected), choice.tolerance))
        if any(one.left_out for one in calls):
            notes.append(
                f"a backward pass through {path} that reached no weights, as of torch.autograd.grad, is left out"
            )
        if hooked & recorder.weight_grads[path].keys():
            notes.append(f"the gradients of {path}'s {', '.join(sorted(hooked))} were not compared: hooks are on them")
    notes += [f"{path} was walked on the output of {feed.below}, as one stack" for path, feed in walked.feeds.items()]
    if len(walked.sequences) > len(walked.feeds) + 1:
        notes.append("the layers were walked one by one: a lag counts from where the gradient enters a layer")
    reasons = lagless(everything, chosen, walked.feeds)
    options = {**choice.record, "lags": False, "spectrum": 0} if reasons else choice.record
    trace = record(walked.tape, **options)
    return replace(trace, notes=(*trace.notes, *notes, *(WITHOUT_LAGS + reason for reason in reasons)))


def replayed_loss(recorder: Recorder, layer: str | None = None, call: int | None = None) -> Tensor:
    """Walk what was watched again, up to a scalar with the same gradients: every output times what reached it.

    Raises:
        InputError: see `traced`; or the recurrence can be seen only through hooks.
    """
    recorder.settle()
    chosen = chosen_calls(recorder, in_order(recorder.calls), layer, call)
    for path, calls in chosen.items():
        if is_loose(calls):
            raise InputError(f"{path} can be seen only through hooks, because {chain_break(calls)}: nothing is walked.")
    tape = _replayed(chosen, Choice()).tape
    parts = [(Tensor(tape, node) * tape.constant(start)).sum() for node, start in tape.starts.items()]
    tape.starts.clear()
    return sum(parts[1:], start=parts[0])


@dataclass(frozen=True, slots=True)
class _Walked:
    """Layers on one tape, by their paths."""

    tape: Tape
    sequences: dict[str, Sequence]
    feeds: dict[str, Feed]
    walks: dict[str, Walk]


def _replayed(chosen: dict[str, list[Call]], choice: Choice) -> _Walked:
    sequences = {path: joined(calls) for path, calls in chosen.items()}
    _check_sizes(sequences)
    tape = Tape(model="; ".join(f"{path}: {one.stack.describe()}" for path, one in sequences.items()))
    tape.step_labels = list(choice.labels)
    feeds = feeds_of(chosen, sequences)
    sent: dict[str, Array] = {}
    for path, feed in feeds.items():
        gradient = input_gradient(sequences[path])
        gradient = gradient if feed.factor is None else gradient * feed.factor
        sent[feed.below] = gradient + sent.get(feed.below, 0)
    walks: dict[str, Walk] = {}
    for path, sequence in sequences.items():  # a layer is called after the one that it reads
        x = None
        if path in feeds:
            x, factor = walks[feeds[path].below].output, feeds[path].factor
            x = x if factor is None else x * factor
        walks[path] = replay(sequence, tape, x=x, sent=sent.get(path))
    return _Walked(tape, sequences, feeds, walks)


def _seen(recorder: Recorder, chosen: dict[str, list[Call]], loose: dict[str, list[Call]], source: str) -> Trace:
    path, calls = next(iter(loose.items()))
    if len(chosen) > 1:
        raise InputError(
            f"the calls of {path} are not one sequence, because {chain_break(calls)}: it cannot be walked with "
            f"the other layers; pick one of {', '.join(chosen)} with trace('{path}'), or --layer {path}."
        )
    module = next(module for name, module, _ in recorder.modules if name == path)
    reason = str(chain_break(calls))
    return from_calls(path, module, calls, recorder.weight_grads[path], reason).trace(source)


def _check_sizes(sequences: dict[str, Sequence]) -> None:
    sizes = {path: sequence.x.shape[:2] for path, sequence in sequences.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{path} ({batch} x {time} steps)" for path, (batch, time) in sizes.items())
        raise InputError(
            f"the watched layers differ in batch or steps: {listed}; pick one with trace('{next(iter(sizes))}'), or "
            f"--layer {next(iter(sizes))}."
        )
