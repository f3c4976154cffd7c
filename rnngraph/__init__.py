"""How far back does a recurrent network learn, and where does the gradient die?

Importing this package loads nothing but names, so that a command can be stopped from its first moment on; a name is
loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

from rnngraph.errors import RnnGraphError as RnnGraphError

# Not on first use: importing the package rnngraph.render would put itself in the place of the function.
from rnngraph.render.save import render as render

if TYPE_CHECKING:
    from rnngraph import nn as nn
    from rnngraph.autodiff.backward import gradients as gradients
    from rnngraph.autodiff.gradcheck import gradcheck as gradcheck
    from rnngraph.autodiff.handwritten import gradcheck_functions as gradcheck_functions
    from rnngraph.autodiff.tape import Tape as Tape
    from rnngraph.autodiff.tensor import Tensor as Tensor
    from rnngraph.autodiff.tensor import concatenate as concatenate
    from rnngraph.autodiff.tensor import stack as stack
    from rnngraph.autodiff.tensor import where as where
    from rnngraph.diagnosis.diagnose import assert_healthy as assert_healthy
    from rnngraph.diagnosis.diagnose import diagnose as diagnose
    from rnngraph.graph.draw import draw as draw
    from rnngraph.sources import torch as torch
    from rnngraph.trace.lag_options import LagOptions as LagOptions
    from rnngraph.trace.model import Trace as Trace
    from rnngraph.trace.record import record as record
    from rnngraph.trace.spectrum import spectrum as spectrum

__version__ = "0.1.0"

# Public names that live in modules which are loaded on first use.
_LAZY = {
    "Tape": "rnngraph.autodiff.tape",
    "Tensor": "rnngraph.autodiff.tensor",
    "concatenate": "rnngraph.autodiff.tensor",
    "stack": "rnngraph.autodiff.tensor",
    "where": "rnngraph.autodiff.tensor",
    "gradients": "rnngraph.autodiff.backward",
    "Trace": "rnngraph.trace.model",
    "record": "rnngraph.trace.record",
    "LagOptions": "rnngraph.trace.lag_options",
    "gradcheck": "rnngraph.autodiff.gradcheck",
    "gradcheck_functions": "rnngraph.autodiff.handwritten",
    "spectrum": "rnngraph.trace.spectrum",
    "diagnose": "rnngraph.diagnosis.diagnose",
    "assert_healthy": "rnngraph.diagnosis.diagnose",
    "draw": "rnngraph.graph.draw",
}
_PACKAGES = {"nn": "rnngraph.nn", "torch": "rnngraph.sources.torch"}


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_PACKAGES})


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _PACKAGES:
        return import_module(_PACKAGES[name])
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rnngraph' has no attribute {name!r}")
