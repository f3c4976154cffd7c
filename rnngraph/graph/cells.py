"""What one step of each cell consists of, as parts and the arrows between them.

The picture of a step comes from this table, so that a step looks the same whether its tape recorded it fused,
as primitives, or not at all. A cell that is not in the table is drawn as its states.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.graph.model import VertexKind

INPUT = "input"  # stands for what comes from the row below
PREVIOUS = "<"  # "<h" is the state h of the step before


@dataclass(frozen=True, slots=True)
class Part:
    """One box inside a step: `place` is (level from the bottom, rank, of how many).

    Ranks count from the side on which the step before stands, so that what comes from there need not cross a box.
    """

    key: str
    label: str
    kind: VertexKind
    inputs: tuple[str, ...]
    place: tuple[int, int, int] = (0, 0, 1)
    nodes: tuple[int, ...] = ()


Parts = tuple[Part, ...]


def _simple(label: str) -> Parts:
    return (Part("h", label, "state", (INPUT, "<h")),)


def _simple_operations(activation: str) -> Parts:
    return (
        Part("x·Wx", "x·Wx + b", "part", (INPUT,), (0, 1, 2)),
        Part("h·Wh", "h·Wh", "part", ("<h",), (0, 0, 2)),
        Part("+", "+", "part", ("x·Wx", "h·Wh"), (1, 0, 1)),
        Part("h", activation, "state", ("+",), (2, 0, 1)),
    )


_LSTM = (
    Part("gates", "i f o g", "gate", (INPUT, "<h"), (0, 0, 1)),
    Part("c", "cell c", "state", ("gates", "<c"), (1, 0, 1)),
    Part("h", "hidden h", "state", ("c", "gates"), (2, 0, 1)),
)
_GRU = (
    Part("gates", "r z n", "gate", (INPUT, "<h"), (0, 0, 1)),
    Part("h", "hidden h", "state", ("gates", "<h"), (1, 0, 1)),
)
_LSTM_OPERATIONS = (
    Part("x·Wx", "x·Wx + b", "part", (INPUT,), (0, 1, 2)),
    Part("h·Wh", "h·Wh", "part", ("<h",), (0, 0, 2)),
    Part("+", "+", "part", ("x·Wx", "h·Wh"), (1, 0, 1)),
    Part("f", "σ f", "gate", ("+",), (2, 0, 4)),
    Part("i", "σ i", "gate", ("+",), (2, 1, 4)),
    Part("g", "tanh g", "gate", ("+",), (2, 2, 4)),
    Part("o", "σ o", "gate", ("+",), (2, 3, 4)),
    Part("f*c", "f * c", "part", ("f", "<c"), (3, 0, 2)),
    Part("i*g", "i * g", "part", ("i", "g"), (3, 1, 2)),
    Part("c", "+  cell c", "state", ("f*c", "i*g"), (4, 0, 1)),
    Part("tanh c", "tanh", "part", ("c",), (5, 0, 1)),
    Part("h", "o *  hidden h", "state", ("tanh c", "o"), (6, 0, 1)),
)
_GRU_OPERATIONS = (
    Part("x·Wx", "x·Wx + b", "part", (INPUT,), (0, 1, 2)),
    Part("h·Wh", "h·Wh + b", "part", ("<h",), (0, 0, 2)),
    Part("z", "σ z", "gate", ("x·Wx", "h·Wh"), (1, 0, 2)),
    Part("r", "σ r", "gate", ("x·Wx", "h·Wh"), (1, 1, 2)),
    Part("n", "tanh n", "gate", ("x·Wx", "h·Wh", "r"), (2, 0, 1)),
    Part("h", "(1-z)n + zh", "state", ("n", "z", "<h"), (3, 0, 1)),
)

STEPS: dict[str, Parts] = {
    "tanh": _simple("tanh step"),
    "relu": _simple("relu step"),
    "lstm": _LSTM,
    "gru": _GRU,
}
OPERATIONS: dict[str, Parts] = {
    "tanh": _simple_operations("tanh"),
    "relu": _simple_operations("relu"),
    "lstm": _LSTM_OPERATIONS,
    "gru": _GRU_OPERATIONS,
}

# Which recorded op stands behind which part of a fused step; what is not listed belongs to the state h.
FUSED: dict[str, str] = {
    "rnn_tanh_step": "h",
    "rnn_relu_step": "h",
    "lstm_gates": "gates",
    "lstm_cell": "c",
    "lstm_hidden": "h",
    "gru_hidden": "gates",
    "gru_gates": "gates",
    "gru_state": "h",
}


def custom_step(cell: str, kinds: tuple[str, ...]) -> Parts:
    """Return the parts of a cell that is known only by its states, stacked with `h` on top."""
    ordered = sorted(kinds, key=lambda kind: (kind == "h", kind))
    previous = tuple(PREVIOUS + kind for kind in ordered)
    label = "step" if cell in {"", "custom"} else f"{cell} step"
    return tuple(
        Part(
            kind,
            label if len(ordered) == 1 else f"{label} {kind}",
            "state",
            (INPUT, *previous) if level == 0 else (ordered[level - 1], PREVIOUS + kind),
            (level, 0, 1),
        )
        for level, kind in enumerate(ordered)
    )
