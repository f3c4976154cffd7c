"""`trace_function`: run a user's unchanged NumPy function on recording arrays, and find its recurrences.

In: a function and its arguments. Out: a `Traced`, the loss on a tape, which `record`, `render` and `check` take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import rnngraph.numpy as recording
from rnngraph.autodiff.backward import Gradients, gradients
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import SUM
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import whole_number
from rnngraph.errors import InputError, RnnGraphError
from rnngraph.numpy import outcome
from rnngraph.numpy.finding.naming import described
from rnngraph.numpy.finding.placing import find_recurrences
from rnngraph.numpy.hold import hold
from rnngraph.numpy.outcome import Path, choose, picked, scalar_of
from rnngraph.numpy.reach import Part, bound
from rnngraph.numpy.recorded import Recorded
from rnngraph.numpy.run import LOCK, Call
from rnngraph.numpy.tape import ArrayTape
from rnngraph.numpy.tidy import tidied
from rnngraph.numpy.values import value_of


class Traced(Tensor):
    """The loss of a traced function: a Tensor as any other, with what was found on the way to it.

    `outputs` is what the function returned, in plain arrays. `found` says in one line which recurrences there are, and
    `notes` what could not be made sure of. `made_of` says what the loss is made of where no scalar is returned.
    `handed` are the gradients that the function returned beside its loss, by name: `rnngraph.check(traced,
    traced.handed)` checks them.
    """

    __slots__ = ("found", "handed", "made_of", "notes", "outputs")

    def __init__(self, loss: Tensor, outputs: Any, found: str, notes: tuple[str, ...], made_of: str = "") -> None:
        """Put the loss together with what was found."""
        super().__init__(loss.tape, loss.id)
        self.outputs, self.found, self.notes, self.made_of = outputs, found, notes, made_of
        self.handed: dict[str, Array] = {}

    @property
    def gradients(self) -> Gradients:
        """The gradients of the loss by the names of the arrays."""
        return gradients(self)

    def __repr__(self) -> str:
        """Say what was traced."""
        return f"Traced({self.tape.model}: loss {float(self.value.reshape(())):.6g}, {self.found})"


def trace_function(
    forward: Callable[..., Any],
    *arrays: Any,
    loss: Callable[[Any], Any] | None = None,
    steps: int | None = None,
    only: str | Sequence[str] | None = None,
    check: bool = True,
    **options: Any,
) -> Traced:
    """Run `forward(*arrays, **options)`, unchanged, on recording arrays, and find its recurrences.

    Float arrays in the arguments (also in dicts, lists, objects and `self`) and those that the user's functions read as
    globals are recorded under their names. Globals that are NumPy, or come from it, are replaced during the call, under
    a lock. Nothing that the user holds is changed.

    Args:
        forward: any function of NumPy arrays.
        *arrays: its arguments.
        loss: makes a scalar of what the function returns; by default the first scalar that it returns, or else its
            first array of floats times fixed random weights, summed. A list or dict of one output a step is one output.
        steps: how many timesteps there are, where a step takes several products by the recurrent weight.
        only: the name of a recurrence, or several, where not all that are found are wanted.
        check: hold the record to plain runs: the same loss, also where all arrays move along one random direction.
        **options: keyword arguments of the function.

    Raises:
        InputError: a gradient would be lost, the record gives another loss or slope than plain runs, a function of
            NumPy that is not differentiated here, nothing that is recorded is returned, or no recurrence of that name.
    """
    if not callable(forward):
        raise InputError(f"the forward is of type {type(forward).__name__}; pass a function, and not what it returns.")
    if steps is not None:
        steps = whole_number(steps, "steps", least=2)
    call = Call(forward, arrays, options)
    tape = ArrayTape(model=getattr(forward, "__qualname__", type(forward).__name__).rpartition(".")[2])
    leaves: dict[str, Array] = {}

    def leaf(array: Array, name: str) -> Recorded:
        tensor: Any = tape.input(array.copy(), name)
        leaves[str(tensor.node.name)] = array
        if isinstance(name, Part) and name.place is not None:
            tape.lists[str(tensor.node.name)] = name.holder, name.place
        return tensor  # type: ignore[no-any-return]

    with LOCK:
        outputs = _recorded(call, leaf)
        paths = choose(outputs) if loss is None else ()
        total = _loss(outputs, paths, loss, tape)
        tape.closed = True
        values = value_of(outputs)
        found_loss = Tensor(tape, total.id if _has_layers(tape) else tidied(tape, total.id))
        doubts = hold(call, leaves, found_loss, paths, loss) if check else ()
    if _has_layers(tape):
        sentence = "recurrences of layers: " + ", ".join(one.name for one in tape.recurrences)
    else:
        last = tape.entries[found_loss.id]
        sentence = described(tape.entries, find_recurrences(tape, steps, only=only))  # type: ignore[arg-type]
        found_loss = Tensor(tape, last.id)
    notes = (*doubts, *(f"the function caught this: {sentence}" for sentence in tape.refused[:1]))
    traced = Traced(found_loss, values, sentence, notes, outcome.described(values, paths))
    if loss is None:
        traced.handed = outcome.gradients_in(values, bound(forward)[0], leaves)
    return traced


def _recorded(call: Call, leaf: Any) -> Any:
    """Call the function on recording arrays; an error that a plain run does not raise is told apart from the user's."""
    try:
        with np.errstate(all="ignore"):  # what overflows is reported by the trace, with its place
            return call.run(leaf, recording)
    except RnnGraphError:
        raise
    except Exception as error:
        call.run(lambda array, name: array.copy(), None)  # raises what the function itself raises
        text = " ".join(str(error).split())
        if "setting an array element" in text:  # NumPy hides our sentence where one number is assigned
            raise InputError(
                "a recorded value was put into a plain array, one that was made outside of the user's modules or by "
                "`import numpy` inside a function; import numpy at the top of the module."
            ) from error
        raise InputError(
            f"the function runs on plain arrays and not on recorded ones, which raised {type(error).__name__}: {text}"
        ) from error


def _loss(outputs: Any, paths: tuple[Path, ...], loss: Callable[[Any], Any] | None, tape: Tape) -> Recorded:
    if not tape.size:
        raise InputError(
            f"no array of floats was given to {tape.model} or read by it, so that nothing is recorded; whole numbers "
            "have no gradient: give them as floats, x.astype(float)."
        )
    made = picked(outputs, paths, loss)
    plain = [one for one in made if not isinstance(one, Recorded) or one.plain is not None]
    if plain or not made:
        some = plain and plain[0] is not None
        held = f"a {type(plain[0]).__name__} that is not recorded" if some else "nothing that is recorded"
        raise InputError(
            f"the function returned {held}; return the loss or the states, computed with NumPy from the arrays that "
            "were given, by code of your own. Signs, comparisons and roundings have no gradient, and give plain arrays."
        )
    total: Recorded = scalar_of(made)
    if total.tape is not tape or not total.node.requires:
        raise InputError("nothing that was recorded leads to the loss: it depends on none of the arrays of floats.")
    if total.ndim:
        total = tape.record(SUM, (total.id,), {"axis": total._axes(None), "keepdims": False})
    return total


def _has_layers(tape: Tape) -> bool:
    return len(tape.entries) != tape.size  # a block has more ids than one, and is kept as it is
