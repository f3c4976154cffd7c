"""The credit that a running layer carries: `∂L_s/∂u_k` at its own input, by autograd, through whatever kernel it runs.

In: what a layer of a PyTorch model was given, what it returned, and the gradient of the loss that reached its output.
Out: a `LagTrace`, of which lag curves are made as of the states that are watched.

`L_s` is the loss as far as it reaches the layer at step s: the gradient at the output, masked to that step. Pulled back
through this layer alone, it says nothing of the layers around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.measure.lag_options import LagOptions, chosen_losses, chosen_samples
from rnngraph.measure.recording import Losses
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace


def credit(name: str, given: Any, output: Any, gradient: Any, *, time_axis: int) -> LagTrace:
    """Pull the gradients of loss steps, as many as of any trace, back to the layer's input.

    Args:
        name: what the layer is called.
        given: the input tensor, part of the autograd graph, (batch, time, features) or (time, batch, features).
        output: the output tensor, whose first two axes are the same.
        gradient: of the whole loss at the output.
        time_axis: 1, or 0 where time is first.
    """
    import torch

    arriving = _norms(gradient, time_axis)  # (batch, time)
    batch, steps = arriving.shape
    options = LagOptions()
    every = Losses({0: arriving.T})
    samples = chosen_samples(every, batch, options)
    losses = [step for _, step in chosen_losses(every, {batch: samples}, options)]
    log = np.full((len(samples), len(losses), steps + 1), np.nan)
    for row, step in enumerate(losses):
        masked = torch.zeros_like(gradient)
        masked.select(time_axis, step).copy_(gradient.select(time_axis, step))
        (pulled,) = torch.autograd.grad(output, given, masked, retain_graph=True)
        with np.errstate(divide="ignore"):
            norms = np.log(_norms(pulled, time_axis)[samples])
        norms[np.isnan(norms)] = np.inf  # how a trace marks what is not finite
        log[:, row, 1 : step + 2] = norms[:, : step + 1]
    taken = np.array(losses, dtype=np.int64)
    nothing = np.zeros((len(samples), steps), dtype=np.bool_)
    return LagTrace(
        state=name, losses=taken, clocks=np.zeros_like(taken), samples=samples, log=log, copied=nothing,
        severed=nothing, arrivals=np.tile(taken, (len(samples), 1)), available=len(every.pairs), batch=batch,
        max_lag=None,
    )  # fmt: skip


def _norms(tensor: Any, time_axis: int) -> Floats:
    """Take the norm over features in float64, with a scale so that tiny gradients do not underflow, (batch, time)."""
    array = tensor.detach().to("cpu").double().numpy()
    array = array if time_axis == 1 else array.swapaxes(0, 1)
    array = array.reshape(*array.shape[:2], -1)
    largest = np.abs(array).max(axis=-1)
    scale = np.where(largest > 0, largest, 1.0)
    return np.asarray(scale * np.linalg.norm(array / scale[..., None], axis=-1))
