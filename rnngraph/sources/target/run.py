"""A Python target, `file.py:function` or `module:function`, becomes a trace or a loss.

In: the text that names it and the values of `--set`. Out: what the user's function returned, made into a
`Trace`. What the function prints goes to stderr, so that a report on stdout stays whole.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.sources.target.importing import find_function, shielded
from rnngraph.sources.target.jax_call import is_jax_call, refuse_jax, run_call
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial

WANTED = (
    "a loss (a Tensor of rnngraph), a Trace, (forward, *arrays) of NumPy, a PyTorch pair (module, batch), or "
    "(loss_fn, *arguments) of JAX"
)


def is_target(source: str | None) -> bool:
    """Tell whether a SOURCE names a Python function."""
    place, _, function = (source or "").rpartition(":")
    named = bool(function) and all(part.isidentifier() for part in function.split("."))
    return bool(place) and named and (place.endswith(".py") or all(part.isidentifier() for part in place.split(".")))


def settings_from(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` texts; a value is a Python literal where it looks like one, else text.

    Raises:
        InputError: no `=`, a key that is no name, or a key twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"--set {pair} is not of the form key=value, with a name for the key.")
        if key in found:
            raise InputError(f"--set gives {key} twice; leave one of them out.")
        try:
            found[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[key] = text
    return found


def target_run(
    source: str,
    settings: Mapping[str, Any] | None = None,
    *,
    loss: str = "sum",
    layer: str | None = None,
    data: str | None = None,
    lags: LagOptions | bool = False,
    spectrum: int = 0,
) -> tuple[Trace, Trial | None]:
    """Call the target and record what it returns; also give who runs it again with other weights, where that can be.

    Args:
        source: `file.py:function` or `module:function`.
        settings: keyword arguments of the function.
        loss: what of a PyTorch module's output is differentiated where it is no scalar: `sum`, `mean` or `every`.
        layer: the path of the module of a PyTorch model that is wanted alone.
        data: a file of arrays, the arguments of a NumPy function.
        lags: see `rnngraph.record`; a Trace that the function returned stays as it is.
        spectrum: likewise.

    Raises:
        InputError: there is no such function, it does not take the settings, or it returned something else.
        TargetError: an exception left the user's code; its `frames` are the user's own.
    """
    from rnngraph.sources.tape.record import record, trial

    returned = opened(source, settings or {}, data)
    if not is_torch_pair(returned):
        _refuse_layer(source, layer)
    if isinstance(returned, Trace):
        return (returned if returned.source else replace(returned, source=source)), None
    if isinstance(returned, Tensor | Tape):
        with shielded(source):
            trace, trials = record(returned, lags=lags, spectrum=spectrum, source=source), trial(returned)
        notes = (*trace.notes, *getattr(returned, "notes", ()), *found_in(returned))
        return replace(trace, notes=notes), trials
    if is_jax_call(returned):
        with shielded(source), contextlib.redirect_stdout(sys.stderr):
            return run_call(returned, lags=lags, spectrum=spectrum, source=source)
    if is_torch_pair(returned):
        from rnngraph.sources.torch.module_and_batch import trace_pair

        with shielded(source):
            return trace_pair(
                returned[0], returned[1], loss=loss, only=layer, lags=lags, spectrum=spectrum, source=source
            )
    raise InputError(f"{source} returned {_described(returned)}; return {WANTED}.")


def target_loss(
    source: str,
    settings: Mapping[str, Any] | None = None,
    *,
    loss: str = "sum",
    layer: str | None = None,
    data: str | None = None,
) -> Tensor:
    """Call the target for a loss on a tape, which can be checked and walked more than once.

    Raises:
        InputError: see `target_run`; or it returned a Trace or a PyTorch pair, which hold no tape.
        TargetError: an exception left the user's code.
    """
    returned = opened(source, settings or {}, data)
    return loss_of(source, returned, loss=loss, layer=layer)


def loss_of(source: str, returned: Any, *, loss: str, layer: str | None) -> Tensor:
    """Make a loss of what the target returned; see `target_loss`."""
    if not is_torch_pair(returned):
        _refuse_layer(source, layer)
    if isinstance(returned, Tensor):
        return returned
    refuse_jax(source, returned)
    if is_torch_pair(returned):
        raise InputError(
            f"{source} returned a PyTorch pair, whose loss cannot be computed again here; "
            "torch.autograd.gradcheck checks its gradients."
        )
    raise InputError(f"{source} returned {_described(returned)}; this command needs a loss (a Tensor of rnngraph).")


def opened(source: str, settings: Mapping[str, Any], data: str | None = None, *, pairs: bool = False) -> Any:
    """Call the target; a NumPy function with `data`, or one that is returned with its arrays, is traced.

    With `pairs`, a forward with its backward is given as it is.

    Raises:
        InputError: see `target_run`.
        TargetError: an exception left the user's code.
    """
    from rnngraph.sources.arrays import trace_returned, trace_with_data

    if data is not None:
        with contextlib.redirect_stdout(sys.stderr):
            return trace_with_data(source, find_function(source), data, settings)
    returned = call(source, settings)
    if is_jax_call(returned):
        return returned
    if pairs and isinstance(returned, tuple | list) and len(returned) > 1 and callable(returned[1]):
        return returned
    traced = trace_returned(source, returned)
    return returned if traced is None else traced


def found_in(returned: Any) -> tuple[str, ...]:
    """Say what was found in a traced function; nothing of anything else."""
    sentence = getattr(returned, "found", "")
    made_of = getattr(returned, "made_of", "")
    return tuple([f"{returned.tape.model}: {one}" for one in (sentence, made_of) if one])


def _refuse_layer(source: str, layer: str | None) -> None:
    if layer is not None:
        raise InputError(f"--layer means nothing here, because {source} returned no PyTorch pair: leave it out.")


def call(source: str, settings: Mapping[str, Any]) -> Any:
    """Import the target and call it with the settings.

    Raises:
        InputError: there is no such function, or it does not take the settings.
        TargetError: an exception left the user's code.
    """
    with contextlib.redirect_stdout(sys.stderr):
        function = find_function(source)
        _check_settings(source, function, settings)
        with shielded(source):
            returned = function(**settings)
    if inspect.iscoroutine(returned):
        returned.close()
        raise InputError(f"{source} is a coroutine; make it a plain function (def, not async def).")
    return returned


def _check_settings(source: str, function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a built-in without a signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        known = None
    else:
        known = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    for key in settings:
        if known is not None and key not in known:
            takes = f"takes {', '.join(known)}" if known else "takes nothing"
            raise InputError(f"{source} has no parameter {key!r}, which --set gives; it {takes}.")
    for one in parameters:
        needed = one.default is one.empty and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        if needed and (one.name not in settings or one.kind is one.POSITIONAL_ONLY):
            raise InputError(
                f"{source} needs a value for {one.name}; give it with --set {one.name}=VALUE, or arrays with --data."
            )


def is_torch_pair(returned: object) -> TypeGuard[tuple[Any, Any]]:
    """Tell a PyTorch module with a batch."""
    if not (isinstance(returned, tuple | list) and len(returned) == 2):
        return False
    torch = sys.modules.get("torch")  # a module can only be one where torch was imported
    return torch is not None and isinstance(returned[0], torch.nn.Module)


def _described(returned: Any) -> str:
    if returned is None:
        return "nothing (None)"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(returned, torch.Tensor | torch.nn.Module):
        return f"a PyTorch {type(returned).__name__}, whose recurrence cannot be seen from outside"
    return f"a value of type {type(returned).__name__}"
