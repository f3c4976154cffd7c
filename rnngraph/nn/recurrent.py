"""RNN, LSTM and GRU: layers × directions × timesteps of a cell, recorded on the tape of their input.

A timestep is the position in the input in both directions; the reverse direction walks from the last to the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT
from rnngraph.autodiff.recurrence import FORWARD, REVERSE, suffix
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor, concatenate
from rnngraph.errors import DtypeError, InputError, TapeError
from rnngraph.nearest import check_known
from rnngraph.nn.cells import CELLS, OFFERED, Cell
from rnngraph.nn.checks import booleans
from rnngraph.nn.parameter import Module
from rnngraph.nn.unroll import Layer, unroll
from rnngraph.nn.weights import Scheme, initial_weights


class Recurrent(Module):
    """A recurrent layer of any cell. Weights are (in, gates * hidden), one set a layer and direction."""

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        init: str = "uniform",
        gain: float = 1.0,
        forget_bias: float | None = None,
        horizon: int | None = None,
        seed: int = 0,
        dtype: DTypeLike = np.float64,
        name: str | None = None,
        truncate: int | None = None,
        detail: str = "step",
    ) -> None:
        """Initialise the weights; see `RNN`, `LSTM` and `GRU` for the arguments. A cell of your own is given itself.

        Raises:
            InputError: a name that no cell has, or a size or an option that cannot be.
        """
        if not isinstance(cell, Cell):
            check_known([cell], CELLS, "the cell {} is unknown; give one of your own, or choose")
        self.cell = cell if isinstance(cell, Cell) else CELLS[cell]
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        sizes |= {} if truncate is None else {"truncate": truncate}
        super().__init__(name or self.cell.facts.name, seed=seed, dtype=dtype, **sizes)
        if detail not in ("step", "op"):
            raise InputError(f"detail is {detail!r}; choose 'step' (fused) or 'op' (primitive operations).")
        scheme = Scheme(init, gain, forget_bias, horizon)
        scheme.check(self.cell)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = (FORWARD, REVERSE) if bidirectional else (FORWARD,)
        self.truncate, self.detail = truncate, detail
        generator = np.random.default_rng(seed)
        for layer in range(num_layers):
            for direction in self.directions:
                width = input_size if layer == 0 else hidden_size * len(self.directions)
                weights = initial_weights(self.cell, scheme, width=width, hidden=hidden_size, generator=generator)
                for key, value in weights.items():
                    self.add_parameter(key + suffix(layer, direction), value.astype(dtype))

    def __call__(
        self,
        x: Tensor,
        h0: Tensor | Array | None = None,
        c0: Tensor | Array | None = None,
        *,
        mask: Any = None,
    ) -> Tensor:
        """Record the layer on the tape of `x`.

        Args:
            x: (N, T, input_size).
            h0: the initial hidden state, zero by default: (N, H), or (layers * directions, N, H) in PyTorch's order.
            c0: an LSTM's initial cell state, likewise.
            mask: (N, T) booleans; where it is False the state is copied from the step before.

        Returns:
            The hidden states of the last layer, (N, T, H * directions).

        Raises:
            InputError: a shape that does not fit.
            DtypeError: `x` of another dtype than the weights.
            TapeError: an initial state of another tape.
        """
        batch, time = self._check(self.take(x))
        if c0 is not None and "c" not in self.cell.facts.kinds:
            raise InputError(
                f"c0 was given but a {self.cell.facts.title} layer has no cell state; only an LSTM has one."
            )
        keep = None if mask is None else self._mask(mask, batch, time)
        given = {"h": h0, "c": c0}
        starts = {kind: self._initial(x.tape, given.get(kind), kind + "0", batch) for kind in self.cell.facts.kinds}
        cuts = () if self.truncate is None else range(self.truncate, time, self.truncate)
        stem = x.tape.layer_name(self.name)
        for layer in range(self.num_layers):
            outputs = []
            for number, direction in enumerate(self.directions):
                index, ending = layer * len(self.directions) + number, suffix(layer, direction)
                weights = {key: x.tape.parameter(self.parameter(key + ending)) for key in self.cell.names}
                initial = {kind: found[index] for kind, found in starts.items()}
                one = Layer(stem, self.cell, weights, initial, layer, direction, keep, cuts, self.detail)
                outputs.append(unroll(one, x).output)
            x = outputs[0] if len(outputs) == 1 else concatenate(outputs, axis=-1)
        return x

    def _check(self, x: Tensor) -> tuple[int, int]:
        value = x.value
        if value.ndim != 3 or value.shape[-1] != self.input_size:
            raise InputError(f"{self.name} got an input of shape {x.shape}; it takes (N, T, {self.input_size}).")
        if value.dtype != self.dtype:
            raise DtypeError(
                f"{self.name} has {self.dtype} weights and got a {x.dtype} input; convert the input, "
                f"or make the layer with dtype={x.dtype}."
            )
        return value.shape[0], value.shape[1]

    def _mask(self, mask: Any, batch: int, time: int) -> Array:
        keep = booleans(mask, self.name)
        if keep.shape != (batch, time):
            raise InputError(f"{self.name} got a mask of shape {keep.shape}; the input needs {(batch, time)}.")
        return keep

    def _initial(self, tape: Tape, state: Tensor | Array | None, label: str, batch: int) -> list[Tensor]:
        count = self.num_layers * len(self.directions)
        shape, dtype = (batch, self.hidden_size), self.dtype
        if state is None:
            return [initial_state(tape, shape, dtype) for _ in range(count)]
        if not isinstance(state, Tensor):
            state = tape.input(checked_array(state, label).astype(dtype, copy=False), label)
        tensor = state
        if tensor.tape is not tape:
            raise TapeError(f"{label} is a tensor of another tape than the input; record both with the same Tape.")
        if tensor.dtype != dtype:
            raise DtypeError(f"{label} has dtype {tensor.dtype} and {self.name} has {dtype} weights; convert it.")
        if tensor.shape == shape and count == 1:
            return [tensor]
        if tensor.shape != (count, *shape):
            wanted = f"{shape}" if count == 1 else f"{(count, *shape)}"
            raise InputError(f"{label} has shape {tensor.shape}; {self.name} needs {wanted}.")
        return [tensor[index] for index in range(count)]


def initial_state(tape: Tape, shape: tuple[int, ...], dtype: DTypeLike) -> Tensor:
    """Record a zero initial state, which is no input of the user's.

    It is differentiated although it is constant: what reaches it is the gradient before the first step.
    """
    return tape.tensor(tape.append(CONSTANT, (), np.zeros(shape, dtype), requires=True))


class RNN(Recurrent):
    """A vanilla RNN, `h_t = φ(x_t Wx + h_{t-1} Wh + b)` with φ = tanh or ReLU."""

    def __init__(self, input_size: int, hidden_size: int, *, nonlinearity: str = "tanh", **options: Any) -> None:
        """Initialise the layer.

        Args:
            input_size: D.
            hidden_size: H.
            nonlinearity: `tanh` or `relu`.
            options: `num_layers`, `bidirectional`, `init` (one of `init.INITS`), `gain` (a factor on the recurrent
                weight), `seed`, `dtype`, `name`, `truncate` (steps after which truncated BPTT cuts the recurrence),
                `detail` (`step` records a step as one node, `op` as its primitive operations).

        Raises:
            InputError: an option that cannot be used.
        """
        plain = [name for name in OFFERED if not CELLS[name].facts.gates]
        if nonlinearity not in plain:
            raise InputError(f"nonlinearity is {nonlinearity!r}; choose {' or '.join(map(repr, plain))}.")
        super().__init__(nonlinearity, input_size, hidden_size, **{"name": "rnn"} | options)


class LSTM(Recurrent):
    """An LSTM; gates in the column order i, f, o, g, and no peepholes."""

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        """Initialise the layer; options are those of `RNN`, and `forget_bias` (a number) and `horizon` (for chrono)."""
        super().__init__("lstm", input_size, hidden_size, **options)


class GRU(Recurrent):
    """A GRU; gates in the column order r, z, n, the reset gate applied after the hidden product (as cuDNN does)."""

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        """Initialise the layer; options are those of `RNN`, and `horizon` (for chrono)."""
        super().__init__("gru", input_size, hidden_size, **options)
