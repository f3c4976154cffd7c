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
from typing import TYPE_CHECKING, Any

from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.sources.target_import import find_function, shielded
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial

WANTED = "a loss (a Tensor of rnngraph), a Trace, or a PyTorch pair (module, batch)"


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
    call_number: int | None = None,
    lags: LagOptions | bool = False,
    spectrum: int = 0,
) -> tuple[Trace, Trial | None]:
    """Call the target and record what it returns; of a loss also give who runs it again with other weights.

    Args:
        source: `file.py:function` or `module:function`.
        settings: keyword arguments of the function.
        loss: what of a PyTorch module's output is differentiated where it is no scalar: `sum`, `mean` or `every`.
        layer: which recurrent layer of a PyTorch module.
        call_number: which of its calls.
        lags: see `rnngraph.record`; a Trace that the function returned stays as it is.
        spectrum: likewise.

    Raises:
        InputError: there is no such function, it does not take the settings, or it returned something else.
        TargetError: an exception left the user's code; its `frames` are the user's own.
    """
    from rnngraph.sources.tape.record import record, trial

    returned = call(source, settings or {})
    if not _is_torch_pair(returned):
        _refuse_choice(source, layer, call_number)
    if isinstance(returned, Trace):
        return (returned if returned.source else replace(returned, source=source)), None
    if isinstance(returned, Tensor | Tape):
        with shielded(source):
            return record(returned, lags=lags, spectrum=spectrum, source=source), trial(returned)
    if _is_torch_pair(returned):
        from rnngraph.sources.torch.pair import trace_pair

        with shielded(source):
            found = trace_pair(
                returned[0], returned[1], loss=loss, layer=layer, call=call_number,
                lags=lags, spectrum=spectrum, source=source,
            )  # fmt: skip
        return found, None
    raise InputError(f"{source} returned {_described(returned)}; return {WANTED}.")


def target_trace(source: str, settings: Mapping[str, Any] | None = None, **options: Any) -> Trace:
    """Call the target and record what it returns; see `target_run`."""
    return target_run(source, settings, **options)[0]


def target_loss(
    source: str,
    settings: Mapping[str, Any] | None = None,
    *,
    loss: str = "sum",
    layer: str | None = None,
    call_number: int | None = None,
    pairs: bool = True,
) -> Tensor:
    """Call the target for a loss on a tape, which can be checked and walked more than once.

    Of a PyTorch pair it is the recurrence walked again, up to a scalar with the gradients of the run, which is not the
    loss itself; without `pairs` there is none.

    Raises:
        InputError: see `target_trace`; or it returned a Trace, which holds no tape.
        TargetError: an exception left the user's code.
    """
    returned = call(source, settings or {})
    if not _is_torch_pair(returned):
        _refuse_choice(source, layer, call_number)
    if isinstance(returned, Tensor):
        return returned
    if _is_torch_pair(returned):
        if not pairs:
            raise InputError(
                f"{source} returned a PyTorch pair, whose loss cannot be computed again with less of the past: "
                "return a loss of rnngraph, or give a checkpoint with --weights and --data."
            )
        from rnngraph.sources.torch.pair import pair_loss

        with shielded(source):
            return pair_loss(returned[0], returned[1], loss=loss, layer=layer, call=call_number)
    raise InputError(
        f"{source} returned {_described(returned)}; this command needs a loss (a Tensor of rnngraph) or a PyTorch pair "
        "(module, batch)."
    )


def _refuse_choice(source: str, layer: str | None, call_number: int | None) -> None:
    for name, value in (("--layer", layer), ("--call", call_number)):
        if value is not None:
            raise InputError(f"{name} means nothing here, because {source} returned no PyTorch pair: leave it out.")


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
            raise InputError(f"{source} needs a value for {one.name}; give it with --set {one.name}=VALUE.")


def _is_torch_pair(returned: Any) -> bool:
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
