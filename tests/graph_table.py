"""The graph of a hand-built trace, put together node by node."""

from __future__ import annotations

import numpy as np

from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Magnitudes

OUTSIDE = {"temporal_softmax": "loss", "detach": "cut"} | {name: name for name in ("input", "parameter", "constant")}
MOVES = {"project", "stack", "sum", "reshape", "index"}


class Table:
    """A recorded graph that grows node by node."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, int, tuple[int, ...]]] = []
        self.names: dict[str, str] = {}

    def add(self, op: str, *inputs: int, scope: str = "", shape: str = "()", t: int = -1, name: str = "") -> int:
        self.rows.append((op, scope, shape, t, inputs))
        if name:
            self.names[str(len(self.rows) - 1)] = name
        return len(self.rows) - 1

    def trace(self) -> GraphTrace:
        ops, scopes, shapes = (sorted({row[field] for row in self.rows}) for field in (0, 1, 2))
        counts = [len(row[4]) for row in self.rows]
        return GraphTrace(
            ops=tuple(ops),  # type: ignore[arg-type]
            labels=tuple(str(op).replace("_", " ") for op in ops),
            roles=tuple(OUTSIDE.get(str(op), "move" if op in MOVES else "compute") for op in ops),
            formulas=tuple("" if op in OUTSIDE else f"the formula of {op}" for op in ops),
            scopes=tuple(scopes),  # type: ignore[arg-type]
            shapes=tuple(shapes),  # type: ignore[arg-type]
            names=self.names,
            op=np.array([ops.index(row[0]) for row in self.rows], dtype=np.int64),
            scope=np.array([scopes.index(row[1]) for row in self.rows], dtype=np.int64),
            shape=np.array([shapes.index(row[2]) for row in self.rows], dtype=np.int64),
            timestep=np.array([row[3] for row in self.rows], dtype=np.int64),
            inputs=np.array([source for row in self.rows for source in row[4]], dtype=np.int64),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            grad=Magnitudes.of(np.linspace(1, 2, len(self.rows))),
            first_nonfinite_forward=-1,
            first_nonfinite_backward=-1,
        )
