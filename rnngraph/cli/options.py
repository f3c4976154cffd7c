"""SOURCE and the options of the demo's model, which every command takes; declared once.

A command is a function whose first parameter is `source: SourceArguments`. `takes_source` replaces that
parameter by the argument SOURCE and the options, so that typer sees them, and gathers what was given before
the command runs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import typer

from rnngraph.cli.model_options import MODEL_OPTIONS, model_options
from rnngraph.errors import InputError
from rnngraph.nn.init import INITS
from rnngraph.sources.demo import CELLS, DTYPES, DemoOptions
from rnngraph.sources.resolve import ModelOptions

PANEL = "The demo's model (where no SOURCE is given)"


@dataclass(frozen=True, slots=True)
class SourceArguments:
    """What a command line says about where the trace comes from."""

    source: str | None
    demo: DemoOptions
    given: tuple[str, ...] = ()  # the demo's options that were written out, such as `--cell`
    model: ModelOptions = field(default_factory=ModelOptions)

    def refuse_demo_options(self, reason: str, *, but: tuple[str, ...] = ()) -> None:
        """Hold the options back from a source that they cannot change.

        Raises:
            InputError: one of them was given.
        """
        for name in self.given:
            if name not in but:
                raise InputError(f"{name} changes the demo's model, but {reason}: leave it out.")


def _choice(text: str, names: tuple[str, ...]) -> Any:
    listed = f"{', '.join(names[:-1])} or {names[-1]}"
    return _option(f"{text}: {listed}.", metavar="NAME", autocompletion=lambda: list(names))


def _option(text: str, *declared: str, **keywords: Any) -> Any:
    return typer.Option(*declared, help=text, rich_help_panel=PANEL, **keywords)


DEMO_OPTIONS: dict[str, Any] = {
    "cell": Annotated[
        str, _choice("The recurrent cell (with --weights: relu for a plain layer that is no tanh)", CELLS)
    ],
    "hidden_size": Annotated[int, _option("Units of a layer.", metavar="H")],
    "layers": Annotated[int, _option("Recurrent layers, one above the other.", metavar="L")],
    "bidirectional": Annotated[bool, _option("Add the reverse direction to every layer.", "--bidirectional")],
    "timesteps": Annotated[
        int | None,
        _option("Steps to unroll; more than a caption has strings captions together.", metavar="T"),
    ],
    "batch": Annotated[int, _option("Captions in the batch.", metavar="N")],
    "init": Annotated[str, _choice("How the recurrent weights begin", INITS)],
    "gain": Annotated[float, _option("A factor on the recurrent weights.", metavar="G")],
    "forget_bias": Annotated[float | None, _option("Bias of an LSTM's forget gate.", metavar="B")],
    "seed": Annotated[int, _option("Seed of the weights.", metavar="S")],
    "dtype": Annotated[str, _choice("Precision of the arithmetic", DTYPES)],
}

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="file.py:function, module:function or a saved run (run.npz); nothing for the demo.",
        show_default=False,
    ),
]


def takes_source(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the argument SOURCE and the demo's options in place of its first parameter."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    defaults = {one.name: one.default for one in fields(DemoOptions)}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        inspect.Parameter("source", keyword, annotation=Source, default=None),
        *(parameter.replace(kind=keyword) for parameter in own),
        *(
            inspect.Parameter(name, keyword, annotation=annotation, default=defaults.get(name))
            for name, annotation in {**MODEL_OPTIONS, **DEMO_OPTIONS}.items()
        ),
    ]

    @functools.wraps(command)
    def with_source(*, context: typer.Context, source: str | None, **values: Any) -> None:
        demo = DemoOptions(**{name: values.pop(name) for name in DEMO_OPTIONS})
        model = model_options(values)
        command(SourceArguments(source, demo, _given(context), model), **values)

    with_source.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_source.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_source


def _given(context: typer.Context) -> tuple[str, ...]:
    """Name the demo's options that do not stand at their default because the user wrote them."""
    return tuple(
        f"--{name.replace('_', '-')}"
        for name in DEMO_OPTIONS
        if (origin := context.get_parameter_source(name)) is not None and origin.name == "COMMANDLINE"
    )
