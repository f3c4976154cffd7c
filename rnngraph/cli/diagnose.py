"""`rnngraph diagnose`: the verdict, with its evidence, cause and remedy."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from rnngraph.cli.commands import FoldedCommand
from rnngraph.cli.options import JSON, LagArguments, SourceArguments, refuse_for_saved
from rnngraph.cli.source import Measures, open_run
from rnngraph.errors import InputError

EXAMPLES = (
    "rnngraph diagnose",
    "rnngraph diagnose --cell lstm --timesteps 100 --horizon 50",
    "rnngraph diagnose run.npz --horizon 50 --fail-on error",
    "rnngraph diagnose --threshold vanishing=-3 --json | jq .verdict",
    "rnngraph diagnose --spectrum",
    "rnngraph diagnose model.py:trained --horizon context",
)
FOUND = 1
CONTEXT = "context"
UNTRIED = "No remedy was tried, as --no-try says."
EXPONENTS = 8


class DiagnoseCommand(FoldedCommand):
    """Reads `--spectrum` with or without a number behind it, which an option alone cannot."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the default number behind a `--spectrum` that has none, and parse."""
        written: list[str] = []
        for index, argument in enumerate(args):
            written.append(argument)
            if argument == "--":
                written.extend(args[index + 1 :])
                break
            if argument == "--spectrum" and not "".join(args[index + 1 : index + 2]).removeprefix("-").isdecimal():
                written.append(str(EXPONENTS))
        return super().parse_args(ctx, written)


def diagnose(
    source: SourceArguments,
    wanted: LagArguments,
    horizon: Annotated[
        str | None,
        typer.Option(
            metavar="LAG|context",
            help="The lag that the task needs; context: the one that the network uses. Without it the reach is said.",
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Set a threshold, such as vanishing=-3 (decades); may be repeated."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="FLAGS",
            help="Exit with status 1 on an error, on a warning, or on flags, such as vanishing,exploding.",
        ),
    ] = None,
    spectrum: Annotated[
        int | None,
        typer.Option(
            metavar="[K]", help=f"Also measure K Lyapunov exponents ({EXPONENTS} without a K) and singular values."
        ),
    ] = None,
    no_try: Annotated[bool, typer.Option("--no-try", help="Leave out to try remedies on the batch.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every finding with its cause, the thresholds, and what was tried.")
    ] = False,
    json: JSON = False,
) -> None:
    """Say how far back the network learns, and why it stops.

    The verdict holds at a stated lag, and comes with its evidence and a remedy. It rests on ratios of gradients of the
    same loss, so the size of the loss, its mean over the batch and clipping do not matter.
    """
    from rnngraph.cli.console import complain, show, working
    from rnngraph.diagnosis.diagnose import diagnose as judge
    from rnngraph.diagnosis.diagnose import found_of, known_flags
    from rnngraph.render.report.diagnosis import diagnosis_json, diagnosis_report

    refuse_for_saved(source.source, spectrum=spectrum)
    lags = wanted.options(source.source)
    if spectrum is not None and spectrum < 1:
        raise InputError(f"--spectrum is {spectrum}, but it must be at least 1.")
    limits = _thresholds(threshold or [])
    failing = known_flags(
        [flag.strip().replace("-", "_") for flag in fail_on.split(",")] if fail_on is not None else [],
        "--fail-on", "error", "warning",
    )  # fmt: skip
    lag = _lag(horizon, source)
    run = open_run(source, Measures(lags=lags, spectrum=spectrum or 0))
    with working("trying remedies"):
        diagnosis = judge(run.trace, horizon=lag, trial=None if no_try else run.trial, **limits)
    report = partial(diagnosis_report, run.trace, diagnosis, full=verbose, untried=UNTRIED if no_try else None)
    show(report, partial(diagnosis_json, diagnosis), json=json)
    if found := found_of(diagnosis, failing):
        complain(f"failed, as --fail-on {fail_on} asks: {', '.join(found)}.")
        raise typer.Exit(FOUND)


def _lag(horizon: str | None, source: SourceArguments) -> int | None:
    from rnngraph.checks import digits

    if horizon is None:
        return None
    if horizon == CONTEXT:
        from rnngraph.cli.context import context_in_use

        return context_in_use(source)
    if (lag := digits(horizon)) is None:
        raise InputError(f"--horizon is {horizon!r}; give a whole number of steps, or context.")
    return lag


def _thresholds(texts: list[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            found[name.strip().replace("-", "_")] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"--threshold is {text!r}; write a name and a number, such as vanishing=-3.")
    return found
