"""A PyTorch module and a batch become a trace: run forward, choose what is differentiated, run backward, ask.

In: what a Python target returned. Out: a `Trace`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from rnngraph.errors import InputError, said
from rnngraph.measure.trial import Trial
from rnngraph.sources.torch.autograd.edges import tensors_in
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
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    with watch(module, only=only) as watched:
        scalar, how = reduced(called(module, batch), loss)
        torch.autograd.grad(scalar, trained, allow_unused=True) if trained else scalar.backward()
    trace = watched.trace(**options)
    return replace(trace, loss=float(scalar.detach()), notes=(*trace.notes, *how)), watched.trial()


def called(module: Any, batch: Any) -> Any:
    """Call a module with a batch: keywords, several arguments, or one.

    Raises:
        InputError: its `forward` does not take so many, or no such names.
    """
    named = batch if isinstance(batch, Mapping) else {}
    # A packed sequence is a tuple too, and one argument.
    several = isinstance(batch, tuple | list) and not hasattr(batch, "batch_sizes")
    plain = batch if several else [] if isinstance(batch, Mapping) else [batch]
    try:
        inspect.signature(module.forward).bind(*plain, **named)
    except TypeError as error:
        title = type(module).__name__
        listed = f"the names {', '.join(named)}" if named else f"{len(plain)} argument{'s' * (len(plain) != 1)}"
        raise InputError(
            f"the batch calls {title} with {listed}, which its forward does not take: {said(error)}; give a module "
            "that takes them and returns the loss, or return the rnngraph.torch.watch of a step in its place."
        ) from None
    except ValueError:  # no signature is known
        pass
    return module(*plain, **named)


def reduced(returned: Any, loss: str) -> tuple[Any, tuple[str, ...]]:
    """Take the loss that a module returned, or a reduction of its first output, with a note that says which.

    Raises:
        InputError: nothing that it returned can be differentiated.
    """
    given = returned.get("loss") if isinstance(returned, Mapping) else getattr(returned, "loss", None)
    some = tensors_in(returned if given is None else given)
    output = next((one for one in some if one.is_floating_point()), None)
    if output is None or not output.requires_grad:
        raise InputError(
            f"the module returned {type(returned).__name__}, in which nothing can be differentiated; return a loss, "
            "or an output that depends on its parameters."
        )
    if output.numel() == 1:
        return output.sum(), ()
    text = {"sum": "the sum", "mean": "the mean", "every": "half the sum of squares"}[loss]
    note = f"the module returned no scalar: {text} of its output, {tuple(output.shape)}, was differentiated"
    return {"sum": output.sum, "mean": output.mean, "every": lambda: output.square().sum() / 2}[loss](), (note,)
