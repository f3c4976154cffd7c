"""The facts of the four built-in cells, as data (to be moved into `nn/cells`, each into its cell's own file)."""

from __future__ import annotations

from dataclasses import replace

from rnngraph.trace.cell import INPUT, CellTrace, PartTrace

_SUM = (
    PartTrace("x·Wx", "x·Wx + b", "part", (INPUT,), "x[t]·Wx + b", (0, 1, 2)),
    PartTrace("h·Wh", "h·Wh", "part", ("<h",), "h[t-1]·Wh", (0, 0, 2)),
    PartTrace("+", "+", "part", ("x·Wx", "h·Wh"), "a[t] = x[t]·Wx + b + h[t-1]·Wh", (1, 0, 1)),
)
_TANH = "h[t] = tanh(x[t]·Wx + b + h[t-1]·Wh)"
_RELU = "h[t] = max(0, x[t]·Wx + b + h[t-1]·Wh)"
_CELL = "c[t] = f · c[t-1] + i · g"
_HIDDEN = "h[t] = o · tanh(c[t])"
_STATE = "h[t] = (1 - z) · n + z · h[t-1]"

TANH = CellTrace(
    name="tanh",
    title="tanh RNN",
    kinds=("h",),
    parts=(PartTrace("h", "tanh step", "state", (INPUT, "<h"), _TANH),),
    operations=(*_SUM, PartTrace("h", "tanh", "state", ("+",), _TANH, (2, 0, 1))),
)
RELU = CellTrace(
    name="relu",
    title="ReLU RNN",
    kinds=("h",),
    saturation="inactive",
    marked_from=0.8,  # a ReLU is rightly inactive about half of the time
    switches_off=True,
    parts=(PartTrace("h", "relu step", "state", (INPUT, "<h"), _RELU),),
    operations=(*_SUM, PartTrace("h", "relu", "state", ("+",), _RELU, (2, 0, 1))),
)
LSTM = CellTrace(
    name="lstm",
    title="LSTM",
    kinds=("h", "c"),
    gates=("i", "f", "o", "g"),
    keeps="f",
    keeps_title="forget gate",
    squashed="the gates and the cell",
    parts=(
        PartTrace(
            "gates", "i f o g", "gate", (INPUT, "<h"), "i, f, o = σ(x[t]·Wx + b + h[t-1]·Wh),  g = tanh(…)", (0, 0, 1)
        ),
        PartTrace("c", "cell c", "state", ("gates", "<c"), _CELL, (1, 0, 1)),
        PartTrace("h", "hidden h", "state", ("c", "gates"), _HIDDEN, (2, 0, 1)),
    ),
    operations=(
        *_SUM,
        PartTrace("f", "σ f", "gate", ("+",), "f[t] = σ(a[t]), the forget gate", (2, 0, 4)),
        PartTrace("i", "σ i", "gate", ("+",), "i[t] = σ(a[t]), the input gate", (2, 1, 4)),
        PartTrace("g", "tanh g", "gate", ("+",), "g[t] = tanh(a[t]), the candidate", (2, 2, 4)),
        PartTrace("o", "σ o", "gate", ("+",), "o[t] = σ(a[t]), the output gate", (2, 3, 4)),
        PartTrace("f*c", "f * c", "part", ("f", "<c"), "f[t] · c[t-1]", (3, 0, 2)),
        PartTrace("i*g", "i * g", "part", ("i", "g"), "i[t] · g[t]", (3, 1, 2)),
        PartTrace("c", "+  cell c", "state", ("f*c", "i*g"), _CELL, (4, 0, 1)),
        PartTrace("tanh c", "tanh", "part", ("c",), "tanh(c[t])", (5, 0, 1)),
        PartTrace("h", "o *  hidden h", "state", ("tanh c", "o"), _HIDDEN, (6, 0, 1)),
    ),
)
GRU = CellTrace(
    name="gru",
    title="GRU",
    kinds=("h",),
    gates=("r", "z", "n"),
    keeps="z",
    keeps_title="update gate z, which keeps the state",
    squashed="the gates and the cell",
    parts=(
        PartTrace(
            "gates",
            "r z n",
            "gate",
            (INPUT, "<h"),
            "r, z = σ(x[t]·Wx + b + h[t-1]·Wh + bh),  n = tanh(… + r · (h[t-1]·Wh + bh))",
            (0, 0, 1),
        ),
        PartTrace("h", "hidden h", "state", ("gates", "<h"), _STATE, (1, 0, 1)),
    ),
    operations=(
        _SUM[0],
        replace(_SUM[1], label="h·Wh + b", formula="h[t-1]·Wh + bh"),
        PartTrace("z", "σ z", "gate", ("x·Wx", "h·Wh"), "z[t] = σ(…), the update gate", (1, 0, 2)),
        PartTrace("r", "σ r", "gate", ("x·Wx", "h·Wh"), "r[t] = σ(…), the reset gate", (1, 1, 2)),
        PartTrace(
            "n", "tanh n", "gate", ("x·Wx", "h·Wh", "r"), "n[t] = tanh(x[t]·Wx + b + r[t] · (h[t-1]·Wh + bh))", (2, 0, 1)
        ),
        PartTrace("h", "(1-z)n + zh", "state", ("n", "z", "<h"), _STATE, (3, 0, 1)),
    ),
)
CELLS = {cell.name: cell for cell in (TANH, RELU, LSTM, GRU)}
