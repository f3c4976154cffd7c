"""The recurrent cells, by the names of their facts; a new cell is a file here and a row in this table."""

from __future__ import annotations

from rnngraph.autodiff.cell import Cell
from rnngraph.nn.cells.gru import Gru, GruResetBefore
from rnngraph.nn.cells.lstm import Lstm, ProjectedLstm
from rnngraph.nn.cells.tanh_relu import Relu, Tanh

CELLS: dict[str, Cell] = {
    cell.facts.name: cell for cell in (Tanh(), Relu(), Lstm(), Gru(), ProjectedLstm(), GruResetBefore())
}

OFFERED = tuple(name for name, cell in CELLS.items() if not cell.form_of)  # to whoever makes a layer


def form(cell: str, *, having: str = "", lacking: str = "") -> str:
    """Give the form of a cell that has one weight, or lacks one; the cell itself where no form does."""
    for name, one in CELLS.items():
        if cell in (name, one.form_of) and (not having or having in one.names) and lacking not in one.names:
            return name
    return cell


__all__ = ["CELLS", "OFFERED", "Cell", "form"]
