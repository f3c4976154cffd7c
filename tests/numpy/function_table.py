"""The table of NumPy's functions in docs/numpy.md, made from the code; run this module to write it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph.numpy  # noqa: F401 - fills the tables
from rnngraph.numpy.face import MAKERS
from rnngraph.numpy.tables import INSTEAD, kind_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "numpy.md"
PLAIN = frozenset((
        "array2string", "array_function", "array_repr", "array_str", "asmatrix", "bartlett", "base_repr",
        "binary_repr", "blackman", "bmat", "broadcast_shapes", "busday_count", "busday_offset",
        "datetime_as_string", "datetime_data", "diag_indices", "einsum_path", "errstate",
        "format_float_positional", "format_float_scientific", "from_dlpack", "frompyfunc", "fromregex",
        "fromstring", "genfromtxt", "get_include", "get_printoptions", "getbufsize", "geterr", "geterrcall",
        "hamming", "hanning", "indices", "info", "is_busday", "isdtype", "isfortran", "isnat", "isscalar",
        "issubdtype", "iterable", "ix_", "kaiser", "load", "loadtxt", "mask_indices", "may_share_memory",
        "min_scalar_type", "mintypecode", "ndindex", "nested_iters", "packbits", "printoptions",
        "promote_types", "ravel_multi_index", "require", "save", "set_numeric_ops", "set_printoptions",
        "setbufsize", "seterr", "seterrcall", "shares_memory", "show_config", "show_runtime", "test",
        "tril_indices", "triu_indices", "typename", "unpackbits", "unravel_index", "vectorize",
))  # fmt: skip
# they take no arrays of numbers, or are about types, files and settings


@dataclass(frozen=True)
class Row:
    """One function of NumPy."""

    name: str
    kind: str
    instead: str

    @property
    def unary(self) -> bool:
        """Whether it is called with one array."""
        return isinstance(getattr(np, self.name), np.ufunc) and getattr(np, self.name).nin == 1


def table() -> list[Row]:
    """List the functions that take arrays of numbers."""
    rows = []
    for name in sorted(dir(np)):
        found: Any = getattr(np, name)
        if name.startswith("_") or not callable(found) or isinstance(found, type) or name in PLAIN or name in MAKERS:
            continue
        rows.append(Row(name, kind_of(found), INSTEAD.get(name, "")))
    return rows


def document() -> str:
    """Write the page."""
    rows = table()

    def listed(kind: str) -> str:
        return ", ".join(f"`{row.name}`" for row in rows if row.kind == kind)

    refused = "\n".join(f"| `{row.name}` | `{row.instead}` |" for row in rows if row.kind == "refused" and row.instead)
    return TEXT.format(
        version=np.__version__,
        differentiated=listed("differentiated"), values=listed("values"), refused=refused,
        rest=", ".join(f"`{row.name}`" for row in rows if row.kind == "refused" and not row.instead),
    )  # fmt: skip


TEXT = """# Hand-written NumPy

`rnngraph.trace_function(forward, *arrays)` runs a function of NumPy arrays, unchanged, on recording arrays, and
gives its loss on a tape, `traced`: `diagnose`, `record`, `render`, `check` and `trial` take it, and
`rnngraph.diagnose(traced, trial=rnngraph.trial(traced))` is the verdict with remedies that were tried.
`import rnngraph.numpy as np` is the explicit form.

* Float arrays are recorded: those in the arguments (also in dicts, lists, objects and `self`) and the globals that
  the functions read. Whole numbers and booleans stay plain. What is given is never changed.
* With a tape of your own, `x = np.ArrayTape().input(array)`, and `tape.state(name, tensors, batch_axis=)`
  declares states.
* The loss is the first scalar that is returned, or else the first output times fixed random weights, where a list or
  dict of alike things, one a step, is one output; `loss=` picks another. What was chosen is said.
* The record is held to a plain run: with all arrays moved a little along one random direction, both give the same
  loss, so that no gradient was lost.
* Item assignment, slices, views, `+=`, lists, dicts and `out=` are followed. Where a gradient would be lost
  (`float(x)`, `.item()`, a plain array from elsewhere) one sentence says so.
* Beside these are followed: the functions of `math`, `np.vectorize`, `np.r_`, `np.c_`, and of SciPy `expit`, `softmax`,
  `log_softmax`, `logsumexp`, `inv`, `pinv` and `solve`.
* On the command line, `rnngraph render model.py:loss --data arrays.npz` reads the arguments by name; without `--data`
  the function needs none. A `while True` at the top of the file, in which a script trains for ever or until somebody
  interrupts it, is not run.

## Gradients written by hand

`rnngraph.check(forward, backward, *arrays)` calls the backward as its parameters say: the cache is the one that is so
called, or stands after the upstream gradients; an argument of the forward is passed by its name; outputs for which no
upstream gradient is taken play no part. Gradients are matched in the order of the arguments, or by name where they come
in a dict or where the shapes say that the order is another. `rnngraph.check(layer, *arrays)` takes an object with both
methods; its parameters may stand in a dict or a list.

A function that returns its gradients beside its loss, as `return loss, dWxh, dWhh, ...` or in a dict, is checked as it
is: `rnngraph check min_char_rnn.py:lossFun --data arrays.npz`, or in Python

<!-- before
import rnngraph as rg
from tests.page_setups.loss_function import hprev, inputs, lossFun, targets
-->
```python
traced = rg.trace_function(lossFun, inputs, targets, hprev)
print(rg.check(traced, traced.handed))
```

The report names a mistake where a way back that makes it gives just what was claimed. It tries, in every step alike,
what may be handed back on each way between two values in place of what is right, and names the gate by its weights or
its block:

* between steps: nothing is carried, or not by the cell state, along one direction, through one weight, or from step 3
  to 2; it has the wrong sign, is added twice, or is added up over the steps; the walk goes four steps back from each
  loss and no further, or in the order of the forward; a step is missing;
* on one way between two values: what comes back on it is not added (as through the `1 - z` of a coupled gate, or the
  targets of a softmax at some steps), has the wrong sign, lacks its factor, is taken before the slope, or is formed
  with another value of the step (`z` for `1 - z`, `c` for `tanh(c)`, the state for the input), with one of the step
  before, or with the weight of another gate; two weights are swapped; one is not transposed; `np.add.at` is needed;
* in an activation: its slope is left out, has the wrong sign, or is taken of the value in place of the argument;
* in one gradient, or in all alike: a factor (not divided by the samples, the steps, or what the forward divides by, or
  twice? clipped to norm 5?), a clip of the elements, an axis or gates in another order, another array's gradient, a
  sum that is overwritten or lacks some steps.

Of a pair whose mistake is none of these it says at which steps, for which losses and in which gate the gradient is
wrong; its forward is recorded for that.

## Weights in a file

`rnngraph norms --weights weights.npz --data batch.npz` reads `Wxh, Whh, bh`, a weight a gate (`Wxi, Whi, bi` or `Wi,
Ui, bi`), and weights of the joined state and input, apart (`Wi, bi`) or for all gates at once (`W`, `WLSTM`,
`Wfioc`). What shapes and names leave open is asked for: `--layer gates=ifog,joined=xh,bias=first` says the order of
the gates, that the input stands before the state, and that the first row of the weight is its bias; `update=old` what
a GRU's update gate weighs.

## How recurrences are found

A weight is recurrent where it multiplies something that depends on its own earlier product; equal expressions are one
weight, and so are equal matrices that are written into the code. The place along that chain is the timestep. Weights
that depend on each other are one cell, products that do not are runs of their own, and a product that depends on two
runs is a tree and none, unless one of them goes on by itself: the other is above it. A step that multiplies by weights
of its own is a layer of a deep network.

Where no such weight is, what is carried element by element is found by its way: the operations that lead from a value
to a later one like it, and by the same operations to one later still. What multiplies it may be a number (a leak), a
leaf, or another factor at every step (a gate of the input). Something new must enter at every step, nothing may cross
beside the states (of a loop over single numbers, the other units do), and a sum or a maximum that nothing reads on the
way is none.

A state is a value of one step that is read at a later one on the way to a later product, and follows from no other
state of its step: what the weights multiply is `h`, the next one `c`. What the next step makes of a state alone,
as by a decay, a reset or a mask, belongs to that step. The axis that is summed away holds the units, so
that the other one is the batch. Runs of one cell that take turns along one sequence, as where a state is read two steps
back, are one recurrence. A batch that shrinks or grows is put into the whole one, and a sample counts where it is
there. Places that fall from step to step are the reverse direction. `steps=` says how many timesteps there are where
one step takes several products, and that there are steps where each multiplies by data of its own (an unrolled
learner). What is read of an array where a part was put or joined is that part, so that states may stand in one array,
by layer, stacked, side by side or unit by unit. An array of which some parts stay while others are put, at paces of
their own, and that is read across them, is one state. Where nothing is found, weights that differ in constants alone,
such as the number of the step, count as one. What is not found is declared: `tape.state`; of several, `only=` names
those that are wanted.

What a step is fed is what its weights multiply and no other step has: `x[t]`, a column, a word that is looked up or
one-hot, the part of a join that does not come from the state; where they multiply none, what enters element by element.
Two recurrences that read the same data, one of them turned round, are two directions. A layer that reads the states of
the same step takes its steps together with it.

## Ties

At a tie of `maximum` and `minimum` a constant takes the gradient, so that `maximum(x, 0)` is ReLU with the slope 0
at 0; of two recorded arrays each takes half. Equal extremes of `max` and `min` share the gradient. `abs` has the
slope 0 at 0.

## What is differentiated (of NumPy {version})

{differentiated}.

## What works on values, and has no gradient

{values}.

## What is refused in a sentence

| function | use |
|---|---|
{refused}

Also refused: {rest}.
"""

if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
