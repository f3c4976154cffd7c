"""A checkpoint and a batch become a loss on our tape: what `--weights` stands for.

In: a file of weights from a stranger, and data. Out: the loss, ready to be recorded, and sentences that say
what was found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rnngraph import nn
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.nn.cells import LINEAR
from rnngraph.nn.layers import EMBEDDING, check_tokens
from rnngraph.nn.parameter import Parameter
from rnngraph.sources.checkpoint.data import Data, read_data
from rnngraph.sources.checkpoint.formats import open_checkpoint
from rnngraph.sources.checkpoint.layers import candidates, chosen
from rnngraph.sources.checkpoint.roles import OutputLayer, find_embedding, find_output
from rnngraph.sources.checkpoint.stack import not_finite, read_stack
from rnngraph.sources.checkpoint.text import read_text
from rnngraph.sources.stack import Stack
from rnngraph.sources.walk import WalkOptions, walk

LOSSES = ("last", "sum", "mean", "every")


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """What can be said of a checkpoint that the file does not say itself."""

    weights: str
    data: str | None = None
    cell: str | None = None  # relu, where a plain recurrence is one; None: what shapes say, tanh for one block
    layer: str | None = None  # NAME, NAME,NAME for a stack, and embedding=NAME or output=NAME
    loss: str = "last"  # what is differentiated without targets and output_grad: one of LOSSES
    text: str | None = None
    vocabulary: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loss on its tape, what was found in the file, and what is wrong with it."""

    loss: Tensor
    found: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """What was recognised."""

    stack: Stack
    embedding: tuple[str, Array] | None
    output: OutputLayer | None


def load(options: CheckpointOptions) -> Loaded:
    """Read the weights and the data and run the network forward, up to its loss.

    Raises:
        InputError: nothing is recognised, more than one thing could be meant, or weights and data do not fit.
        FileError: a file cannot be read.
        MissingToolError: the format needs a package that is not installed.
    """
    if options.loss not in LOSSES:
        raise InputError(f"--loss is {options.loss!r}; choose one of {', '.join(LOSSES)}.")
    if (options.data is None) == (options.text is None):
        raise InputError("A checkpoint needs a batch to run on: give either --data FILE.npz or --text FILE.")
    data = None if options.data is None else read_data(options.data)
    network, findings = _recognise(options, data)
    if data is None:
        words = network.stack.input_size if network.embedding is None else len(network.embedding[1])
        data = read_text(str(options.text), options.vocabulary, words)
        if network.output is None:
            data = replace(data, targets=None)
    loss, described = _run(network, data, options.loss)
    return Loaded(loss, (*_describe(network), described), findings)


def _recognise(options: CheckpointOptions, data: Data | None) -> tuple[Network, tuple[str, ...]]:
    checkpoint = open_checkpoint(options.weights)
    names = [part.strip() for part in (options.layer or "").split(",") if part.strip()]
    roles = dict(name.split("=", 1) for name in names if "=" in name)
    for role in roles:
        if role not in ("embedding", "output"):
            raise InputError(f"--layer {role}={roles[role]} names no role; write embedding=NAME or output=NAME.")
    found = candidates(checkpoint)
    picked = chosen(found, [name for name in names if "=" not in name], checkpoint)
    stack, findings = read_stack(picked, options.cell)
    taken = {array.name for one in found for array in one.arrays.values()}
    rest = {name: array for name, array in checkpoint.arrays.items() if array.name not in taken}
    embedding, output = None, None
    if data is None or data.tokens is not None:
        embedding = find_embedding(rest, stack.input_size, roles.get("embedding"))
    if data is None or data.targets is not None:
        besides = None if embedding is None else embedding[0]
        output = find_output(rest, stack.output_size, roles.get("output"), besides=besides)
    if embedding is not None:
        findings += not_finite(*embedding)
    if output is not None:
        findings += (*not_finite(output.name, output.weight), *not_finite(f"{output.name} (bias)", output.bias))
    return Network(stack, embedding, output), findings


def _describe(network: Network) -> tuple[str, ...]:
    found = [f"found {network.stack.name}: {network.stack.describe()}"]
    if network.embedding is not None:
        found.append(f"found the embedding {network.embedding[0]}: {len(network.embedding[1])} words")
    if network.output is not None:
        found.append(f"found the output layer {network.output.name}: {network.output.weight.shape[1]} scores")
    return tuple(found)


def _run(network: Network, data: Data, reduction: str) -> tuple[Tensor, str]:
    stack = network.stack
    tape = Tape(model=f"{stack.name}: {stack.describe()}")
    tape.step_labels = list(data.labels)
    x = _input(tape, network, data)
    found = walk(stack, x, WalkOptions(data.h0, data.c0, data.mask))
    hidden = found.output
    if data.output_grad is not None:
        if data.output_grad.shape != hidden.shape:
            raise InputError(
                f"output_grad has shape {data.output_grad.shape}; the output of {stack.name} has {hidden.shape}."
            )
        upstream = tape.constant(data.output_grad.astype(hidden.dtype))
        return (hidden * upstream).sum(), "differentiated: output_grad, as given"
    if data.targets is not None and network.output is not None:
        return _cross_entropy(tape, hidden, network.output, data), "differentiated: the cross-entropy of the targets"
    if data.targets is not None:
        raise InputError("The data holds targets, but the checkpoint has no output layer that fits; leave them out.")
    return reduced(hidden, reduction, data.mask), f"differentiated: {DESCRIPTIONS[reduction]}"


def _input(tape: Tape, network: Network, data: Data) -> Tensor:
    dtype = network.stack.layers[0][0].wx.dtype
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
        hidden = hidden[np.arange(len(targets)), last_steps(hidden.shape[1], mask, len(targets))][:, None]
        targets, mask = targets[:, None], None
    with tape.scope(layer=output.name):
        scores = tape.apply(LINEAR, hidden, weight, bias)
    return nn.temporal_softmax_loss(scores, targets, mask)


DESCRIPTIONS = {
    "last": "the sum of the last valid step's output, averaged over the batch (--loss last)",
    "sum": "the sum of the output of every valid step, averaged over the batch (--loss sum)",
    "mean": "the mean over valid steps of the output's sum, averaged over the batch (--loss mean)",
    "every": "half the squared norm of the output of every valid step, averaged over the batch (--loss every)",
}


def reduced(hidden: Tensor, reduction: str, mask: Array | None) -> Tensor:
    """Reduce an output, (N, T, ·), to a scalar; see `DESCRIPTIONS`."""
    batch, time, _ = hidden.shape
    if reduction == "last":
        last = hidden[np.arange(batch), last_steps(time, mask, batch)]
        return last.sum() * (1 / batch)
    valid = np.ones((batch, time), bool) if mask is None else mask
    weight = valid / batch if reduction != "mean" else valid / valid.sum(axis=1, keepdims=True) / batch
    weights = hidden.tape.constant(weight[..., None].astype(hidden.dtype))
    return (hidden * hidden * weights).sum() * 0.5 if reduction == "every" else (hidden * weights).sum()


def last_steps(time: int, mask: Array | None, batch: int) -> Array:
    """Give the last valid timestep of every sample."""
    if mask is None:
        return np.full(batch, time - 1)
    return np.asarray(time - 1 - np.argmax(mask[:, ::-1], axis=1))
