"""The notebook of the examples runs from its first cell to its last, and was saved with what its cells gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rnngraph as rg

PATH = Path(__file__).parent.parent / "examples" / "from_forgetting_to_learning.ipynb"
CELLS = [cell for cell in json.loads(PATH.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_every_cell_runs() -> None:
    names: dict[str, Any] = {}
    for cell in CELLS:
        exec(compile(source(cell), PATH.name, "exec"), names)  # the last one asserts what was learned
    assert isinstance(names["diagnosis"], rg.Diagnosis)
    assert names["diagnosis"].verdict == "vanishing"


def test_the_cells_were_run_in_order_and_show_what_they_gave() -> None:
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    shown = [key for cell in CELLS for output in cell["outputs"] for key in output.get("data", {})]
    assert "image/svg+xml" in shown
    assert not [output for cell in CELLS for output in cell["outputs"] if output["output_type"] == "error"]
