"""The watch on a JAX loss function: it is traced, found out about, and measured.

In: a loss function and its arguments. Out: a `Trace`; or `Scans`, which say what was found and what hides the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnngraph.checks import listed
from rnngraph.errors import InputError
from rnngraph.measure import record as measured
from rnngraph.measure.lag_options import LagOptions, asked
from rnngraph.measure.trial import Trial
from rnngraph.sources.jax.finding.finder import find
from rnngraph.sources.jax.function import Options, function_of, leaves_of
from rnngraph.sources.jax.running.programs import Programs
from rnngraph.sources.jax.running.samples import FOUND, BatchAxis
from rnngraph.sources.jax.scan_recording import JaxRecording
from rnngraph.trace.model import WITHOUT_LAGS, Trace

_KEPT = 8  # functions whose compiled programs are kept
_known: OrderedDict[Any, Programs] = OrderedDict()


def watch(
    loss_fn: Callable[..., Any],
    *arguments: Any,
    has_aux: bool = False,
    lags: LagOptions | bool = True,
    batch_axis: BatchAxis = FOUND,
    per_step: Callable[[Any], Any] | None = None,
    weights: bool = True,
    only: str | Sequence[str] | None = None,
    source: str = "",
) -> Trace:
    """Trace the scans of a loss, of one call with one batch.

    The function is called once, with tracers, as `jax.jit` calls it; loss and gradients are those of
    `jax.jit(jax.value_and_grad(loss_fn))`. What is compiled is kept, for further calls with arrays of the same shapes.

    Args:
        loss_fn: gives a scalar; it is differentiated by its first argument.
        arguments: what it is called with.
        has_aux: whether it gives (loss, aux).
        lags: also measure the lag matrix, with the default bounds or with the given `LagOptions`.
        batch_axis: the axis of the samples in the states, "none" where there is none; by default it is found.
        per_step: takes aux and gives every step's loss, (T,) or (T, N): for a loss whose steps cannot be told apart.
        weights: also measure each step's part of the weights that the scans read.
        only: the name of a scan, or several, where not all are wanted: a loss such as CTC is a scan of its own.
        source: where the function comes from, for display.

    Raises:
        InputError: nothing recurrent was found, with the reasons; or an argument or option does not fit.
    """
    wanted, options = asked(lags), Options(has_aux, per_step, listed(only), batch_axis, bool(weights))
    return measure(recorded(loss_fn, arguments, options), lags=wanted, source=source)


def measure(recording: JaxRecording, *, lags: LagOptions | None, source: str) -> Trace:
    """Make the trace of a recorded call."""
    unclear = () if recording.steps else tuple(recording.programs.plan.unclear.values())
    trace = measured.record(recording, lags=None if unclear else lags, source=source)
    notes = [f"{WITHOUT_LAGS}{one}; per_step= gives the losses of steps" for one in unclear if lags is not None]
    return replace(trace, notes=(*notes, *trace.notes, *recording.notes()))


def trial(
    loss_fn: Callable[..., Any],
    *arguments: Any,
    has_aux: bool = False,
    batch_axis: BatchAxis = FOUND,
    per_step: Callable[[Any], Any] | None = None,
    only: str | Sequence[str] | None = None,
) -> Trial:
    """Let remedies be tried on a call: `rnngraph.diagnose(trace, trial=rnngraph.jax.trial(loss_fn, params, batch))`.

    Raises:
        InputError: see `watch`.
    """
    return Trial(recorded(loss_fn, arguments, Options(has_aux, per_step, listed(only), batch_axis)))


@dataclass(frozen=True)
class Scans:
    """What was found in a loss function; print it."""

    title: str
    found: tuple[tuple[str, int, str, tuple[str, ...]], ...]  # name, steps, direction, states
    hidden: tuple[str, ...]  # why a loop is not measured
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Give a table of the scans, and the reasons why others are none."""
        notes = [f"note: {one}" for one in self.notes]
        if not self.found:
            return "\n".join([_nothing(self.title, self.hidden), *notes])
        width = max(4, *(len(name) for name, *_ in self.found))
        rows = [("scan", "steps", "direction", ["states"]), *self.found]
        lines = [f"{one[0]:<{width}}  {one[1]:>5}  {one[2]:<9}  {', '.join(one[3])}" for one in rows]
        return "\n".join([*lines, *(f"not measured: {one}" for one in self.hidden), *notes])


def scans(loss_fn: Callable[..., Any], *arguments: Any, has_aux: bool = False) -> Scans:
    """Say which scans of a loss are recurrences, and what hides others; nothing is computed.

    Raises:
        InputError: the function returns no scalar loss.
    """
    programs, _ = _prepared(loss_fn, arguments, Options(has_aux))
    plan = programs.plan
    found = tuple((one.name, one.length, "reverse" if one.reverse else "forward", one.kinds) for one in plan.numbered)
    return Scans(programs.function.title, found, tuple(plan.reasons), (*plan.notes, *plan.unclear.values()))


def recorded(loss: Callable[..., Any], arguments: tuple[Any, ...], options: Options) -> JaxRecording:
    """Run a call once.

    Raises:
        InputError: see `watch`.
    """
    programs, arrays = _prepared(loss, arguments, options)
    if not programs.plan.sites:
        raise InputError(_nothing(programs.function.title, tuple(programs.plan.reasons)))
    return JaxRecording(programs, arrays)


def _prepared(loss: Callable[..., Any], arguments: tuple[Any, ...], options: Options) -> tuple[Programs, Sequence[Any]]:
    """Trace the function and look through it, or take what is known of it."""
    if not callable(loss):
        raise InputError(f"the loss function is a {type(loss).__name__}; pass a function and what it is called with.")
    leaves = leaves_of(arguments)
    try:
        key = loss, leaves.key, options
        known = _known.get(key)
    except TypeError:  # something that cannot be a key
        key, known = None, None
    if known is None:
        function = function_of(loss, leaves, options)
        plan = find(function.jaxpr, len(function.constants), function.weights, function.names, options.only)
        known = Programs(function, plan, options)
        if key is not None:
            _known[key] = known
            while len(_known) > _KEPT:
                _known.popitem(last=False)
    elif key is not None:
        _known.move_to_end(key)
    return known, leaves.arrays


def _nothing(title: str, hidden: Sequence[str]) -> str:
    why = "".join(f" Not measured: {one}." for one in hidden) or (
        " There is no lax.scan in it that carries a state in time. A Python loop is unrolled before anything can be "
        "seen: write the steps as a lax.scan, or as a fori_loop with fixed bounds."
    )
    return f"no recurrence was found in {title}.{why}"
