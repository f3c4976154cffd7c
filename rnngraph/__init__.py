"""How far back does a recurrent network learn, and where does the gradient die?

`__all__` is the public surface. Importing this package loads nothing heavier than NumPy, and not even that: the module
of a name is imported when the name is first used.
"""

from typing import TYPE_CHECKING, Any

# Not on first use: importing the folders rnngraph.history and rnngraph.render would put them in the functions' place.
from rnngraph.history.front import compare, history
from rnngraph.render.save import render

if TYPE_CHECKING:
    from rnngraph import integrations, jax, nn, torch
    from rnngraph.autodiff.backward import gradients
    from rnngraph.autodiff.cell import Cell
    from rnngraph.autodiff.node import Op
    from rnngraph.autodiff.tape import Tape
    from rnngraph.autodiff.tensor import Tensor, concatenate, stack, where
    from rnngraph.diagnosis.diagnose import assert_healthy, diagnose
    from rnngraph.diagnosis.finding import Finding
    from rnngraph.diagnosis.report import Diagnosis
    from rnngraph.errors import (
        DtypeError,
        FileError,
        GradientError,
        InputError,
        MissingToolError,
        RnnGraphError,
        TapeError,
        VocabularyError,
    )
    from rnngraph.gradcheck.front import check
    from rnngraph.graph.draw import Drawing, draw
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.numpy.traced import trace_function
    from rnngraph.sources.decay.measure import decay
    from rnngraph.sources.past_of_source import context
    from rnngraph.sources.tape.record import record, spectrum, trial
    from rnngraph.trace.model import Trace

__version__ = "0.3.0"

__all__ = [
    "Cell", "Diagnosis", "Drawing", "DtypeError", "FileError", "Finding", "GradientError", "InputError", "LagOptions",
    "MissingToolError", "Op", "RnnGraphError", "Tape", "TapeError", "Tensor", "Trace", "VocabularyError",
    "assert_healthy", "check", "compare", "concatenate", "context", "decay", "diagnose", "draw", "gradients",
    "history", "integrations", "jax", "nn", "record", "render", "spectrum", "stack", "torch", "trace_function", "trial",
    "where",
]  # fmt: skip

_MODULES = {name: f"rnngraph.{name}" for name in ("integrations", "jax", "nn", "torch")}
_HOMES = {
    "rnngraph.autodiff.backward": ("gradients",),
    "rnngraph.autodiff.cell": ("Cell",),
    "rnngraph.gradcheck.front": ("check",),
    "rnngraph.autodiff.node": ("Op",),
    "rnngraph.autodiff.tape": ("Tape",),
    "rnngraph.autodiff.tensor": ("Tensor", "concatenate", "stack", "where"),
    "rnngraph.diagnosis.diagnose": ("assert_healthy", "diagnose"),
    "rnngraph.diagnosis.finding": ("Finding",),
    "rnngraph.diagnosis.report": ("Diagnosis",),
    "rnngraph.errors": (
        "DtypeError", "FileError", "GradientError", "InputError", "MissingToolError", "RnnGraphError", "TapeError",
        "VocabularyError",
    ),
    "rnngraph.graph.draw": ("Drawing", "draw"),
    "rnngraph.measure.lag_options": ("LagOptions",),
    "rnngraph.numpy.traced": ("trace_function",),
    "rnngraph.sources.past_of_source": ("context",),
    "rnngraph.sources.decay.measure": ("decay",),
    "rnngraph.sources.tape.record": ("record", "spectrum", "trial"),
    "rnngraph.trace.model": ("Trace",),
}  # fmt: skip


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(_MODULES[name])
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(home), name)  # so that it is looked up once
            return found
    raise AttributeError(f"module 'rnngraph' has no attribute {name!r}")
