"""How a report is shown: the options of every command that has a chart, and where it goes: text, JSON or a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnngraph.cli.options.alike import FORCE, JSON
from rnngraph.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from rnngraph.cli.output import Target
    from rnngraph.render.format import Renderer


@dataclass(frozen=True, slots=True)
class ChartArguments:
    """The options, and what a command line says with them; None where nothing was said."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write a picture instead: .svg, .png, .pdf or .html; - for stdout."
        ),
    ] = None
    width: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS", help="The width of the picture: 900; 390 is set for a phone.", show_default=False
        ),
    ] = None
    theme: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="auto, which in SVG follows the reader's system, light or dark.",
            autocompletion=lambda: ["auto", "light", "dark"],
            show_default=False,
        ),
    ] = None
    force: FORCE = False
    json: JSON = False

    def target(self, what: str) -> tuple[Target, Renderer] | None:
        """Choose where the picture goes and its format, before anything is computed; None where none is wanted.

        Args:
            what: is drawn, for messages.

        Raises:
            InputError: an unknown suffix, or options that do not fit each other.
            FileError: as for every picture.
        """
        from rnngraph.cli.output import picture_target

        if self.output is None:
            for name, given in (("--width", self.width), ("--theme", self.theme)):
                if given is not None:
                    raise InputError(f"{name} is of a picture: name its file with -o, or leave it out.")
            return None
        if self.json:
            raise InputError("--json goes to stdout and --output to a file: leave one of them out.")
        return picture_target(self.output, chart=what, force=self.force)

    def show(
        self,
        target: tuple[Target, Renderer] | None,
        *,
        draw: Callable[..., bytes],
        document: Callable[[], str],
        report: Callable[[], RenderableType],
    ) -> None:
        """Write what a command found: as a picture where it has a target, else as JSON or for a person.

        Args:
            target: what `target` chose.
            draw: takes a format, a width and a theme.
            document: writes the JSON.
            report: makes what is printed.
        """
        from rnngraph.cli.console import show, working
        from rnngraph.cli.output import write_output

        if target is not None:
            place, chosen = target
            with working("drawing"):
                data = draw(chosen.name, width=self.width, theme=self.theme or "auto")
            write_output(data, place)
        else:
            show(report, document, json=self.json)
