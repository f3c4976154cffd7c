"""A user's own model, as the command line names it, becomes a trace or a loss: the one door to targets and checkpoints.

In: `ModelOptions`. Out: a `Trace` or a loss, and what a person should be told of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.autodiff.tensor import Tensor
    from rnngraph.gradcheck.report import CheckReport
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial
    from rnngraph.sources.checkpoint.load import Loaded
    from rnngraph.trace.model import Trace
    from rnngraph.trace.used_past import ContextTrace


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
    """A trace, and sentences for stderr: what was found in a checkpoint, and what is wrong with it."""

    trace: Trace
    found: tuple[str, ...] = ()
    trial: Trial | None = None  # who runs it again with other weights, where that can be


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


def python_trace(target: str, options: ModelOptions, *, lags: LagOptions | bool = False, spectrum: int = 0) -> Resolved:
    """Call a Python target and record what it returns; see `target.target_run`."""
    from rnngraph.sources.target.run import settings_from, target_run

    options.refuse(f"{target} is a Python function", but=PYTHON)
    settings = settings_from(options.set)
    trace, trial = target_run(
        target, settings, loss=options.loss or "sum", layer=options.layer, data=options.data, lags=lags,
        spectrum=spectrum,
    )  # fmt: skip
    return Resolved(trace, trial=trial)


def python_loss(target: str, options: ModelOptions) -> Tensor:
    """Call a Python target for its loss; see `target.target_loss`."""
    from rnngraph.sources.target.run import settings_from, target_loss

    options.refuse(f"{target} is a Python function", but=PYTHON)
    settings = settings_from(options.set)
    return target_loss(target, settings, loss=options.loss or "sum", layer=options.layer, data=options.data)


def python_context(target: str, options: ModelOptions, most: int | None) -> ContextTrace:
    """Call a Python target and measure how much of its past what it returns uses; see `context`."""
    from rnngraph.sources.past_of_source import context
    from rnngraph.sources.target.importing import shielded
    from rnngraph.sources.target.run import is_torch_pair, loss_of, opened, settings_from

    options.refuse(f"{target} is a Python function", but=PYTHON)
    returned = opened(target, settings_from(options.set), options.data)
    with shielded(target):
        if is_torch_pair(returned):
            return context(returned, most=most, reduce=options.loss or "sum", only=options.layer)
        return context(loss_of(target, returned, loss=options.loss or "sum", layer=options.layer), most=most)


def python_checked(
    target: str, options: ModelOptions, *, directions: int, seed: int
) -> tuple[CheckReport, tuple[str, ...]]:
    """Check what a Python target returns: `(forward, backward, *arrays)`, or a loss; see `target.target_loss`.

    Returns:
        the report, and what was found in a traced function.
    """
    from rnngraph.gradcheck.front import check
    from rnngraph.sources.target.importing import shielded
    from rnngraph.sources.target.jax_call import refuse_jax
    from rnngraph.sources.target.run import found_in, loss_of, opened, settings_from

    options.refuse(f"{target} is a Python function", but=PYTHON)
    returned = opened(target, settings_from(options.set), options.data, pairs=True)
    refuse_jax(target, returned)
    chosen = {"directions": directions, "seed": seed}
    with shielded(target):
        if isinstance(returned, tuple | list) and len(returned) > 1 and callable(returned[0]) and callable(returned[1]):
            return check(*returned, **chosen), ()
        loss = loss_of(target, returned, loss=options.loss or "sum", layer=options.layer)
        handed = getattr(loss, "handed", {})  # gradients that a traced function returned beside its loss
        return check(loss, *([handed] if handed else []), **chosen), found_in(loss)


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
