"""From a command as it is written to one that typer reads: a parameter that gathers options becomes these options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import typer

from rnngraph.cli.options.chart import CHART_OPTIONS, ChartArguments
from rnngraph.cli.options.demo import DEMO_OPTIONS
from rnngraph.cli.options.demo import PANEL as DEMO_PANEL
from rnngraph.cli.options.lag_matrix import LAG_OPTIONS, LagArguments
from rnngraph.cli.options.source import MODEL_OPTIONS, SOURCE, SourceArguments
from rnngraph.cli.options.source import PANEL as MODEL_PANEL
from rnngraph.sources.demo import DemoOptions
from rnngraph.sources.options import ModelOptions

Values = Mapping[str, Any]
FOLDED = (DEMO_PANEL, MODEL_PANEL)  # shown with --help-all alone


@dataclass(frozen=True, slots=True)
class Gathered:
    """Options that one parameter of a command stands for, and what it is given."""

    options: Values  # a type annotation by name
    gather: Callable[[typer.Context, Values], object]
    defaults: Values = field(default_factory=dict)  # None where there is none


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that its parameters stand for; its own come first in its help."""
    parameters = inspect.signature(command, eval_str=True).parameters
    gathered = {name: GATHERED[one.annotation] for name, one in parameters.items() if one.annotation in GATHERED}
    keyword = inspect.Parameter.KEYWORD_ONLY
    shown = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(one.replace(kind=keyword) for name, one in parameters.items() if name not in gathered),
        *(
            inspect.Parameter(name, keyword, annotation=annotation, default=group.defaults.get(name))
            for group in reversed(gathered.values())
            for name, annotation in group.options.items()
        ),
    ]

    @functools.wraps(command)
    def called(*, context: typer.Context, **values: Any) -> None:
        for name, group in gathered.items():
            values[name] = group.gather(context, {option: values.pop(option) for option in group.options})
        command(**values)

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in shown}
    return called


def _source_arguments(context: typer.Context, values: Values) -> SourceArguments:
    demo = DemoOptions(**{name: values[name] for name in DEMO_OPTIONS})
    model = ModelOptions(**{name: values[name] for name in MODEL_OPTIONS} | {"set": tuple(values["set"] or ())})
    return SourceArguments(values["source"], demo, model, _given(context))


def _given(context: typer.Context) -> tuple[str, ...]:
    """Name the demo's options that do not stand at their default because the user wrote them."""
    return tuple(
        f"--{name.replace('_', '-')}"
        for name in DEMO_OPTIONS
        if (origin := context.get_parameter_source(name)) is not None and origin.name == "COMMANDLINE"
    )


GATHERED: dict[object, Gathered] = {
    SourceArguments: Gathered(
        {"source": SOURCE, **MODEL_OPTIONS, **DEMO_OPTIONS},
        _source_arguments,
        {one.name: one.default for one in fields(DemoOptions)},
    ),
    LagArguments: Gathered(LAG_OPTIONS, lambda context, values: LagArguments(**values)),
    ChartArguments: Gathered(CHART_OPTIONS, lambda context, values: ChartArguments(**values), {"force": False}),
}
