"""The recurrent cells, by the names of their facts; a new cell is a file here and a row in this table."""

from __future__ import annotations

from rnngraph.autodiff.cell import Cell
from rnngraph.nn.cells.gru import Gru, GruResetBefore
from rnngraph.nn.cells.lstm import Lstm, ProjectedLstm
from rnngraph.nn.cells.tanh_relu import Relu, Tanh

CELLS: dict[str, Cell] = {
    cell.facts.name: cell for cell in (Tanh(), Relu(), Lstm(), Gru(), ProjectedLstm(), GruResetBefore())
}

__all__ = ["CELLS", "Cell"]
