"""A checkpoint and a batch become a loss on our tape: what `--weights` stands for.

In: a file of weights from a stranger, and data. Out: the loss, ready to be recorded, and sentences that say what was
found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.nearest import check_known
from rnngraph.sources.checkpoint.data import read_data
from rnngraph.sources.checkpoint.loss import DESCRIPTIONS, network_loss
from rnngraph.sources.checkpoint.network import describe, recognise
from rnngraph.sources.checkpoint.text import read_text
from rnngraph.sources.options import ModelOptions
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loss on its tape, what was found in the file, what is wrong with it, and what a reader must know of it."""

    source: str
    loss: Tensor
    found: tuple[str, ...]
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person should be told."""
        return (*self.found, *self.notes, *(f"warning: {finding}" for finding in self.findings))

    def run(self, *, lags: LagOptions | bool = False, spectrum: int = 0) -> tuple[Trace, Trial]:
        """Record it, and give who runs it again with other weights; see `rnngraph.record`."""
        from rnngraph.sources.tape.record import record, trial

        trace = record(self.loss, lags=lags, spectrum=spectrum, source=self.source)
        notes = (*trace.notes, self.found[-1], *self.notes, *self.findings)
        return replace(trace, notes=notes), trial(self.loss)


def load(options: ModelOptions) -> Loaded:
    """Read the weights and the data and run the network forward, up to its loss.

    Raises:
        InputError: nothing is recognised, more than one thing could be meant, or weights and data do not fit.
        FileError: a file cannot be read.
        MissingToolError: the format needs a package that is not installed.
    """
    if options.loss is not None:
        check_known([options.loss], DESCRIPTIONS, "--loss is {}; choose one of")
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
