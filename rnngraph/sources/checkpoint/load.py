"""A checkpoint and a batch become a loss on our tape: what `--weights` stands for.

In: a file of weights from a stranger, and data. Out: the loss, ready to be recorded, and sentences that say what was
found.
"""

from __future__ import annotations

from dataclasses import replace

from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.data import read_data
from rnngraph.sources.checkpoint.loss import network_loss
from rnngraph.sources.checkpoint.network import describe, recognise
from rnngraph.sources.checkpoint.options import LOSSES, Loaded
from rnngraph.sources.checkpoint.text import read_text
from rnngraph.sources.options import ModelOptions


def load(options: ModelOptions) -> Loaded:
    """Read the weights and the data and run the network forward, up to its loss.

    Raises:
        InputError: nothing is recognised, more than one thing could be meant, or weights and data do not fit.
        FileError: a file cannot be read.
        MissingToolError: the format needs a package that is not installed.
    """
    if options.loss is not None and options.loss not in LOSSES:
        raise InputError(f"--loss is {options.loss!r}; choose one of {', '.join(LOSSES)}.")
    if (options.data is None) == (options.text is None):
        raise InputError("a checkpoint needs a batch to run on: give either --data FILE.npz or --text FILE.")
    data = None if options.data is None else read_data(options.data)
    network, findings = recognise(options, data)
    if data is None:
        words = network.stack.input_size if network.embedding is None else len(network.embedding[1])
        data = read_text(str(options.text), options.vocabulary, words)
        if network.output is None:
            data = replace(data, targets=None)
    loss, described = network_loss(network, data, options.loss)
    return Loaded(str(options.weights), loss, (*describe(network), described), findings, network.notes)
