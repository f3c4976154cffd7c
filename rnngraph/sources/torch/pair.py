"""A PyTorch module and a batch become a trace: run forward, choose what is differentiated, run backward, ask.

In: what a Python target returned. Out: a `Trace`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rnngraph.errors import InputError
from rnngraph.measure.trial import Trial
from rnngraph.sources.torch.scalar import called, reduced
from rnngraph.sources.torch.watch import watch
from rnngraph.trace.model import Trace

REDUCTIONS = ("sum", "mean", "every")


def trace_pair(
    module: Any, batch: Any, *, loss: str = "sum", only: str | None = None, **options: Any
) -> tuple[Trace, Trial]:
    """Run the module on the batch, backward from its scalar output (or from a reduction of it), and trace it.

    Returns:
        the trace, and who tries remedies on a copy of the module.

    Args:
        module: a `torch.nn.Module`; its parameters' `.grad` are left as they were.
        batch: what it is called with: a tuple or list is spread, a mapping gives keywords, anything else is
            one argument.
        loss: `sum`, `mean` or `every` (half the sum of squares), where the output is no scalar.
        only: the path of a module, as for `watch`.
        options: those of `Watch.trace`.

    Raises:
        InputError: the module returned nothing that can be differentiated; see also `Watch.trace`.
    """
    if loss not in REDUCTIONS:
        raise InputError(f"--loss is {loss}; a PyTorch module takes {', '.join(REDUCTIONS)}: return the loss you mean.")
    kept = [(parameter, parameter.grad) for parameter in module.parameters()]
    try:
        for parameter, _ in kept:
            parameter.grad = None
        with watch(module, only=only) as watched:
            scalar, how = reduced(called(module, batch), loss)
            scalar.backward()
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient
    trace = watched.trace(**options)
    return replace(trace, loss=float(scalar.detach()), notes=(*trace.notes, *how)), watched.trial()
