"""What a reader of a trace must know of a recurrent cell: its parts, gates and words, as data.

The cell's own file in `nn/cells` fills it in, so that pictures, reports and verdicts need not know any cell.
"""

from __future__ import annotations

from dataclasses import dataclass

INPUT = "input"  # among a part's inputs: what comes from the row below
PREVIOUS = "<"  # "<h" is the state h of the step before
CUSTOM = "custom"  # the name of a cell that is known only by its states


@dataclass(frozen=True, slots=True)
class PartTrace:
    """One box inside a step, and one recorded node of a fused step.

    `place` is (level from the bottom, rank, of how many). Ranks count from the side on which the step before stands, so
    that what comes from there need not cross a box.
    """

    key: str  # "h", "c", "gates", ...; of a state its kind
    label: str
    role: str  # "state", "gate" or "part"
    inputs: tuple[str, ...]  # keys of other parts, INPUT, or PREVIOUS and a kind
    formula: str
    place: tuple[int, ...] = (0, 0, 1)


@dataclass(frozen=True, slots=True)
class CellTrace:
    """A cell's facts and words."""

    name: str
    title: str  # as a person says it: "tanh RNN", "LSTM"
    kinds: tuple[str, ...]  # its states, "h" first
    gates: tuple[str, ...] = ()  # in the order of their columns
    keeps: str = ""  # the gate that multiplies the state from step to step; none where there is no such gate
    keeps_title: str = ""  # as a person says it: "forget gate"
    squashed: str = "the activation"  # what saturates
    saturation: str = "saturated"  # the word for a unit whose derivative is small
    marked_from: float = 0.5  # the share of such units from which a picture marks it
    switches_off: bool = False  # whether a unit's derivative can be exactly zero, as a ReLU's
    parts: tuple[PartTrace, ...] = ()  # one step as it is recorded; empty where nothing is known
    operations: tuple[PartTrace, ...] = ()  # one step in primitive operations


def custom_cell(kinds: tuple[str, ...]) -> CellTrace:
    """Give the facts of a cell that is known only by its states."""
    return CellTrace(CUSTOM, CUSTOM, kinds)
