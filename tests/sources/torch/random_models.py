"""Models drawn at random: cells, what lies between them and between their steps, and what the loss reads.

A model notes its states and the loss of every step in a `Trail`; nothing of it is known to the watch.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sources.torch.truth import Trail

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 7, 4, 5


class Own(nn.Module):  # type: ignore[misc, name-defined]
    """A tanh step of data and state joined."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs + H, H)

    def forward(self, x: Any, h: Any = None) -> Any:
        return self.linear(torch.cat([x, x.new_zeros(len(x), H) if h is None else h], 1)).tanh()


class Diagonal(nn.Module):  # type: ignore[misc, name-defined]
    """A unit sees itself alone."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear, self.keep = nn.Linear(inputs, H), nn.Parameter(torch.rand(H))

    def forward(self, x: Any, h: Any = None) -> Any:
        return (self.linear(x) + self.keep * (x.new_zeros(len(x), H) if h is None else h)).tanh()


class Residual(nn.Module):  # type: ignore[misc, name-defined]
    """A step is added to the state."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.read, self.turn = nn.Linear(inputs, H), nn.Linear(H, H)

    def forward(self, x: Any, h: Any = None) -> Any:
        h = x.new_zeros(len(x), H) if h is None else h
        return h + 0.5 * (self.read(x) + self.turn(h)).tanh()


CELLS: dict[str, Any] = {
    "tanh": lambda inputs: nn.RNNCell(inputs, H), "gru": lambda inputs: nn.GRUCell(inputs, H),
    "lstm": lambda inputs: nn.LSTMCell(inputs, H), "own": Own, "diagonal": Diagonal, "residual": Residual,
}  # fmt: skip
BETWEEN = ("nothing", "norm", "dropout", "relu", "skip", "join")
CHANGES = ("nothing", "kept", "reset", "scaled", "dropped", "cut for one", "cut")
READS = ("every step", "every step", "some steps", "the last", "all at once", "attention", "fed back")


class Model(nn.Module):  # type: ignore[misc, name-defined]
    """One to three cells, called layer by layer or step by step."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        torch.manual_seed(seed)
        self.cell_names = draw.choices(list(CELLS), k=draw.choice([1, 1, 2, 3]))
        self.reads, self.by_layer = draw.choice(READS), draw.random() < 0.4
        self.between = draw.choices(BETWEEN, k=len(self.cell_names))
        # A cut before which no loss is read begins the sequence anew: its steps have other numbers.
        some = CHANGES[:-1] if self.reads == "the last" else CHANGES
        self.changes = draw.choices(some, k=len(self.cell_names))
        width, cells = D + 2 * (self.reads == "fed back"), []
        for name, between in zip(self.cell_names, self.between, strict=True):
            cells.append(CELLS[name](width))
            width = H + D if between == "join" else H
        self.cells, self.norm = nn.ModuleList(cells), nn.LayerNorm(H)
        self.head, self.query = nn.Linear(width, 2), nn.Linear(width, width)
        self.kept, self.dropped = torch.rand(T, N, 1) > 0.25, (torch.rand(N, H) > 0.3) / 0.7
        self.some = {T - 1, *draw.sample(range(T - 1), 2)}

    def changed(self, how: str, t: int, state: Any, old: Any) -> Any:
        """Change a state on its way to the next step."""
        match how:
            case "kept":
                return state if old is None else torch.where(self.kept[t], state, old)
            case "reset":
                return state * self.kept[t]
            case "scaled":
                return 0.9 * state
            case "dropped":
                return state * self.dropped
            case "cut for one" if t == 3:
                return torch.cat([state[:1].detach(), state[1:]])
            case "cut" if t == 3:
                return state.detach()
        return state

    def step(self, k: int, t: int, x: Any, data: Any, trail: Trail) -> Any:
        """Take a step of cell k, and give what it hands upwards."""
        before = self.states[k]
        found = self.cells[k](x) if before is None else self.cells[k](x, before if len(before) > 1 else before[0])
        parts = found if isinstance(found, tuple) else (found,)
        trail.add(**{f"{k}.{place}": part for place, part in enumerate(parts)})
        old = before or (None,) * len(parts)
        new = tuple(self.changed(self.changes[k], t, *pair) for pair in zip(parts, old, strict=True))
        self.states[k] = new
        out = new[0] if self.changes[k] == "kept" else parts[0]
        match self.between[k]:
            case "norm":
                return self.norm(out)
            case "dropout":
                return nn.functional.dropout(out, 0.3)
            case "relu":
                return out.relu()
            case "skip" if x.shape == out.shape:
                return out + x
            case "join":
                return torch.cat([out, data], 1)
        return out

    def forward(self, x: Any, trail: Trail) -> Any:
        """Run all steps, and note the loss of each."""
        self.states: list[Any] = [None] * len(self.cells)
        above = self.layer_by_layer(x, trail) if self.by_layer and self.reads != "fed back" else []
        back = x.new_zeros(N, 2)
        for t in range(len(above), T):
            one = torch.cat([x[t], back], 1) if self.reads == "fed back" else x[t]
            for k in range(len(self.cells)):
                one = self.step(k, t, one, x[t], trail)
            above.append(one)
            back = self.head(one).tanh()
        for t, one in enumerate(above):
            if self.reads == "attention":
                keys = torch.stack(above[: t + 1], 1)
                one = ((keys @ self.query(one)[:, :, None]).softmax(1) * keys).sum(1)
            if self.reads in ("every step", "attention", "fed back") or (t in self.some and self.reads == "some steps"):
                trail.losses[t] = self.head(one).square().sum()
        if self.reads in ("the last", "all at once"):
            read = above[-1] if self.reads == "the last" else torch.stack(above).mean(0)
            trail.losses[T - 1] = self.head(read).square().sum()
        return trail.total()

    def layer_by_layer(self, x: Any, trail: Trail) -> list[Any]:
        """Run each cell over all steps before the next."""
        above = list(x)
        for k in range(len(self.cells)):
            above = [self.step(k, t, one, x[t], trail) for t, one in enumerate(above)]
        return above
