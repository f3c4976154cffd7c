"""The network that a checkpoint holds: the stack, and the embedding and the output layer where the data need them.

In: a file of weights and the data it is to run on. Out: the `Network`, and what is wrong with its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.nn.cells import CELLS
from rnngraph.sources.checkpoint.conventions.convention import Candidate
from rnngraph.sources.checkpoint.data import Data
from rnngraph.sources.checkpoint.hand_written.gate_by_gate import TOLD
from rnngraph.sources.checkpoint.hand_written.packed import ORDER, is_order
from rnngraph.sources.checkpoint.layers import candidates, chosen
from rnngraph.sources.checkpoint.roles import (
    OutputLayer,
    check_last,
    describe_unused,
    find_embedding,
    find_output,
    other_weights,
)
from rnngraph.sources.checkpoint.stack import not_finite, read_stack
from rnngraph.sources.checkpoint.stored import Checkpoint, open_checkpoint
from rnngraph.sources.options import ModelOptions
from rnngraph.sources.stack import Stack

_CHOICES = {**TOLD, "bias": ("first", "last")}


@dataclass(frozen=True, slots=True)
class Network:
    """What was recognised."""

    stack: Stack
    embedding: tuple[str, Array] | None
    output: OutputLayer | None
    notes: tuple[str, ...] = ()  # what a reader of the numbers must know of how the file was read

    @property
    def beside(self) -> list[str]:
        """Name the arrays that are run beside the stack's."""
        names = [None if self.embedding is None else self.embedding[0]]
        names += [] if self.output is None else [self.output.name, self.output.bias_name]
        return [name for name in names if name is not None]


def recognise(options: ModelOptions, data: Data | None) -> tuple[Network, tuple[str, ...]]:
    """Find the layers that the data need, and sentences on what is wrong: values that are not finite, unused weights.

    Raises:
        InputError: nothing is recognised, or more than one thing could be meant.
        FileError: the file cannot be read.
        MissingToolError: its format needs a package that is not installed.
    """
    names, roles = _read_layer_option(options.layer)
    checkpoint = open_checkpoint(str(options.weights), roles)
    found = candidates(checkpoint)
    picked = chosen(found, names, checkpoint)
    stack, findings = read_stack(picked, options.cell)
    recurrent = {array.name for one in found for array in one.arrays.values()}
    rest = {name: one for name, one in checkpoint.arrays.items() if one.name not in recurrent and one.floating}
    embedding, output = None, None
    if data is None or data.tokens is not None:
        embedding = find_embedding(rest, stack.input_size, roles.get("embedding"))
    besides = None if embedding is None else embedding[0]
    if options.loss is None and (data is None or (data.targets is not None and data.output_grad is None)):
        output = find_output(rest, stack.output_size, roles.get("output"), besides=besides)
        if output is not None and "output" not in roles:
            others = other_weights(checkpoint.arrays, recurrent)
            check_last(output, {name: array for name, array in others.items() if name != besides})
    network = Network(stack, embedding, output, _notes(checkpoint, picked, options.cell))
    used = {array.name for one in picked for array in one.arrays.values()}
    used |= {checkpoint.arrays[name].name for name in network.beside}
    has_targets = data is None or data.targets is not None
    return network, findings + _not_finite(network) + describe_unused(checkpoint.arrays, used, has_targets=has_targets)


def _not_finite(network: Network) -> tuple[str, ...]:
    """Say what holds NaN or infinity beside the stack."""
    findings = not_finite(*network.embedding) if network.embedding is not None else ()
    if (output := network.output) is not None:
        findings += (*not_finite(output.name, output.weight), *not_finite(f"{output.name} (bias)", output.bias))
    return findings


def _notes(checkpoint: Checkpoint, picked: list[Candidate], cell: str | None) -> tuple[str, ...]:
    """Say what was assumed of the file, and what was made of it."""
    assumed = cell is None and any(
        not CELLS[one.cell].facts.gates and "activation" not in one.settings for one in picked
    )
    notes: tuple[str, ...] = ("tanh assumed; a ReLU layer needs --cell relu",) if assumed else ()
    if checkpoint.folded:
        names = ", ".join(checkpoint.folded[:4]) + ("" if len(checkpoint.folded) <= 4 else ", ..")
        notes += (f"weight norm was folded into {names}: gradients are those of the weight that it gives",)
    return notes


def describe(network: Network) -> tuple[str, ...]:
    """Say what was found, a sentence a part."""
    found = [f"found {network.stack.name}: {network.stack.describe()}"]
    if network.embedding is not None:
        found.append(f"found the embedding {network.embedding[0]}: {len(network.embedding[1])} words")
    if network.output is not None:
        found.append(f"found the output layer {network.output.name}: {network.output.weight.shape[1]} scores")
    return tuple(found)


def _read_layer_option(text: str | None) -> tuple[list[str], dict[str, str]]:
    """Take NAME,NAME and ROLE=VALUE apart.

    Raises:
        InputError: a role that there is not, or a value that it cannot have.
    """
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    roles = dict(part.split("=", 1) for part in parts if "=" in part)
    for role, value in roles.items():
        if role not in ("embedding", "output", "gates", *_CHOICES):
            raise InputError(f"--layer {role}={value} names no role; write embedding=NAME or output=NAME.")
        if role == "gates" and not is_order(value):
            raise InputError(f"--layer gates={value} says nothing; write {ORDER}.")
        if role in _CHOICES and value not in _CHOICES[role]:
            raise InputError(f"--layer {role}={value} says nothing; write {' or '.join(_CHOICES[role])}.")
    return [part for part in parts if "=" not in part], roles
