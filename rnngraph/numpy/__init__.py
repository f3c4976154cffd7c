"""NumPy, recorded: every name of NumPy, for arrays that remember how they were computed.

`import rnngraph.numpy as np` is the explicit form; `rnngraph.trace_function` puts it in place of NumPy for one call.
`ArrayTape` is a tape of one's own, whose inputs are recording arrays: `tape.state` declares the states on it.
The table in docs/numpy.md says what is differentiated, what works on values, and what is refused.
"""

from __future__ import annotations

from typing import Any

from rnngraph.numpy import functions, moves, products  # noqa: F401 - they fill the table of rules
from rnngraph.numpy.face import look_up
from rnngraph.numpy.tape import ArrayTape as ArrayTape


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    found = globals()[name] = look_up(name)
    return found


def __dir__() -> list[str]:
    import numpy

    return sorted({*dir(numpy)})
