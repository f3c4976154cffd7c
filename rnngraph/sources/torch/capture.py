"""Hooks on a PyTorch model: what its recurrent layers were given, what they returned, and which gradient came back.

In: a model. Out: `Call`s in the order in which they were made, and the gradients of the weights. No hook
returns anything, so the run is not changed; `detach` takes every hook off again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rnngraph.sources.torch.call import FUSED, Call, Layout
from rnngraph.sources.torch.dropout import draw_masks, is_dropping
from rnngraph.sources.torch.hooks import (
    UNDER_FUNC,
    ModuleHook,
    adder,
    autocast_dtype,
    import_torch,
    is_compiled,
    is_transformed,
    kept,
    unwrapped,
)
from rnngraph.sources.torch.lineage import Lineage
from rnngraph.sources.torch.passes import counting, current_pass, pass_noter

CELLS = {"LSTMCell": "lstm", "GRUCell": "gru", "RNNCell": "tanh"}


def recurrent_modules(model: Any) -> Iterator[tuple[str, Any, str]]:
    """Give path, module and cell of every recurrent layer and cell that the model holds."""
    nn = import_torch().nn
    for path, module in model.named_modules():
        base = next((name for name in CELLS if isinstance(module, getattr(nn, name))), None)
        if isinstance(module, nn.RNN | nn.LSTM | nn.GRU):
            yield path or type(module).__name__.lower(), module, FUSED[module.mode]
        elif base is not None:
            cell = "relu" if getattr(module, "nonlinearity", "tanh") == "relu" else CELLS[base]
            yield path or type(module).__name__.lower(), module, cell


def is_cell(module: Any) -> bool:
    """Tell a cell, which is called once a step, from a layer."""
    return isinstance(module, import_torch().nn.RNNCellBase)


class Recorder:
    """The hooks of one watch, and what they saw."""

    def __init__(self, model: Any, only: str | None = None) -> None:
        """Prepare to watch every recurrent layer and cell of `model`, or the one at the path `only`."""
        self.model = unwrapped(model)
        self.compiled = is_compiled(model)
        self.modules = [found for found in recurrent_modules(self.model) if only in (None, found[0])]
        self.calls: list[Call] = []
        self.weight_grads: dict[str, dict[str, Any]] = {path: {} for path, _, _ in self.modules}
        self.hooked: dict[str, set[str]] = {path: set() for path, _, _ in self.modules}  # weights with the user's hooks
        self._passes: set[int] = set()  # the backward passes that reached any parameter
        self._reached: dict[str, set[int]] = {path: set() for path, _, _ in self.modules}
        self._handles: list[Any] = []
        self._lineage = Lineage(self._handles.append)
        self.failure = ""  # why a call is missing from `calls`
        self._generator: Any = None  # the state of the CPU's generator before the call under way
        self._weights: dict[str, tuple[Any, dict[str, Any]]] = {}

    def attach(self) -> None:
        """Put the hooks on."""
        for path, module, cell in self.modules:
            self._handles.extend(self._watch_calls(path, module, cell))
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    if parameter._backward_hooks:
                        self.hooked[path].add(name)
                    for hook in (adder(self.weight_grads[path], name), pass_noter(self._reached[path])):
                        self._handles.append(parameter.register_hook(hook))
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                self._handles.append(parameter.register_hook(pass_noter(self._passes)))

    def detach(self) -> None:
        """Take every hook off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def settle(self) -> None:
        """Give every call its gradients, of the backward passes that count."""
        for path, _, _ in self.modules:
            own = [call for call in self.calls if call.module == path]
            passes = counting([call.arrivals for call in own], self._reached[path] or self._passes)
            for call in own:
                # A segment that torch.utils.checkpoint runs again has a pass of its own within the one that counts.
                nested = call.recomputed and not self._reached[path]
                counted = set() if nested else passes
                call.grads = call.arrivals.counted(counted)
                call.left_out = bool(counted) and not call.arrivals.seen <= counted
                call.several = not counted and len(call.arrivals.seen) > 1

    def _watch_calls(self, path: str, module: Any, cell: str) -> Iterator[Any]:
        torch = import_torch()

        def before(module: Any, arguments: Any) -> None:
            self._generator = torch.get_rng_state() if is_dropping(module) else None

        def after(module: Any, arguments: tuple[Any, ...], options: dict[str, Any], result: Any) -> None:
            if is_transformed():
                self.failure = f"a call of {path} {UNDER_FUNC}"
                return
            try:
                self._take(path, module, cell, _inputs(arguments, options), result)
            except Exception as error:  # a run must never fail because it is watched
                self.failure = f"a call of {path} could not be watched: {type(error).__name__}: {error}"

        hooks = ModuleHook(module, before), ModuleHook(module, after)
        if not is_cell(module):
            yield module.register_forward_pre_hook(hooks[0])
        yield module.register_forward_hook(hooks[1], with_kwargs=True)
        yield from hooks

    def _take(self, path: str, module: Any, cell: str, inputs: tuple[Any, Any], result: Any) -> None:
        torch = import_torch()
        given, state = inputs
        packed = isinstance(given, torch.nn.utils.rnn.PackedSequence)
        single = is_cell(module)
        x: Any = given.data if packed else given
        layout = Layout(
            single, getattr(module, "batch_first", False), packed or x.dim() == (2 if single else 3),
            tuple(given.batch_sizes.tolist()) if packed else (), _order(given) if packed else (),
        )  # fmt: skip
        returned, final = _returned(module, result, single=single)
        output = returned.data if packed and returned is not None else returned
        if not final and output.shape != (*x.shape[:-1], _width(module)):
            raise TypeError(f"its forward returned a tensor of shape {tuple(output.shape)} and no state")
        live: dict[str, Any] = {"output": output, **final}
        initial = _states(state)
        self._lineage.settle()
        with torch.no_grad():
            call = Call(
                path, cell, self._weights_of(path, module), kept(x), {key: kept(one) for key, one in initial.items()},
                {key: kept(one) for key, one in final.items()}, None if single else kept(output), layout,
                autocast=autocast_dtype(x.device.type),
                gradient=any(one is not None and one.requires_grad for one in live.values()),
                index=len(self.calls), recomputed=current_pass() != -1,
                fed_by=self._lineage.calls(x), x_passage=self._lineage.passage(x),
            )  # fmt: skip
        call.recording = torch.is_grad_enabled()
        for key, one in initial.items():
            call.begun_by |= self._lineage.calls(one)
            passage = self._lineage.passage(one)
            if passage is not None:
                call.passages[key] = passage
        self._lineage.mark(call.index, live)
        # One function node for both states hands back what came from outside; single operations mix in the
        # way over h.
        call.c_within = single and cell == "lstm" and live["h"].grad_fn is not live["c"].grad_fn
        if is_dropping(module):
            call.dropping = True
            if call.output.device.type == "cpu":
                call.dropout = draw_masks(module, call.output, self._generator)
        for key, tensor in live.items():
            if tensor is not None and tensor.requires_grad:
                call.arrivals.watch(key, tensor, self._handles.append)
        self.calls.append(call)

    def _weights_of(self, path: str, module: Any) -> dict[str, Any]:
        """Clone the weights, once as long as they do not change."""
        current = _live_weights(module)
        stamp = tuple((value.data_ptr(), value._version) for value in current.values())
        known = self._weights.get(path)
        if known is None or known[0] != stamp:
            # Weights that are made anew at every call, by weight normalisation or pruning, are equal all the same.
            same = known is not None and _equal(known[1], current)
            clones = known[1] if known is not None and same else {name: kept(one) for name, one in current.items()}
            known = self._weights[path] = stamp, clones
        return known[1]


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    torch = import_torch()
    return one.keys() == other.keys() and all(
        value.dtype == other[name].dtype and torch.equal(value, other[name]) for name, value in one.items()
    )


def _live_weights(module: Any) -> dict[str, Any]:
    # A layer computes with its flat list, whatever weight normalisation or pruning made of the parameters.
    if hasattr(module, "_flat_weights"):
        return dict(zip(module._flat_weights_names, module._flat_weights, strict=True))
    # Reading a parametrized weight computes it; spectral normalisation would take another step in train mode.
    rules = [one for one in getattr(module, "parametrizations", {}).values() for one in one.modules() if one.training]
    for rule in rules:
        rule.training = False
    try:
        weights = {name: getattr(module, name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    finally:
        for rule in rules:
            rule.training = True
    return {name: value for name, value in weights.items() if value is not None}


def _returned(module: Any, result: Any, *, single: bool) -> tuple[Any, dict[str, Any]]:
    """Take what a module returned apart: the output of a layer, and the final states."""
    torch = import_torch()
    pair = isinstance(result, tuple | list) and not hasattr(result, "batch_sizes")
    final = _states(result if single else result[1]) if single or (pair and len(result) == 2) else {}
    wanted = "hc" if isinstance(module, torch.nn.LSTM | torch.nn.LSTMCell) else "h"
    output = None if single else result[0] if final else result
    tensors = [*final.values(), *([] if single else [output])]
    if (final and "".join(final) != wanted) or not all(hasattr(one, "data") for one in tensors):
        raise TypeError(f"its forward returned {type(result).__name__}, not what {_base(module)} returns")
    return output, final


def _width(module: Any) -> int:
    return int((getattr(module, "proj_size", 0) or module.hidden_size) * (2 if module.bidirectional else 1))


def _base(module: Any) -> str:
    return next(one.__name__ for one in type(module).__mro__ if one.__module__ == "torch.nn.modules.rnn")


def _inputs(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Any, Any]:
    given = arguments[0] if arguments else options["input"]
    return given, arguments[1] if len(arguments) > 1 else options.get("hx")


def _states(state: Any) -> dict[str, Any]:
    if state is None:
        return {}
    return dict(zip("hc", state, strict=False)) if isinstance(state, tuple | list) else {"h": state}


def _order(packed: Any) -> tuple[int, ...]:
    if packed.sorted_indices is None:
        return tuple(range(int(packed.batch_sizes[0])))
    return tuple(packed.sorted_indices.tolist())
