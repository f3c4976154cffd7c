"""A diagnosis: its data, and its text: plain, for a rich console, and as HTML for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnngraph.diagnosis.judged import Judged
from rnngraph.diagnosis.judged import LayerVerdict as LayerVerdict
from rnngraph.diagnosis.report import html, plain_text, rich_text

if TYPE_CHECKING:
    from rich.text import Text


@dataclass(frozen=True, slots=True)
class Diagnosis(Judged):
    """The verdict on a network, with everything that it rests on; see `Judged` for the fields."""

    def __str__(self) -> str:
        """Write the report as plain text."""
        return plain_text(self)

    def __rich__(self) -> Text:
        """Give the report to a rich console."""
        return rich_text(self)

    def _repr_html_(self) -> str:
        """Write the report as an HTML fragment, for a notebook."""
        return html(self)
