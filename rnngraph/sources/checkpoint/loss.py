"""The loss of a checkpoint's network on data: the network run forward, up to a scalar.

In: the network, the data and the reduction that `--loss` names. Out: the scalar on a tape, and a sentence that says
what it is.
"""

from __future__ import annotations

import numpy as np

from rnngraph import nn
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.nn.affine import LINEAR
from rnngraph.nn.checks import check_tokens
from rnngraph.nn.layers import EMBEDDING
from rnngraph.nn.parameter import Parameter
from rnngraph.sources.checkpoint.data import Data
from rnngraph.sources.checkpoint.network import Network
from rnngraph.sources.checkpoint.roles import OutputLayer
from rnngraph.sources.stack import walk

DESCRIPTIONS = {
    "last": "the sum of the last valid step's output, averaged over the batch (--loss last)",
    "sum": "the sum of the output of every valid step, averaged over the batch (--loss sum)",
    "mean": "the mean over valid steps of the output's sum, averaged over the batch (--loss mean)",
    "every": "half the squared norm of the output of every valid step, averaged over the batch (--loss every)",
}


def network_loss(network: Network, data: Data, reduction: str | None) -> tuple[Tensor, str]:
    """Run the network on the data; say what is differentiated: `output_grad`, the targets' loss, or a reduction.

    A reduction that is asked for is taken even where the data hold targets.

    Raises:
        InputError: weights and data do not fit.
    """
    stack = network.stack
    tape = Tape(model=f"{stack.name}: {stack.describe()}")
    tape.step_labels = list(data.labels)
    x = _input(tape, network, data)
    hidden = walk(stack, x, h0=data.h0, c0=data.c0, mask=data.mask)
    if data.output_grad is not None:
        if data.output_grad.shape != hidden.shape:
            raise InputError(
                f"output_grad has shape {data.output_grad.shape}; the output of {stack.name} has {hidden.shape}."
            )
        upstream = tape.constant(data.output_grad.astype(hidden.dtype))
        return (hidden * upstream).sum(), "differentiated: output_grad, as given"
    if reduction is None and data.targets is not None and network.output is not None:
        return _cross_entropy(tape, hidden, network.output, data), "differentiated: the cross-entropy of the targets"
    if reduction is None and data.targets is not None:
        raise InputError(
            "the data holds targets, but the checkpoint has no output layer that fits; leave them out, or "
            "differentiate the recurrent output with --loss last."
        )
    reduction = reduction or "last"
    return _reduced(hidden, reduction, data.mask), f"differentiated: {DESCRIPTIONS[reduction]}"


def _input(tape: Tape, network: Network, data: Data) -> Tensor:
    dtype = network.stack.layers[0][0]["Wx"].dtype
    if data.x is not None:
        return tape.input(data.x.astype(dtype), "x")
    assert data.tokens is not None
    if network.embedding is None:
        # Without an embedding a token is a one-hot vector, as character models take it.
        size = network.stack.input_size
        check_tokens(data.tokens, size, f"{network.stack.name} (one-hot input)")
        return tape.input(np.eye(size, dtype=dtype)[data.tokens], "x")
    name, table = network.embedding
    check_tokens(data.tokens, len(table), name)
    tokens = tape.input(data.tokens, "tokens")
    with tape.scope(layer=name):
        return tape.apply(EMBEDDING, tokens, tape.parameter(Parameter(name, table.astype(dtype))))


def _cross_entropy(tape: Tape, hidden: Tensor, output: OutputLayer, data: Data) -> Tensor:
    dtype = hidden.dtype
    weight = tape.parameter(Parameter(f"{output.name}", output.weight.astype(dtype)))
    bias = tape.parameter(Parameter(f"{output.name} (bias)", output.bias.astype(dtype)))
    targets, mask = data.targets, data.mask
    assert targets is not None
    if targets.ndim == 1:  # one class a sample, read at its last step
        hidden = hidden[np.arange(len(targets)), _last_steps(hidden.shape[1], mask, len(targets))][:, None]
        targets, mask = targets[:, None], None
    with tape.scope(layer=output.name):
        scores = tape.apply(LINEAR, hidden, weight, bias)
    return nn.temporal_softmax_loss(scores, targets, mask)


def _reduced(hidden: Tensor, reduction: str, mask: Array | None) -> Tensor:
    """Reduce an output, (N, T, ·), to a scalar; see `DESCRIPTIONS`."""
    batch, time, _ = hidden.shape
    if reduction == "last":
        last = hidden[np.arange(batch), _last_steps(time, mask, batch)]
        return last.sum() * (1 / batch)
    valid = np.ones((batch, time), bool) if mask is None else mask
    weight = valid / batch if reduction != "mean" else valid / valid.sum(axis=1, keepdims=True) / batch
    weights = hidden.tape.constant(weight[..., None].astype(hidden.dtype))
    return (hidden * hidden * weights).sum() * 0.5 if reduction == "every" else (hidden * weights).sum()


def _last_steps(time: int, mask: Array | None, batch: int) -> Array:
    """Give the last valid timestep of every sample."""
    if mask is None:
        return np.full(batch, time - 1)
    return np.asarray(time - 1 - np.argmax(mask[:, ::-1], axis=1))
