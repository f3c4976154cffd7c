"""A Python target, `file.py:function` or `module:function`, is called, and what it returns is measured.

In: the text that names it, and its arguments. Out: a trace, a loss, or another answer. What the function prints goes to
stderr, so that a report on stdout stays whole.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.sources.target.arguments import arguments_of
from rnngraph.sources.target.importing import find_function, left_out, shielded
from rnngraph.sources.target.jax_call import is_jax_call, run_call
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.gradcheck.report import CheckReport
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial
    from rnngraph.numpy.traced import Traced
    from rnngraph.trace.used_past import ContextTrace

WANTED = (
    "a loss (a Tensor of rnngraph), a Trace, (forward, *arrays) of NumPy, the rnngraph.torch.watch of a PyTorch step, "
    "a pair (module, batch), of which a batch (x, targets) is handed on as module(x, targets), or (loss_fn, "
    "*arguments) of JAX"
)
NO_GRADIENT = (
    "These are gradients of the record: of what the function returns beside its loss, nothing is known to be one of "
    "its own. Name them in its last return, as dWh for Wh."
)


def is_target(source: str | None) -> bool:
    """Tell whether a SOURCE names a Python function."""
    place, _, function = (source or "").rpartition(":")
    named = bool(function) and all(part.isidentifier() for part in function.split("."))
    return bool(place) and named and (place.endswith(".py") or all(part.isidentifier() for part in place.split(".")))


@dataclass(frozen=True, slots=True)
class Returned:
    """What a target returned, and what is meant of a PyTorch pair."""

    source: str
    value: Any
    reduce: str | None = None  # of a module's output that is no scalar: `sum`, the default, `mean` or `every`
    layer: str | None = None  # the path of the module that is wanted alone

    def run(self, *, lags: LagOptions | bool = False, spectrum: int = 0) -> tuple[Trace, Trial | None]:
        """Record it, and give who runs it again with other weights, where that can be.

        Args:
            lags: see `rnngraph.record`; a Trace that the function returned stays as it is.
            spectrum: likewise.

        Raises:
            InputError: it is nothing that can be recorded.
            TargetError: an exception left the user's code; its `frames` are the user's own.
        """
        from rnngraph.sources.tape.record import record, trial

        value = self._recorded()
        options: dict[str, Any] = {"lags": lags, "spectrum": spectrum, "source": self.source}
        if isinstance(value, Trace):
            return (value if value.source else replace(value, source=self.source)), None
        with shielded(self.source), contextlib.redirect_stdout(sys.stderr):
            if isinstance(value, Tensor | Tape):
                trace = record(value, **options)
                notes = (*trace.notes, *getattr(value, "notes", ()), *found_in(value))
                return replace(trace, notes=notes), trial(value)
            if is_jax_call(value):
                return run_call(value, **options)
            if _is_watch(value):
                return value.trace(**options), value.trial()
            if is_torch_pair(value):
                from rnngraph.sources.torch.module_and_batch import trace_pair

                return trace_pair(*value, loss=self.reduce or "sum", only=self.layer, **options)
        raise InputError(f"{self.source} returned {_described(value)}; return {WANTED}.")

    def loss(self) -> Tensor:
        """Give the loss on a tape, which can be checked and walked more than once.

        Raises:
            InputError: it is no such loss.
            TargetError: see `run`.
        """
        value = self._recorded()
        if isinstance(value, Tensor):
            return value
        if is_jax_call(value):
            raise InputError(
                f"{self.source} returned a JAX loss, and this command needs a loss on a tape of rnngraph; "
                "jax.test_util.check_grads checks the gradients of a JAX function."
            )
        if is_torch_pair(value):
            raise InputError(
                f"{self.source} returned a PyTorch pair, whose loss cannot be computed again here; "
                "torch.autograd.gradcheck checks its gradients."
            )
        raise InputError(
            f"{self.source} returned {_described(value)}; this command needs a loss (a Tensor of rnngraph)."
        )

    def context(self, most: int | None) -> ContextTrace:
        """Measure how much of its past it uses; see `rnngraph.context`."""
        from rnngraph.sources.past_of_source import context

        with shielded(self.source):
            if is_torch_pair(self.value):
                return context(self.value, most=most, reduce=self.reduce, only=self.layer)
            return context(self.loss(), most=most)

    def check(self, *, directions: int, seed: int) -> tuple[CheckReport, tuple[str, ...]]:
        """Check gradients: of `(forward, backward, *arrays)`, or of a loss.

        Returns:
            the report, and what was found in a traced function.
        """
        from rnngraph.gradcheck.front import check

        with shielded(self.source):
            if _is_forward(self.value) and callable(self.value[1]) and not is_jax_call(self.value):
                return check(*self.value, directions=directions, seed=seed), ()
            loss = self.loss()
            handed = getattr(loss, "handed", {})  # gradients that a traced function returned beside its loss
            report = check(loss, *([handed] if handed else []), directions=directions, seed=seed)
            if not handed and isinstance(getattr(loss, "outputs", None), tuple | list):
                report = replace(report, note=" ".join([NO_GRADIENT, report.note]).strip())
            return report, found_in(loss)

    def _recorded(self) -> Any:
        """Trace the forward of `(forward, *arrays)` or `(forward, backward, *arrays)`; what is neither stays as it is.

        Raises:
            InputError: a layer is wanted of what is no PyTorch pair.
        """
        value = self.value
        if is_torch_pair(value):
            return value
        if self.layer is not None:
            raise InputError(
                f"--layer means nothing here, because {self.source} returned no PyTorch pair: leave it out."
            )
        if is_jax_call(value) or not _is_forward(value):
            return value
        return _traced(self.source, value[0], value[2:] if callable(value[1]) else value[1:])


def opened(
    source: str, settings: Mapping[str, Any] | None = None, *, loss: str | None = None, layer: str | None = None,
    data: str | None = None,
) -> Returned:  # fmt: skip
    """Call a target; one with `data`, or that gives NumPy's numbers or arrays, is a NumPy function, and is traced.

    Args:
        source: `file.py:function` or `module:function`.
        settings: arguments of the function by name.
        loss: what of a PyTorch module's output is differentiated where it is no scalar.
        layer: the path of the module of a PyTorch model that is wanted alone.
        data: a file of arrays, the arguments of a NumPy function.

    Raises:
        InputError: there is no such function, or it does not take the arguments.
        FileError: the file cannot be read.
        TargetError: an exception left the user's code; its `frames` are the user's own.
    """
    return Returned(source, call(source, settings or {}, data), loss, layer)


def call(source: str, settings: Mapping[str, Any], data: str | None = None) -> Any:
    """Import a target and call it; see `opened`."""
    with contextlib.redirect_stdout(sys.stderr):
        function = find_function(source)
        plain, named = arguments_of(source, function, settings, data)
        returned: Any = None
        if data is None:
            with shielded(source):
                returned = function(*plain, **named)
        first = returned[0] if isinstance(returned, tuple) and returned else returned
        if data is not None or isinstance(first, np.floating | np.ndarray):
            return _traced(source, functools.partial(function, **named) if named else function, plain)
    if inspect.iscoroutine(returned):
        returned.close()
        raise InputError(f"{source} is a coroutine; make it a plain function (def, not async def).")
    return returned


def _traced(source: str, function: Callable[..., Any], arguments: Any) -> Traced:
    from rnngraph.numpy.traced import trace_function

    with shielded(source), contextlib.redirect_stdout(sys.stderr):
        traced = trace_function(function, *arguments)
    module = sys.modules.get(str(getattr(getattr(function, "func", function), "__module__", "")))
    traced.notes = (*traced.notes, *left_out(module))
    return traced


def found_in(returned: Any) -> tuple[str, ...]:
    """Say what was found in a traced function; nothing of anything else."""
    said = (getattr(returned, "found", ""), getattr(returned, "made_of", ""))
    return tuple([f"{returned.tape.model}: {one}" for one in said if one])


def _is_forward(returned: Any) -> bool:
    """Tell a function and its arguments, of NumPy or JAX."""
    several = isinstance(returned, tuple | list) and len(returned) > 1
    return several and callable(returned[0]) and not _is_module(returned[0])


def is_torch_pair(returned: object) -> TypeGuard[tuple[Any, Any]]:
    """Tell a PyTorch module with a batch."""
    return isinstance(returned, tuple | list) and len(returned) == 2 and _is_module(returned[0])


def _is_watch(value: object) -> bool:
    known = sys.modules.get("rnngraph.sources.torch.watch")  # a watch can only be one where that was imported
    return known is not None and isinstance(value, known.Watch)


def _is_module(value: object) -> bool:
    torch = sys.modules.get("torch")  # a module can only be one where torch was imported
    return torch is not None and isinstance(value, torch.nn.Module)


def _described(returned: Any) -> str:
    if returned is None:
        return "nothing (None)"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(returned, torch.Tensor | torch.nn.Module):
        return f"a PyTorch {type(returned).__name__}, whose recurrence cannot be seen from outside"
    return f"a value of type {type(returned).__name__}"
