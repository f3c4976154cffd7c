"""`rnngraph decay`: the half-lives that an initialiser or a cast gave to linear recurrences."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnngraph.cli.options import ChartArguments
from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.trace.decay import DecayReport

EXAMPLES = (
    "rnngraph decay model/",
    "rnngraph decay model.safetensors --fresh --context 4096",
    "rnngraph decay model.py:build --fresh --fail-on no_memory,frozen",
    "rnngraph decay model.py:model_and_batch --live -o decay.svg",
    "rnngraph decay model/ --json | jq '.layers[].quantiles'",
)
FOUND = 1


def decay(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A .safetensors, .pt, .pth, .bin or .ckpt file, an index of shards, a folder as Hugging Face writes "
            "it, or file.py:function or module:function that returns a PyTorch module.",
        ),
    ],
    chart: ChartArguments,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The model's config.json, where it does not lie beside the weights."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="The weights are an initialisation: judge it, and not only what is broken.")
    ] = False,
    sequence: Annotated[
        int | None, typer.Option("--context", metavar="STEPS", help="How long the model's sequences are; with --fresh.")
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Run the (module, batch) that the Python function returns: its gates and its credit.",
        ),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An argument of the Python function; may be repeated."),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --live, where the module returns no loss: sum, mean or every."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="FINDINGS", help="Exit with status 1 if one of these is found, such as no_memory,frozen."),
    ] = None,
) -> None:
    """Report how many steps linear recurrences keep half a state.

    Those of state-space, linear-attention and gated layers, from the few tensors that hold their decays.
    The half-lives are those at zero input: what an initialiser or a cast did, not what a trained model remembers.
    """
    from rnngraph.cli.console import complain
    from rnngraph.render.picture.charts import report_bytes
    from rnngraph.render.report.decay.decay_report import decay_json, decay_report
    from rnngraph.sources.decay.rule_functions import Judging
    from rnngraph.sources.decay.rules import known_rules, refuse_unjudged

    failing = known_rules(fail_on.split(","), Judging(fresh, sequence)) if fail_on is not None else []
    target = chart.target("decays")
    if loss is not None and not live:
        raise InputError("--loss chooses what --live differentiates: give --live as well, or leave it out.")
    options = {"config": config, "fresh": fresh, "context": sequence}
    report = _report(source, options, settings=set_ or [], live=live, loss=loss or "sum")
    chart.show(
        target, draw=partial(report_bytes, report), document=partial(decay_json, report),
        report=partial(decay_report, report),
    )  # fmt: skip
    if found := dict.fromkeys(one.rule for one in report.findings if one.rule in failing):
        complain(f"failed, as --fail-on {fail_on} asks: {', '.join(found)}.")
        raise typer.Exit(FOUND)
    if failing:
        refuse_unjudged(report, failing)


def _report(source: str, options: dict[str, Any], *, settings: list[str], live: bool, loss: str) -> DecayReport:
    from rnngraph.cli.console import working
    from rnngraph.sources.decay.measure import decay as read
    from rnngraph.sources.target.run import is_target

    if not is_target(source):
        if live or settings:
            name = "--live" if live else "--set"
            raise InputError(f"{name} needs a Python function (file.py:function), but {source} is a checkpoint.")
        with working("reading the decays"):
            return read(source, **options)
    from rnngraph.sources.decay.target import module_and_batch

    with working("running the model" if live else "reading the decays"):
        return module_and_batch(source, settings, live=live, loss=loss, **options)
