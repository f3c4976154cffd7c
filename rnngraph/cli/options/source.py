"""Where the trace comes from: SOURCE, the options of a model of your own, and what a command line said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.sources.demo import DemoOptions
    from rnngraph.sources.options import ModelOptions

PANEL = "A model of your own (a Python function, or a checkpoint with --weights)"

SOURCE = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="file.py:function, module:function or a saved run (run.npz); nothing for the demo.",
        show_default=False,
    ),
]


def _option(text: str, metavar: str, *declared: str) -> Any:
    return typer.Option(*declared, help=text, metavar=metavar, rich_help_panel=PANEL, show_default=False)


MODEL_OPTIONS: dict[str, Any] = {
    "weights": Annotated[
        str | None,
        _option(
            "A checkpoint: .safetensors, .npz, .npy folder, .pt, .pth, .ckpt, .bin, .weights.h5 or .keras. "
            "It does not tell tanh from ReLU: tanh is assumed, and a ReLU layer needs --cell relu.",
            "FILE",
        ),
    ],
    "data": Annotated[
        str | None,
        _option(
            "The batch of a checkpoint: x or tokens, and targets, mask, lengths, h0, c0, output_grad; or the arguments "
            "of a NumPy function, by name.",
            "FILE.npz",
        ),
    ],
    "text": Annotated[str | None, _option("A text as the batch of a character or word model.", "FILE")],
    "vocabulary": Annotated[str | None, _option("The tokens of the text, one a line.", "FILE")],
    "layer": Annotated[
        str | None,
        _option("Which recurrent layer (NAME,NAME: stacked); embedding=NAME and output=NAME.", "NAME"),
    ],
    "loss": Annotated[
        str | None,
        _option("What is differentiated instead of the targets' loss: last, sum, mean or every.", "NAME"),
    ],
    "set": Annotated[list[str] | None, _option("An argument of the Python function; may be repeated.", "KEY=VALUE")],
}


@dataclass(frozen=True, slots=True)
class SourceArguments:
    """What a command line says about where the trace comes from."""

    source: str | None
    demo: DemoOptions
    model: ModelOptions
    given: tuple[str, ...] = ()  # the demo's options that were written out, such as `--cell`

    def refuse_demo_options(self, reason: str, *, but: tuple[str, ...] = ()) -> None:
        """Hold the options back from a source that they cannot change.

        Raises:
            InputError: one of them was given.
        """
        for name in self.given:
            if name not in but:
                raise InputError(f"{name} changes the demo's model, but {reason}: leave it out.")
