"""The first number that is not finite, in any code: operation, line, module, step and sample.

In: a function that runs a model, forward and backward. Out: what was found on either way. Every operation of
PyTorch's is looked at as it is dispatched; the line of one of the backward pass is that of the operation that it
walks back.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import in_backward, number_now, number_of, tensors_in
from rnngraph.sources.torch.capture.module_calls import FUSED

_OWN = str(Path(__file__).resolve().parents[2])
_FOREIGN = (str(Path(torch.__file__).resolve().parent), _OWN, sysconfig.get_paths()["stdlib"], "<frozen")


@dataclass(frozen=True, slots=True)
class NonFinite:
    """The first operation out of which something not finite came, although all that went in was finite.

    Where there is none, as the data hold NaN already, it is the first that hands NaN on: `given` says so.
    """

    op: str
    file: str  # of the user's code; empty where no line of theirs led here
    line: int
    module: str  # the path of the innermost module that was under way; empty outside any
    timestep: int | None  # the position in time, where the operation belongs to a recurrence
    sample: int | None  # the first that is not finite
    inputs: tuple[Any, ...]  # copies of what went in
    given: bool = False  # whether that was not finite already

    def __repr__(self) -> str:
        """Say it in one line."""
        where = f"{self.file}:{self.line}" if self.file else "no line of yours"
        place = [f"in {self.module}"] if self.module else []
        place += [f"step {self.timestep}"] if self.timestep is not None else []
        place += [f"sample {self.sample}"] if self.sample is not None else []
        given = ", which was given NaN or infinity already" if self.given else ""
        return f"{self.op} at {where}" + (f" ({', '.join(place)})" if place else "") + given


@dataclass(frozen=True, slots=True)
class FirstNonFinite:
    """What was found; None on a way on which all is finite."""

    forward: NonFinite | None
    backward: NonFinite | None

    def __repr__(self) -> str:
        """Say both in words."""
        return f"forward: {self.forward or 'all finite'}\nbackward: {self.backward or 'all finite'}"


def first_nonfinite(function: Callable[[], Any], model: Any = None) -> FirstNonFinite:
    """Run a function and find the first operation that makes NaN or infinity of finite numbers.

    Args:
        function: runs the model, and its backward pass; it is called once, with no arguments.
        model: gives the paths of modules; without it a module is called by its type.

    Raises:
        InputError: what was passed is not callable.
    """
    if not callable(function):
        raise InputError(
            f"first_nonfinite got a {type(function).__name__}; pass a function that runs forward and backward."
        )
    with _Looking(model) as looking:
        function()
    return FirstNonFinite(looking.told(backward=False), looking.told(backward=True))


# Modules under way, outermost first, and how often each was called before.
_Chain: TypeAlias = tuple[tuple[Any, int], ...]
_Place: TypeAlias = tuple[str, int, _Chain]  # file, line, modules


class _Looking(TorchDispatchMode):  # type: ignore[misc]
    """Looks at what every operation gives, and at which modules are under way."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model
        self._names = {} if model is None else {id(module): path for path, module in model.named_modules()}
        self._stack: list[tuple[Any, int]] = []
        self._inside: dict[int, int] = {}  # calls since the outermost began
        self._outermost: dict[int, int] = {}
        self._most: dict[int, int] = {}
        self._handles: list[Any] = []
        self._places: dict[int, _Place] = {}  # by sequence number: where a node was made
        self._found: dict[tuple[bool, bool], tuple[NonFinite, _Chain]] = {}  # by whether on the way back, and given

    def __enter__(self) -> Any:
        module = torch.nn.modules.module
        self._handles = [
            module.register_module_forward_pre_hook(self._begin),
            module.register_module_forward_hook(self._end, always_call=True),
        ]
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for handle in self._handles:
            handle.remove()

    def _begin(self, module: Any, args: Any) -> None:
        if not self._stack:
            self._inside.clear()
        counts = self._inside if self._stack else self._outermost
        count = counts[id(module)] = counts.get(id(module), -1) + 1
        self._most[id(module)] = max(count, self._most.get(id(module), 0))
        self._stack.append((module, count))

    def _end(self, module: Any, args: Any, result: Any) -> None:
        while self._stack and self._stack.pop()[0] is not module:
            pass

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        backward = in_backward()
        wanted = (backward, False) not in self._found
        given = [one.detach() for one in tensors_in((args, kwargs))] if wanted else []
        if wanted and func._schema.is_mutable:
            given = [one.clone() for one in given]
        result = func(*args, **(kwargs or {}))
        if not backward:
            self._places[number_now()] = (*_line(sys._getframe(1)), tuple(self._stack))
        broken = next((one for one in tensors_in(result) if not _finite(one)), None) if wanted else None
        if broken is not None and not _only_writes(func, given):
            bad = not all(map(_finite, given))
            if (backward, bad) not in self._found and (not bad or broken.isnan().any()):  # infinity is a mask's as well
                file, line, chain = self._walked_back() if backward else self._places[number_now()]
                name, module = str(func).removeprefix("aten.").rpartition(".")[0], chain[-1][0] if chain else None
                path = self._names.get(id(module), type(module).__name__) if chain else ""
                inputs = tuple(one.clone() for one in given)
                at = _position(broken, module, backward)
                self._found[backward, bad] = NonFinite(name, file, line, path, *at, inputs, bad), chain
        return result

    def _walked_back(self) -> _Place:
        node = torch._C._current_autograd_node()
        number = -1 if node is None else number_of(node)
        known = [one for one in self._places if one <= number]
        return self._places[max(known)] if known else ("", 0, ())

    def told(self, *, backward: bool) -> NonFinite | None:
        """Give what was found on one of the ways, with the step, of which one can tell only now.

        It is the number of the call of the innermost module that was called again; the model's calls are none.
        """
        ways = [self._found[backward, given] for given in (False, True) if (backward, given) in self._found]
        found, chain = ways[0] if ways else (None, ())
        if found is None or found.timestep is not None:
            return found
        own = (one for one in reversed(chain) if one[0] is not self._model)
        return replace(found, timestep=next((count for module, count in own if self._most[id(module)] > 0), None))


def _position(broken: Any, module: Any, backward: bool) -> tuple[int | None, int | None]:
    """Give timestep and sample: of a fused layer's output the time axis is known; else samples come first."""
    at = torch.nonzero(~broken.isfinite())[0].tolist() if broken.dim() else []
    if not backward and isinstance(module, FUSED) and broken.dim() == 3:
        return at[0], at[1]
    return None, at[0] if broken.dim() > 1 else None


def _only_writes(func: Any, given: list[Any]) -> bool:
    """Tell memory that is handed out or pointed at, and infinities that are written on purpose, as for a mask."""
    name = str(func)
    return not given or ".empty" in name or "fill" in name or "new_" in name or "aten.set_." in name


def _finite(tensor: Any) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())


def _line(frame: FrameType | None) -> tuple[str, int]:
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_FOREIGN):
            return name, frame.f_lineno
        frame = frame.f_back
    return "", 0
