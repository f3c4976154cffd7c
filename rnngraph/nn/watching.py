"""Calls of the functional interface, joined into one tape: `with watch() as watching: model.loss(...)`.

In: the calls of a model, and what its code does to their results. Out: one loss, on one tape. Every call is still made
as it always is, with a cache of its own for its backward; beside it, the same is recorded on the tape that all share.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.nn import losses
from rnngraph.nn.affine import LINEAR
from rnngraph.nn.cells import Cell
from rnngraph.nn.cells.lstm import Lstm
from rnngraph.nn.cells.tanh_relu import Tanh
from rnngraph.nn.layers import EMBEDDING
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.unroll import Layer, unroll
from rnngraph.numpy.finding.placing import find_recurrences
from rnngraph.numpy.tape import ArrayTape
from rnngraph.numpy.values import Handle, recorded_in, value_of

Function = TypeVar("Function", bound=Callable[..., Any])
WEIGHTS = ("Wx", "Wh", "b", "W", "w")


class Watch:
    """The tape of a block of calls, and its loss: that of the last call of a loss, unless another one is chosen."""

    def __init__(self) -> None:
        """Start with nothing recorded."""
        self.tape = ArrayTape(model="functional")
        self._loss: Tensor | None = None
        self._leaves: dict[int, tuple[Any, Tensor]] = {}  # the arrays are held, so that no other takes their id

    @property
    def loss(self) -> Tensor:
        """The loss, which `record`, `render`, `diagnose` and `check` take.

        Raises:
            InputError: no loss was computed.
        """
        if self._loss is None:
            raise InputError("no loss was computed under the watch; call temporal_softmax_loss, or set watch.loss.")
        return Tensor(self.tape, self._loss.id)

    @loss.setter
    def loss(self, loss: Tensor) -> None:
        """Choose another scalar that was computed from results of the calls."""
        if getattr(loss, "tape", None) is not self.tape:
            raise InputError(
                f"the loss is a {type(loss).__name__}; choose a scalar that was computed under this watch."
            )
        self._loss = loss

    def lift(self, stem: str, name: str, given: Any) -> Tensor:
        """Give what a call got as a tensor: as it is where it was recorded, else a weight or an input."""
        if isinstance(given, Handle) and recorded_in(given) is not None:
            return cast(Tensor, given)
        known = self._leaves.get(id(given))
        if known is None:
            value = np.asarray(value_of(given))
            if name in WEIGHTS:
                known = given, self.tape.parameter(Parameter(f"{stem}.{name}", value))
            else:
                known = given, self.tape.input(value, name, finite=False)
            self._leaves[id(given)] = known
        return known[1]

    def close(self) -> None:
        """End the record; of steps that were called one by one the recurrences are found."""
        self.tape.closed = True
        if not any(isinstance(entry, Block) for entry in self.tape.entries):
            find_recurrences(self.tape, held=True)


_ACTIVE: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watch() -> Iterator[Watch]:
    """Record all calls of the functional interface in this block on one tape; see `Watch.loss`.

    What the forwards return are recording arrays, which go through code of your own as arrays do. Afterwards:
    `rnngraph.record(watching.loss)`.
    """
    one = Watch()
    token = _ACTIVE.set(one)
    try:
        yield one
    finally:
        _ACTIVE.reset(token)
        one.close()


def watched(function: Function) -> Function:
    """Make a forward of the functional interface record on the shared tape too, where there is one."""
    signature, name = inspect.signature(function), function.__name__

    @functools.wraps(function)
    def called(*given: Any, **options: Any) -> Any:
        active = _ACTIVE.get()
        source = recorded_in([*given, *options.values()])
        if active is None and source is None:
            return function(*given, **options)
        if active is None or (source is not None and source.tape is not active.tape):
            active = Watch()  # of a traced function: its tape
            active.tape = source.tape  # type: ignore[union-attr]
        results = function(*[value_of(one) for one in given], **{key: value_of(one) for key, one in options.items()})
        bound = signature.bind(*given, **options).arguments
        recorded = _RECORD[name](active, bound)
        if not isinstance(results, tuple):
            return recorded[0]
        return (*recorded, *results[len(recorded) :])

    return cast(Function, called)


def _recurrence(cell: Cell) -> Callable[[Watch, dict[str, Any]], list[Any]]:
    def record(one: Watch, given: dict[str, Any]) -> list[Any]:
        stem = one.tape.layer_name("lstm" if len(cell.facts.kinds) > 1 else "rnn")
        x = one.lift(stem, "x", given["x"])
        weights = {name: one.lift(stem, name, given[name]) for name in ("Wx", "Wh", "b")}
        initial = {"h": one.lift(stem, "h0", given["h0"])}
        for kind in cell.facts.kinds[1:]:
            initial[kind] = one.tape.constant(np.zeros(initial["h"].shape, x.dtype))
        return [unroll(Layer(stem, cell, weights, initial), x).output]

    return record


def _step(stem: str, cell: Cell) -> Callable[[Watch, dict[str, Any]], list[Any]]:
    def record(one: Watch, given: dict[str, Any]) -> list[Any]:
        known = {name: one.lift(stem, name, array) for name, array in given.items()}
        before = {kind: known["prev_" + kind] for kind in cell.facts.kinds}
        projected = known["x"] @ known["Wx"] + known["b"]
        after = cell.compose(projected, before, known, lambda kind, state: state)
        return [after[kind] for kind in cell.facts.kinds]

    return record


def _embedding(one: Watch, given: dict[str, Any]) -> list[Any]:
    with one.tape.scope(layer="embedding"):
        words = one.tape.tensor(one.tape.lift(np.array(value_of(given["x"]))))
        return [one.tape.apply(EMBEDDING, words, one.lift("embedding", "W", given["W"]))]


def _affine(one: Watch, given: dict[str, Any]) -> list[Any]:
    x, w, b = (one.lift("affine", name, given[name]) for name in ("x", "w", "b"))
    with one.tape.scope(layer="affine"):
        flat = x if len(w.value) == x.shape[-1] else x.reshape(len(x.value), len(w.value))
        return [one.tape.apply(LINEAR, flat, w, b)]


def _loss(one: Watch, given: dict[str, Any]) -> list[Any]:
    scores = one.lift("loss", "x", given["x"])
    one._loss = losses.temporal_softmax_loss(scores, value_of(given["y"]), value_of(given["mask"]))
    return [one._loss]


def _sigmoid(one: Watch, given: dict[str, Any]) -> list[Any]:
    return [one.tape.apply(ops.SIGMOID, one.lift("", "x", given["x"]))]


_RECORD: dict[str, Callable[[Watch, dict[str, Any]], list[Any]]] = {
    "rnn_forward": _recurrence(Tanh()), "lstm_forward": _recurrence(Lstm()),
    "rnn_step_forward": _step("rnn", Tanh()), "lstm_step_forward": _step("lstm", Lstm()),
    "word_embedding_forward": _embedding, "temporal_affine_forward": _affine, "affine_forward": _affine,
    "temporal_softmax_loss": _loss, "sigmoid": _sigmoid,
}  # fmt: skip
