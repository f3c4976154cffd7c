"""A module that is called once a step, seen through hooks alone: values and gradients of what it returned.

In: the module. Out: a trace that knows each step's total gradient and says "not observed" of all that hooks
cannot see, such as how much of it was carried from the next step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Op, Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import InputError
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.hooks import UNDER_FUNC, ModuleHook, adder, is_transformed, kept
from rnngraph.sources.torch.passes import Arrivals, counting, current_pass, pass_noter, several
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import WITHOUT_LAGS, ParameterTrace, Trace
from rnngraph.trace.norms import norm

CALLED = Op("called", "one call", lambda *values: values[-1], lambda g, node: (None,) * len(node.inputs))
UNSEEN = (
    "seen through hooks: each step's total gradient is PyTorch's own; what of it was carried from the next step, "
    "and each step's part of a weight's gradient, are not observed"
)


@dataclass(slots=True)
class StepRecorder:
    """The hooks on one module, and what they saw call by call."""

    path: str
    module: Any
    values: list[dict[str, Any]] = field(default_factory=list)
    grads: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, Any] = field(default_factory=dict)
    handles: list[Any] = field(default_factory=list)
    reason: str = ""  # why a cell that can be walked again is seen through hooks alone
    again: list[bool] = field(default_factory=list)  # whether a call was made while a backward was under way
    failure: str = ""  # why a call is missing
    arrivals: list[Arrivals] = field(default_factory=list)  # empty where `grads` are given
    passes: set[int] = field(default_factory=set)  # the backward passes that reached the weights
    passed: set[int] = field(default_factory=set)  # the places of what a call returned and the next one was given
    _latest: list[Any] = field(default_factory=list)  # what the call before returned

    def attach(self) -> None:
        """Put the hooks on."""

        def see(module: Any, arguments: Any, options: Any, result: Any) -> None:
            if is_transformed():
                self.failure = f"a call of {self.path} {UNDER_FUNC}"
                return
            found = {str(place): tensor for place, tensor in enumerate(_unique(result))}
            self._note_passed(_unique([arguments, options]))
            self._latest = [tensor.detach() for tensor in found.values()]
            if not any(tensor.requires_grad for tensor in found.values()):
                return
            self.values.append({kind: kept(tensor) for kind, tensor in found.items()})
            self.grads.append({})
            self.arrivals.append(Arrivals())
            self.again.append(current_pass() != -1)
            for kind, tensor in found.items():
                if tensor.requires_grad:
                    self.arrivals[-1].watch(kind, tensor, self.handles.append)

        hook = ModuleHook(self.module, see)
        self.handles += [self.module.register_forward_hook(hook, with_kwargs=True), hook]
        for name, parameter in self.module.named_parameters():
            if parameter.requires_grad:
                for noter in (adder(self.weights, name), pass_noter(self.passes)):
                    self.handles.append(parameter.register_hook(noter))

    def detach(self) -> None:
        """Take every hook off."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        self._latest = []

    def trace(self, source: str) -> Trace:
        """Assemble the trace.

        Raises:
            InputError: the module was not called, no backward reached it, or its outputs change their shapes.
        """
        from rnngraph.trace.record import record

        if self.failure:
            raise InputError(f"the run went on, but {self.failure}.")
        if not self.values:
            raise InputError(
                f"{self.path} was not called with gradients inside the watch; run the model inside the with block."
            )
        if self.arrivals:
            passes = counting(self.arrivals, self.passes)
            if not passes and any(len(one.seen) > 1 for one in self.arrivals):
                raise several(self.path)
            self.grads = [one.counted(passes) for one in self.arrivals]
            self.arrivals = []
        self._leave_out_repeated()
        self._name()
        if not any(self.grads):
            raise InputError(f"no gradient reached {self.path}: call loss.backward() inside the with block.")
        tape = Tape(model=f"{self.path}: {type(self.module).__name__}, {len(self.values)} calls")
        recurrence = self._on(tape)
        tape.recurrences.append(recurrence)
        trace = _honest(record(tape, source=source), self._parameters())
        if self.reason:
            reason = f"{WITHOUT_LAGS}{self.path} was seen only through hooks, because {self.reason}"
            trace = replace(trace, notes=(*trace.notes, reason))
        dtype = str(self.values[0]["h"].dtype).removeprefix("torch.")
        return replace(trace, dtype=dtype) if dtype == "float32" else trace

    def _note_passed(self, given: list[Any]) -> None:
        for place, tensor in enumerate(self._latest):
            if any(one.data_ptr() == tensor.data_ptr() and one.shape == tensor.shape for one in given):
                self.passed.add(place)

    def _name(self) -> None:
        """Name what the calls returned: what is passed back is the state, `h` and `c`, whatever its place."""
        first = self.values[0]
        if "0" not in first:
            return  # the states of a cell of PyTorch's own have their names
        names = _names([tuple(tensor.shape) for tensor in first.values()], sorted(self.passed))
        order = sorted(names, key=lambda place: names[place].startswith("output"))
        for number, values in enumerate(self.values):
            self.values[number] = {names[place]: values[place] for place in order if place in values}
            self.grads[number] = {names[place]: one for place, one in self.grads[number].items() if place in names}

    def _leave_out_repeated(self) -> None:
        """Leave out calls that torch.utils.checkpoint made again and that no gradient reached."""
        if any(again and grads for again, grads in zip(self.again, self.grads, strict=False)):
            raise InputError(
                f"{self.path} was called again by torch.utils.checkpoint while the gradient came back, last step "
                "first, so the order of its steps is not known: pass use_reentrant=False to checkpoint."
            )
        if any(self.again):
            first = [not again for again in self.again]
            self.values = list(compress(self.values, first))
            self.grads = list(compress(self.grads, first))
            self.again = [False] * len(self.values)

    def _on(self, tape: Tape) -> Recurrence:
        recurrence = Recurrence(self.path, "custom", states={kind: [] for kind in self.values[0]})
        before: tuple[int, ...] = ()
        for t, (values, grads) in enumerate(zip(self.values, self.grads, strict=True)):
            for kind in recurrence.states:
                first = self.values[0][kind]
                if kind not in values or values[kind].shape != first.shape:
                    raise InputError(
                        f"{self.path} returned another shape at call {t} than at call 0, {tuple(first.shape)}: "
                        "its calls are not the steps of one batch; watch one sequence at a time."
                    )
                with tape.scope(layer=self.path, t=t):
                    node = tape.append(CALLED, before, _array(values[kind]), requires=True)
                recurrence.states[kind].append(node)
                gradient = grads.get(kind)
                tape.starts[node] = np.zeros_like(tape.nodes[node].value) if gradient is None else _array(gradient)
            before = tuple(ids[-1] for ids in recurrence.states.values())
        return recurrence

    def _parameters(self) -> Iterator[ParameterTrace]:
        nothing = Magnitudes.unobserved((len(self.values),))
        for name, parameter in self.module.named_parameters():
            gradient = self.weights.get(name)
            total = Magnitudes.of(0.0 if gradient is None else norm(_array(gradient)))
            if not parameter.requires_grad:
                total = Magnitudes.unobserved()
            shape = tuple(parameter.shape)
            value = norm(_array(parameter))
            yield ParameterTrace(f"{self.path}.{name}", shape, total, nothing, np.nan, value, np.nan, np.nan)


def from_calls(path: str, module: Any, calls: list[Call], weights: dict[str, Any], reason: str) -> StepRecorder:
    """See a cell's calls as hooks see any module's; `reason` says why they are not walked again."""
    values, grads = [one.final for one in calls], [one.grads for one in calls]
    return StepRecorder(path, module, values, grads, weights, reason=reason)


def _honest(trace: Trace, parameters: Iterator[ParameterTrace]) -> Trace:
    """Mark what hooks cannot see."""
    unseen = Magnitudes.unobserved((trace.timesteps,))
    unknown = np.full(trace.timesteps, np.nan)
    states = tuple(
        replace(
            state, initial=Magnitudes.unobserved(), immediate=unseen, carried=unseen, gain=unknown,
            gain_activation=unknown, gain_weights=unknown, cut=np.zeros(trace.timesteps, bool),
        )
        for state in trace.states
    )  # fmt: skip
    return replace(trace, states=states, parameters=tuple(parameters), notes=(*trace.notes, UNSEEN))


def _tensors(result: Any) -> Iterator[Any]:
    if hasattr(result, "requires_grad") and result.is_floating_point():
        yield result
    elif isinstance(result, dict):
        for one in result.values():
            yield from _tensors(one)
    elif isinstance(result, tuple | list):
        for one in result:
            yield from _tensors(one)


def _unique(result: Any) -> list[Any]:
    return list({id(tensor): tensor for tensor in _tensors(result)}.values())


def _names(shapes: list[tuple[int, ...]], passed: list[int]) -> dict[str, str]:
    """Name the tensors that a call returned, by their places; without knowledge the first is `h`."""
    if not passed:  # two of the same shape are h and c, as cells return them
        passed = [0, 1] if len(shapes) == 2 and shapes[0] == shapes[1] else [0]
    states = ["h", "c", *(f"state{number}" for number in range(2, len(passed)))]
    names = {str(place): state for place, state in zip(passed, states, strict=False)}
    return {str(place): names.get(str(place), f"output{place}") for place in range(len(shapes))}


def _array(tensor: Any) -> Array:
    wide = tensor.detach().to("cpu").double().numpy()
    return np.asarray(wide.reshape(1, -1) if wide.ndim < 2 else wide)
