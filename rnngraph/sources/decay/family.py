"""What a row of the table of families holds. Data and declarations only; the rows are in `families`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from rnngraph.sources.decay.config import Config
from rnngraph.sources.decay.formulas import Arrays, Numbers
from rnngraph.sources.decay.gates import Running
from rnngraph.trace.decay import Five
from rnngraph.trace.magnitudes import Floats

TAG = "{tag}"  # stands for a layer's number and direction in PyTorch's names, such as _l0_reverse
Written: TypeAlias = tuple[str, str]  # a tensor's name beside its siblings, and its shape (see `fits`)


@dataclass(frozen=True, slots=True)
class Form:
    """Tensors that stand beside one another: those that the formula takes, by role, and others that must be there.

    The first tensor tells where the layer is. A name that could be anything's is looked for in modules called `inside`.
    """

    tensors: Mapping[str, Written]
    beside: tuple[Written, ...] = ()
    inside: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """What the authors' own initialisation gives: quantiles at 0, 10, 50, 90 and 100 %, in steps.

    Where it differs from layer to layer, `low` and `high` are the ends.
    """

    low: Five
    high: Five
    origin: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a running layer computes its gate: a hook on `module` (a path below the layer, empty for the layer itself).

    `take` gives what stands in the formula in the place of the tensor of `role`, (batch, time, features); None where it
    cannot be told.
    """

    module: str
    take: Callable[[Running], Any]
    role: str = "b"


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its tensors, its formula, what the configuration must say, and the published start.

    `says` tells whether the configuration names this family: True, False, or None where it is silent. `start` is a
    function of the number of states where it depends on it. `steady` families have the same rate at every step, so that
    a batch adds nothing.
    """

    name: str
    formula: str  # for a reader
    forms: tuple[Form, ...]
    rate: Callable[[Arrays, Numbers], Floats]
    start: Start | Callable[[int], Start] | None
    says: Callable[[Config], bool | None] = lambda config: None  # no configuration names it
    numbers: Callable[[Config], Numbers] = lambda config: {}
    gates: tuple[Gate, ...] = ()
    steady: bool = False
