"""Parameters, and the module that owns them: names, state dicts, checks of what is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.nn.checks import check_numbers, check_sizes


class Parameter:
    """A named array that is learned. Update it in place or assign a new `value`; tapes hold what was there before."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Array) -> None:
        """Hold `value` under `name`; an array is not copied.

        Raises:
            InputError: a name that is no text, or an empty or ragged array.
            DtypeError: text, complex numbers or objects.
        """
        if not isinstance(name, str):
            raise InputError(f"a parameter is named {name!r}; name it after its layer, such as 'cell.Wh'.")
        self.name = name
        self.value = checked_array(value, f"the parameter {name}", finite=False)

    def __repr__(self) -> str:
        """Show the name and the shape."""
        return f"Parameter({self.name!r}, shape={self.value.shape})"


class Module:
    """A layer with a name and parameters; a parameter's full name is `layer.parameter`."""

    def __init__(self, name: str, *, seed: int = 0, dtype: DTypeLike = np.float64, **sizes: int) -> None:
        """Start without parameters; sizes, dtype and seed are what a layer is made from, and are checked here.

        Raises:
            InputError: a size below 1, or a seed below 0.
            DtypeError: a dtype other than float32 and float64.
        """
        check_sizes(**sizes)
        check_numbers(dtype, seed)
        self.name = name
        self._parameters: dict[str, Parameter] = {}

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the weights, as they are now."""
        return next(self.parameters()).value.dtype

    def take(self, given: object, what: str = "array") -> Tensor:
        """Take what the layer is called with.

        Raises:
            InputError: something that was not recorded.
        """
        if not isinstance(given, Tensor):
            raise InputError(f"{self.name} got a {type(given).__name__}; record the {what} first: tape.input({what}).")
        return given

    def add_parameter(self, name: str, value: Array) -> Parameter:
        """Own a new parameter."""
        parameter = Parameter(f"{self.name}.{name}", value)
        self._parameters[name] = parameter
        return parameter

    def parameter(self, name: str) -> Parameter:
        """Give the parameter of this short name (`Wx`, `Wh_l1`).

        Raises:
            InputError: there is none.
        """
        if name not in self._parameters:
            raise InputError(f"{self.name} has no parameter {name!r}; it has {', '.join(self._parameters)}.")
        return self._parameters[name]

    def parameters(self) -> Iterator[Parameter]:
        """Give every parameter, in the order of creation."""
        yield from self._parameters.values()

    def state_dict(self) -> dict[str, Array]:
        """Copy the parameters' values, keyed by short name."""
        return {name: parameter.value.copy() for name, parameter in self._parameters.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take values by short name; nothing is changed where anything does not fit.

        Raises:
            InputError: a name is missing or unknown, or a shape differs.
            DtypeError: an array holds no real numbers.
        """
        if not isinstance(state, Mapping):
            raise InputError(
                f"{self.name} got a {type(state).__name__}; pass arrays by name, as state_dict() gives them."
            )
        missing = sorted(self._parameters.keys() - state.keys())
        unknown = sorted(state.keys() - self._parameters.keys(), key=str)
        if missing or unknown:
            raise InputError(f"{self.name} lacks {missing or 'nothing'} and does not know {unknown or 'nothing'}.")
        # A network that has diverged can be loaded, so that one can look at it: NaN is let in.
        taken = {name: checked_array(state[name], name, finite=False) for name in self._parameters}
        for name, parameter in self._parameters.items():
            if taken[name].shape != parameter.value.shape:
                raise InputError(
                    f"{parameter.name} has shape {parameter.value.shape}; the state holds {taken[name].shape}."
                )
        for name, parameter in self._parameters.items():
            parameter.value = np.array(taken[name], dtype=parameter.value.dtype)
