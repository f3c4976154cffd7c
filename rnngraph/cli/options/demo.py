"""The options of the demo's model; defaults and choices are the demo's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rnngraph.nn.init import INITS
from rnngraph.sources.demo import CELLS, DTYPES

PANEL = "The demo's model (where no SOURCE is given)"


def _option(text: str, *declared: str, **keywords: Any) -> Any:
    return typer.Option(*declared, help=text, rich_help_panel=PANEL, **keywords)


def _choice(text: str, names: tuple[str, ...]) -> Any:
    listed = f"{', '.join(names[:-1])} or {names[-1]}"
    return _option(f"{text}: {listed}.", metavar="NAME", autocompletion=lambda: list(names))


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
