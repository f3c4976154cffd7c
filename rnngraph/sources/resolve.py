"""A user's own model, as the command line names it, becomes a trace or a loss: the one door to targets and checkpoints.

In: `ModelOptions`. Out: a `Trace` or a loss, and what a person should be told of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.autodiff.tensor import Tensor
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial
    from rnngraph.sources.checkpoint.options import Loaded
    from rnngraph.sources.target.run import Returned
    from rnngraph.trace.model import Trace

PYTHON = ("--set", "--loss", "--layer", "--data")  # what a Python function takes


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The options that describe a model of the user's own; None is an option that was not given."""

    weights: str | None = None
    data: str | None = None
    layer: str | None = None
    loss: str | None = None
    text: str | None = None
    vocabulary: str | None = None
    set: tuple[str, ...] = ()

    def given(self) -> tuple[str, ...]:
        """Name the options that were given, such as `--data`."""
        return tuple(f"--{name}" for name in self.__slots__ if getattr(self, name) not in (None, ()))

    def refuse(self, reason: str, *, but: tuple[str, ...] = ()) -> None:
        """Hold back options that mean nothing for a source.

        Raises:
            InputError: one of them was given.
        """
        for name in self.given():
            if name not in but:
                raise InputError(f"{name} means nothing here, because {reason}: leave it out.")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A trace of a checkpoint, sentences for stderr, and who runs it again with other weights."""

    trace: Trace
    found: tuple[str, ...]  # what was found, and what is wrong with it
    trial: Trial


def checkpoint_trace(
    options: ModelOptions, *, cell: str | None = None, lags: LagOptions | bool = False, spectrum: int = 0
) -> Resolved:
    """Run a checkpoint on its data and record it.

    Raises:
        InputError: see `checkpoint.load`.
        FileError: a file cannot be read.
        MissingToolError: the format needs a package that is not installed.
    """
    from rnngraph.sources.tape.record import record, trial

    loaded = _load(options, cell)
    trace = record(loaded.loss, lags=lags, spectrum=spectrum, source=str(options.weights))
    trace = replace(trace, notes=(*trace.notes, loaded.found[-1], *loaded.notes, *loaded.findings))
    return Resolved(trace, _sentences(loaded), trial(loaded.loss))


def checkpoint_loss(options: ModelOptions, *, cell: str | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Run a checkpoint on its data, up to its loss; see `checkpoint_trace`."""
    loaded = _load(options, cell)
    return loaded.loss, _sentences(loaded)


def python_target(target: str, options: ModelOptions) -> Returned:
    """Call a Python target; see `target.run.opened`."""
    from rnngraph.sources.target.arguments import settings_from
    from rnngraph.sources.target.run import opened

    options.refuse(f"{target} is a Python function", but=PYTHON)
    settings = settings_from(options.set)
    return opened(target, settings, loss=options.loss or "sum", layer=options.layer, data=options.data)


def _load(options: ModelOptions, cell: str | None) -> Loaded:
    from rnngraph.sources.checkpoint import CheckpointOptions, load

    if options.set:
        raise InputError("--set gives a Python function its arguments, and a checkpoint takes none: leave it out.")
    if options.vocabulary is not None and options.text is None:
        raise InputError("--vocabulary names the tokens of a text; give the text with --text FILE.")
    return load(
        CheckpointOptions(
            str(options.weights), options.data, cell, options.layer, options.loss, options.text, options.vocabulary
        )
    )  # fmt: skip


def _sentences(loaded: Loaded) -> tuple[str, ...]:
    return (*loaded.found, *loaded.notes, *(f"warning: {finding}" for finding in loaded.findings))
