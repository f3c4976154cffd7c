"""From SOURCE to a trace, or to the loss that is to be walked: one row of a table for every kind of source.

The first row that accepts a text opens it. A new kind of source is a function or two and a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from rnngraph.cli.console import status, working
from rnngraph.cli.options import SourceArguments, is_saved
from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.autodiff.tensor import Tensor
    from rnngraph.gradcheck.report import CheckReport
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial
    from rnngraph.sources.checkpoint import Loaded
    from rnngraph.sources.target.run import Returned
    from rnngraph.trace.model import Trace


class Measures(TypedDict, total=False):
    """What is measured beside the ordinary walk, as `rnngraph.record` takes it; a saved run has what it has."""

    lags: LagOptions | bool
    spectrum: int


@dataclass(frozen=True, slots=True)
class Run:
    """A trace, and who runs the network again with other weights, where that can be."""

    trace: Trace
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source: what it looks like, and how a trace and a loss come out of it."""

    description: str
    accepts: Callable[[SourceArguments], bool]
    run: Callable[[SourceArguments, Measures], Run]
    loss: Callable[[SourceArguments], Tensor]


def open_trace(arguments: SourceArguments, measures: Measures) -> Trace:
    """Read or record the trace that SOURCE stands for, with `measures` where it is recorded.

    Raises:
        InputError: SOURCE is of no known kind, or the options do not fit it.
        FileError: the file cannot be read.
    """
    return open_run(arguments, measures).trace


def open_run(arguments: SourceArguments, measures: Measures) -> Run:
    """Do as `open_trace`, and give who tries changes on what was recorded.

    Raises:
        InputError: see `open_trace`.
        FileError: likewise.
    """
    kind = _kind(arguments)
    with working("recording the run"):
        return kind.run(arguments, measures)


def open_loss(arguments: SourceArguments) -> Tensor:
    """Run the model that SOURCE stands for forward, up to its loss.

    Raises:
        InputError: SOURCE is of no known kind, holds no model, or the options do not fit it.
    """
    return _kind(arguments).loss(arguments)


def open_check(arguments: SourceArguments, *, directions: int) -> CheckReport:
    """Check the gradients of what SOURCE stands for: of its loss, or of a backward written by hand.

    Raises:
        InputError: SOURCE is of no known kind, holds no model, or the options do not fit it.
    """
    import rnngraph

    options = {"directions": directions, "seed": arguments.demo.seed}
    if is_python(arguments):
        with working("checking the gradients"):
            report, found = called(arguments, but=("--seed",)).check(**options)
        _tell(found)
        return report
    with working("checking the gradients"):
        return rnngraph.check(open_loss(arguments), **options)


def _kind(arguments: SourceArguments) -> SourceKind:
    for kind in SOURCE_KINDS:
        if kind.accepts(arguments):
            return kind
    known = ", ".join(kind.description for kind in SOURCE_KINDS)
    raise InputError(f"SOURCE {arguments.source!r} is of no known kind: give {known}.")


def _demo_loss(arguments: SourceArguments) -> Tensor:
    from rnngraph.sources.demo import build

    arguments.model.refuse("without SOURCE and --weights the demo is run")
    return build(arguments.demo)


def _demo_run(arguments: SourceArguments, measures: Measures) -> Run:
    import rnngraph

    loss = _demo_loss(arguments)
    return Run(rnngraph.record(loss, **measures), rnngraph.trial(loss))


def _saved_run(arguments: SourceArguments, measures: Measures) -> Run:
    from rnngraph.trace.model import Trace

    arguments.refuse_demo_options(f"{arguments.source} is a saved run")
    arguments.model.refuse(f"{arguments.source} is a saved run")
    return Run(Trace.load(str(arguments.source)))


def _saved_loss(arguments: SourceArguments) -> Tensor:
    raise InputError(
        f"{arguments.source} is a saved run, which holds numbers and no model to run: leave it out to use the demo."
    )


def called(arguments: SourceArguments, *, but: tuple[str, ...] = ()) -> Returned:
    """Call the Python function that SOURCE names.

    Raises:
        InputError: options of the demo were given, but for those in `but`, or the function cannot be called.
    """
    from rnngraph.cli.streams import let_others_print
    from rnngraph.sources.target.arguments import settings_from
    from rnngraph.sources.target.run import opened

    source, model = str(arguments.source), arguments.model
    arguments.refuse_demo_options(f"{source} is a Python function, which takes --set", but=but)
    let_others_print()
    model.refuse(f"{source} is a Python function", but=("--set", "--loss", "--layer", "--data"))
    settings = settings_from(model.set)
    return opened(source, settings, loss=model.loss or "sum", layer=model.layer, data=model.data)


def _python_run(arguments: SourceArguments, measures: Measures) -> Run:
    trace, trial = called(arguments).run(**measures)
    _tell(tuple(note for note in trace.notes if note.startswith(f"{trace.model}: ")))
    return Run(trace, trial)


def _python_loss(arguments: SourceArguments) -> Tensor:
    from rnngraph.sources.target.run import found_in

    loss = called(arguments).loss()
    _tell(found_in(loss))
    return loss


def _checkpoint(arguments: SourceArguments) -> Loaded:
    from rnngraph.sources.checkpoint import load

    model = arguments.model
    if arguments.source is not None:
        raise InputError(f"SOURCE {arguments.source!r} and --weights are two sources: leave one of them out.")
    arguments.refuse_demo_options("--weights names a checkpoint", but=("--cell",))
    if model.set:
        raise InputError("--set gives a Python function its arguments, and a checkpoint takes none: leave it out.")
    if model.vocabulary is not None and model.text is None:
        raise InputError("--vocabulary names the tokens of a text; give the text with --text FILE.")
    loaded = load(replace(model, cell=arguments.demo.cell) if "--cell" in arguments.given else model)
    _tell(loaded.sentences)
    return loaded


def _checkpoint_run(arguments: SourceArguments, measures: Measures) -> Run:
    return Run(*_checkpoint(arguments).run(**measures))


def _tell(sentences: tuple[str, ...]) -> None:
    for sentence in sentences:
        status(sentence)


def is_python(arguments: SourceArguments) -> bool:
    """Tell whether SOURCE names a Python function."""
    from rnngraph.sources.target.run import is_target

    return arguments.model.weights is None and is_target(arguments.source)


SOURCE_KINDS = (
    SourceKind(
        "a checkpoint with --weights",
        lambda one: one.model.weights is not None,
        _checkpoint_run,
        lambda one: _checkpoint(one).loss,
    ),
    SourceKind("nothing for the demo", lambda one: one.source is None, _demo_run, _demo_loss),
    SourceKind("file.py:function or module:function", is_python, _python_run, _python_loss),
    SourceKind("a saved run such as run.npz", lambda one: is_saved(one.source), _saved_run, _saved_loss),
)
