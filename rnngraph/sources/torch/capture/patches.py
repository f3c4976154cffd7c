"""What is put around PyTorch's functions while a model is watched, and taken off again.

In: a log of calls and one of backward passes. Out: nothing; what the run computes is not changed, and a failure of
ours is noted instead of raised. Classes are patched, and modules only where they have a forward of their own, so that
copies and saved files of modules stay as they are. Several watches may be on at once, and each may end before or after
the others.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.utils.checkpoint
from torch import nn

from rnngraph.sources.torch.autograd.edges import in_backward, tensors_in
from rnngraph.sources.torch.capture.backward_passes import BackwardPasses
from rnngraph.sources.torch.capture.module_calls import CallLog

Wrap: TypeAlias = Callable[[Any], Any]

_OWN: dict[tuple[Any, str], tuple[bool, Any]] = {}  # what stood there before anybody came, or in a base
_AROUND: dict[tuple[Any, str], list[Wrap]] = {}
_eager = contextlib.ExitStack()
_eager_for: list[contextlib.ExitStack] = []


def put_around(undo: contextlib.ExitStack, owner: Any, name: str, wrap: Wrap) -> None:
    """Put `wrap(what stands there)` in the place of an attribute."""
    place = owner, name
    _OWN.setdefault(place, (name in vars(owner), vars(owner).get(name, getattr(owner, name))))
    _AROUND.setdefault(place, []).append(wrap)
    undo.callback(_take_off, place, wrap)
    _renew(place)


def _take_off(place: tuple[Any, str], wrap: Wrap) -> None:
    _AROUND[place].remove(wrap)
    _renew(place)


def _renew(place: tuple[Any, str]) -> None:
    stood_there, found = _OWN[place]
    for wrap in _AROUND[place]:
        found = wrap(found)
    setattr(*place, found)
    if not _AROUND[place]:
        if not stood_there:  # but in a base
            delattr(*place)
        del _AROUND[place], _OWN[place]


def run_eagerly(undo: contextlib.ExitStack) -> None:
    """Let nothing run compiled, as long as anybody asks for that."""
    if not _eager_for:
        _eager.enter_context(torch.compiler.set_stance("force_eager"))
    _eager_for.append(undo)
    undo.callback(_run_as_before, undo)


def _run_as_before(undo: contextlib.ExitStack) -> None:
    _eager_for.remove(undo)
    if not _eager_for:
        _eager.close()


def put_all(undo: contextlib.ExitStack, model: Any, passes: BackwardPasses) -> None:
    """Put everything on; `undo` takes it off."""
    put = functools.partial(put_around, undo)
    for owner in _classes(model):
        put(owner, "forward", functools.partial(_seen, owner, passes=passes))
    for module in model.modules():
        if "forward" in vars(module) and not isinstance(module, torch.jit.ScriptModule):  # set on the object
            put(module, "forward", functools.partial(_seen_of, module, passes=passes))
    for name in ("backward", "grad"):
        put(torch.autograd, name, functools.partial(_kept, passes=passes))
    put(torch.utils.checkpoint, "CheckpointFunction", _in_the_graph)
    hooks = passes.hooks
    noted: list[tuple[Any, str, Callable[..., None]]] = [  # what is told of a call: its result, and what was given
        # The loss itself is what it was before it was scaled for narrow numbers.
        (torch.amp.GradScaler, "scale", lambda found, one, *_: passes.note_scale(found, getattr(one, "_scale", None))),
        (torch.Tensor, "register_hook", lambda _, tensor, *rest: hooks.see(tensor)),
        (torch.Tensor, "retain_grad", lambda _, tensor: hooks.see(tensor)),
        (torch.autograd.function._HookMixin, "_register_hook", lambda found, *_: hooks.see_kept(found[0])),
        (torch.utils.hooks.BackwardHook, "__init__", lambda _, call, *rest: hooks.modules.add(call)),
    ]
    for owner, name, note in noted:
        put(owner, name, functools.partial(_noted, note=note, log=passes.log))
    put(torch, "compile", functools.partial(_eager_but_its_own, undo=undo, log=passes.log))
    if "torch._dynamo" in sys.modules:
        # A compiled graph has no states to ask for. Where nothing was compiled, dynamo is not even imported.
        run_eagerly(undo)


def _eager_but_its_own(own: Any, undo: contextlib.ExitStack, log: CallLog) -> Any:
    """Let what is compiled while watched run eagerly as well; but what PyTorch compiles to run a branch or a loop.

    `torch.cond` and scans find the weights in a function that way, and without it these have no gradient.
    """

    @functools.wraps(own)
    def compiled(model: Any = None, **options: Any) -> Any:
        found = own(model, **options)
        if isinstance(model, types.FunctionType) and model.__module__.startswith("torch."):
            return torch.compiler.set_stance("default")(found)
        if undo not in _eager_for and (torch, "compile") in _AROUND:
            _tried(log, lambda: run_eagerly(undo))
        return found

    return compiled


def _in_the_graph(own: Any) -> Any:
    """Let the other kind of checkpoint run what a reentrant one would hide from the graph; the numbers are the same."""

    def apply(run: Any, keep: bool, *args: Any) -> Any:
        if not any(isinstance(one, torch.Tensor) and one.requires_grad for one in args):
            return own.apply(run, keep, *args)  # of such the reentrant one has no gradient, and warns
        with torch.utils.checkpoint.set_checkpoint_early_stop(False):
            return torch.utils.checkpoint.checkpoint(
                run, *args, use_reentrant=False, preserve_rng_state=keep, determinism_check="none"
            )

    return types.SimpleNamespace(apply=apply)


def _classes(model: Any) -> list[type]:
    kinds = {kind for module in model.modules() for kind in type(module).__mro__ if "forward" in vars(kind)}
    return sorted(
        (k for k in kinds - {nn.Module} if not issubclass(k, torch.jit.ScriptModule)), key=lambda k: k.__name__
    )


def _seen(owner: type, own: Any, passes: BackwardPasses) -> Any:
    log = passes.log

    @functools.wraps(own)
    def forward(module: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.jit.is_tracing() or torch.compiler.is_compiling():  # what records the calls of a run may run it again
            return own(module, *args, **kwargs)
        if log.outermost:
            _tried(log, passes.forward_begins)
        call = _tried(log, lambda: log.begin(module, owner, args, kwargs))
        if call is None:
            return own(module, *args, **kwargs)
        try:
            result = own(module, *args, **kwargs)
        finally:
            log.leave(call)
        _tried(log, lambda: log.finish(call, args, kwargs, result))
        return result

    return forward


def _seen_of(module: Any, own: Any, passes: BackwardPasses) -> Any:
    """Wrap a forward that knows its module."""
    return functools.partial(_seen(type(module), lambda _, *args, **kwargs: own(*args, **kwargs), passes), module)


def _kept(own: Any, passes: BackwardPasses) -> Any:
    """Wrap a function that walks back: the graph is kept, and what was walked is noted."""
    names, log = [*inspect.signature(own).parameters], passes.log
    asks = "outputs" in names

    @functools.wraps(own)
    def backward(*args: Any, **kwargs: Any) -> Any:
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        if in_backward() or passes.under_way or not passes.trains(named.get("inputs"), asks):
            return own(*args, **kwargs)
        if asks and _goes_on(named):
            return own(**{**named, "retain_graph": True})
        roots, seeds = ("outputs", "grad_outputs") if asks else ("tensors", "grad_tensors")
        passes.under_way = True
        _tried(log, lambda: passes.begin(named[roots]))
        try:
            found = own(**{**named, "retain_graph": True})
        finally:
            passes.under_way = False
            _tried(log, passes.end)
        _tried(
            log,
            lambda: passes.note(
                named[roots], named.get(seeds), freed=not (named.get("retain_graph") or named.get("create_graph"))
            ),
        )
        if passes.after is not None:
            _tried(log, passes.after)
        return found

    return backward


def _goes_on(named: dict[str, Any]) -> bool:
    """Whether a gradient is a part of something, as of a penalty or a curvature: no loss has many numbers."""
    return bool(named.get("create_graph")) or any(one.numel() != 1 for one in tensors_in(named.get("outputs")))


def _noted(own: Any, note: Callable[..., None], log: CallLog) -> Any:
    """Wrap a function, and tell what it did."""

    def call(*args: Any, **kwargs: Any) -> Any:
        found = own(*args, **kwargs)
        _tried(log, lambda: note(found, *args))
        return found

    return staticmethod(call) if isinstance(own, staticmethod) else functools.wraps(own)(call)


def _tried(log: CallLog, do: Callable[[], Any]) -> Any:
    try:
        return do()
    except Exception as error:  # the run goes on as if it were not watched
        log.failure = log.failure or f"{type(error).__name__}: {error}"
        return None
