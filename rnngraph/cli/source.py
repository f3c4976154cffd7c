"""From SOURCE to what a command asks of it: a trace, the loss that is walked, or another answer.

The first row of a table that accepts what was said opens it. A new kind of source is a class and a row.
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
    from rnngraph.trace.used_past import ContextTrace


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
class Source:
    """What SOURCE stands for. A kind gives its loss, from which all else follows, and more where it knows more."""

    arguments: SourceArguments

    def loss(self) -> Tensor:
        """Run the model forward, up to its loss."""
        raise NotImplementedError

    def run(self, measures: Measures) -> Run:
        """Read or record the trace, with `measures` where it is recorded."""
        import rnngraph

        loss = self.loss()
        return Run(rnngraph.record(loss, **measures), rnngraph.trial(loss))

    def check(self, directions: int) -> CheckReport:
        """Check the gradients of the loss, or of a backward written by hand."""
        import rnngraph

        return rnngraph.check(self.loss(), directions=directions, seed=self.arguments.demo.seed)

    def context(self, most: int | None) -> ContextTrace:
        """Measure how much of its past the network uses."""
        import rnngraph

        return rnngraph.context(self.loss(), most=most)


def open_source(arguments: SourceArguments) -> Source:
    """Open what SOURCE names.

    Raises:
        InputError: it is of no known kind. What is asked of it raises one where the options do not fit it, or it
            has no model to run, and a FileError where a file cannot be read.
    """
    for _, accepts, kind in SOURCE_KINDS:
        if accepts(arguments):
            return kind(arguments)
    if arguments.source is not None and arguments.source.endswith(".py"):
        raise InputError(
            f"SOURCE {arguments.source!r} names no function of the file: write {arguments.source}:NAME, of one that "
            "returns what is to be measured."
        )
    *known, last = (description for description, _, _ in SOURCE_KINDS)
    raise InputError(f"SOURCE {arguments.source!r} is of no known kind: give {', '.join(known)} or {last}.")


def open_run(arguments: SourceArguments, measures: Measures) -> Run:
    """Read or record the run that SOURCE stands for; see `open_source`."""
    source = open_source(arguments)
    with working("recording the run"):
        return source.run(measures)


def open_trace(arguments: SourceArguments, measures: Measures) -> Trace:
    """Read or record the trace of it alone."""
    return open_run(arguments, measures).trace


class _Demo(Source):
    def loss(self) -> Tensor:
        from rnngraph.sources.demo import build

        self.arguments.model.refuse("without SOURCE and --weights the demo is run")
        return build(self.arguments.demo)


class _Saved(Source):
    def loss(self) -> Tensor:
        raise InputError(
            f"{self.arguments.source} is a saved run, which holds numbers and no model to run: leave it out to use the "
            "demo."
        )

    def run(self, measures: Measures) -> Run:
        from rnngraph.trace.model import Trace

        source = self.arguments.source
        self.arguments.refuse_demo_options(f"{source} is a saved run")
        self.arguments.model.refuse(f"{source} is a saved run")
        return Run(Trace.load(str(source)))


class _Python(Source):
    def _called(self, *, but: tuple[str, ...] = ()) -> Returned:
        """Call the function that SOURCE names; options of the demo are refused, but for those in `but`."""
        from rnngraph.cli.streams import let_others_print
        from rnngraph.sources.target.arguments import settings_from
        from rnngraph.sources.target.run import opened

        source, model = str(self.arguments.source), self.arguments.model
        self.arguments.refuse_demo_options(f"{source} is a Python function, which takes --set", but=but)
        let_others_print()
        model.refuse(f"{source} is a Python function", but=("--set", "--loss", "--layer", "--data"))
        settings = settings_from(model.set)
        return opened(source, settings, loss=model.loss, layer=model.layer, data=model.data)

    def run(self, measures: Measures) -> Run:
        trace, trial = self._called().run(**measures)
        _tell(tuple(note for note in trace.notes if note.startswith(f"{trace.model}: ")))
        return Run(trace, trial)

    def check(self, directions: int) -> CheckReport:
        report, found = self._called(but=("--seed",)).check(directions=directions, seed=self.arguments.demo.seed)
        _tell(found)
        return report

    def context(self, most: int | None) -> ContextTrace:
        return self._called().context(most)


class _Checkpoint(Source):
    def _loaded(self) -> Loaded:
        from rnngraph.sources.checkpoint import load

        arguments, model = self.arguments, self.arguments.model
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

    def loss(self) -> Tensor:
        return self._loaded().loss

    def run(self, measures: Measures) -> Run:
        return Run(*self._loaded().run(**measures))


def _tell(sentences: tuple[str, ...]) -> None:
    for sentence in sentences:
        status(sentence)


def _is_target(arguments: SourceArguments) -> bool:
    from rnngraph.sources.target.run import is_target

    return is_target(arguments.source)


# What it looks like in words, whether it is that, and what opens it.
SOURCE_KINDS: tuple[tuple[str, Callable[[SourceArguments], bool], type[Source]], ...] = (
    ("a checkpoint with --weights", lambda one: one.model.weights is not None, _Checkpoint),
    ("nothing for the demo", lambda one: one.source is None, _Demo),
    ("file.py:function or module:function", _is_target, _Python),
    ("a saved run such as run.npz", lambda one: is_saved(one.source), _Saved),
)
