"""One network in every source: loops over raw weights, modules, NumPy functions and declared states; and the truth.

A network is written once, for what `torch`, `numpy` and `rnngraph.numpy` have in common. The truth is plain autograd's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
import rnngraph.numpy as recorded
from rnngraph.trace.model import Trace
from tests.draws import draw

torch = pytest.importorskip("torch")
N, T, H = 3, 9, 4
X, DONE = draw(N, T, H, scale=1), (draw(N, T, 1) > 0.5).astype(float)
THERE = (np.arange(T)[:, None] < np.array([T, 5, 7])[:, None, None]).astype(float)  # (N, T, 1)
ALL = rg.LagOptions(losses="all", samples="all")
States = tuple[Any, ...]


def tanh(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    return (B.tanh(x @ p["W"] + s[0] @ p["U"]),)


def decayed(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    return tanh(B, p, x, (0.8 * s[0],), t)


def reset(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    return tanh(B, p, x, (s[0] * (1 - (torch.tensor(DONE) if B is torch else DONE)[:, t]),), t)


def residual(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    return (s[0] + 0.5 * B.tanh(x @ p["W"] + s[0] @ p["U"]),)


def diagonal(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    return (B.tanh(x @ p["W"] + s[0] * p["u"]),)


def slow(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    h, mean = s
    mean = 0.9 * mean + 0.1 * B.tanh(h @ p["V"])
    return B.tanh(x @ p["W"] + h @ p["U"] + mean), mean


def lstm(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    """Both states are decayed before the step."""
    h, c = 0.9 * s[0], 0.8 * s[1]
    c = c / (1 + B.exp(-(x @ p["V"]))) + B.tanh(x @ p["W"] + h @ p["U"])
    return B.tanh(c) / (1 + B.exp(-(h @ p["Q"]))), c


def peephole(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    """What the gates see of the cell is decayed with it."""
    h, c = 0.9 * s[0], 0.8 * s[1]
    c = c / (1 + B.exp(-(x @ p["V"] + c * p["u"]))) + B.tanh(x @ p["W"] + h @ p["U"] + 0.5 * c * p["u"])
    return B.tanh(c) / (1 + B.exp(-(h @ p["Q"]))), c


def masked(B: Any, p: Any, x: Any, s: States, t: int) -> States:
    """Behind its end a sample keeps both states."""
    m = (torch.tensor(THERE) if B is torch else THERE)[:, t]
    return tuple(m * new + (1 - m) * old for new, old in zip(lstm(B, p, x, s, t), s, strict=True))


STATES = {slow: 2, lstm: 2, peephole: 2, masked: 2}


@dataclass(frozen=True)
class Twin:
    """Cells on one another, taken together step by step, or over the whole sequence before the next."""

    cells: tuple[Callable[..., States], ...]
    by_layer: bool = False
    both: bool = False  # ways over the sequence, whose states are added up
    back: int = 1  # steps to the state that is read
    cut: int = 0  # steps between which the states are detached, by the cell

    @property
    def keys(self) -> list[tuple[str, Any]]:
        """Name every layer and direction, with its cell."""
        return [(f"l{k}{end}", cell) for k, cell in enumerate(self.cells) for end in ("", "r")[: 1 + self.both]]

    def weights(self) -> dict[str, Any]:
        """Draw the weights of all cells, and those of the head."""
        kinds = {"W": (H, H), "U": (H, H), "V": (H, H), "Q": (H, H), "u": (H,)}
        found = {
            f"{key}_{name}": draw(*shape, seed=10 * number + place)
            for number, (key, _) in enumerate(self.keys)
            for place, (name, shape) in enumerate(kinds.items())
        }
        return found | {"head": draw(H, 2, seed=99)}

    def step(self, B: Any, p: Any, key: str, x: Any, s: States, t: int) -> States:
        """Take a step of a layer."""
        own = {name.rpartition("_")[2]: weight for name, weight in p.items() if name.rpartition("_")[0] == key}
        if self.cut and t and t % self.cut == 0:
            s = tuple(one.detach() for one in s)
        made: States = dict(self.keys)[key](B, own, x, s, t)
        return made

    def run(self, step: Callable[..., States], zeros: Any, xs: list[Any]) -> list[Any]:
        """Run all steps; give what the last layer hands out at each."""
        made: dict[str, list[States]] = {key: [] for key, _ in self.keys}

        def take(key: str, x: Any, t: int) -> Any:
            start = (zeros,) * STATES.get(dict(self.keys)[key], 1)
            before = made[key][-self.back] if len(made[key]) >= self.back else start
            made[key].append(step(key, x, before, t))
            return made[key][-1][0]

        keys = [key for key, _ in self.keys]
        if not self.by_layer:
            found = []
            for t, x in enumerate(xs):
                for key in keys:
                    x = take(key, x, t)
                found.append(x)
            return found
        for k in range(len(self.cells)):
            ahead = [take(f"l{k}", x, t) for t, x in enumerate(xs)]
            back = [take(f"l{k}r", xs[t], t) for t in reversed(range(T))][::-1] if self.both else []
            xs = [one + other for one, other in zip(ahead, back, strict=True)] if self.both else ahead
        return xs

    def total(self, p: Any, outs: list[Any]) -> Any:
        """Sum the losses of all steps."""
        return sum(((one @ p["head"]) ** 2).sum() for one in outs)


class Loop(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Raw weights and a loop; or modules, one a layer and direction, that take a step when they are called."""

    def __init__(self, twin: Twin, *, modules: bool) -> None:
        super().__init__()
        self.twin = twin
        self.p = torch.nn.ParameterDict({k: torch.nn.Parameter(torch.tensor(v)) for k, v in twin.weights().items()})
        self.cells = torch.nn.ModuleDict({key: Cell(twin, key, self.p) for key, _ in twin.keys if modules})

    def forward(self, x: Any) -> Any:
        def step(key: str, *given: Any) -> States:
            made: States = self.cells[key](*given) if self.cells else self.twin.step(torch, self.p, key, *given)
            return made

        return self.twin.total(self.p, self.twin.run(step, x.new_zeros(N, H), list(x.unbind(1))))


class Cell(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A step of a layer."""

    def __init__(self, twin: Twin, key: str, p: Any) -> None:
        super().__init__()
        self.twin, self.key = twin, key
        self.p = torch.nn.ParameterDict({k: v for k, v in p.items() if k.startswith(f"{key}_")})

    def forward(self, x: Any, s: States, t: int) -> States:
        return self.twin.step(torch, self.p, self.key, x, s, t)


def traced(twin: Twin, source: str) -> Trace:
    """Trace the network in one of the sources."""
    if source in ("loop", "modules"):
        model = Loop(twin, modules=source == "modules")
        with rg.torch.watch(model) as watch:
            model(torch.tensor(X)).backward()
        return watch.trace(lags=ALL)
    if source == "numpy":

        def loss(x: Any, p: Any) -> Any:
            xs = [x[:, t] for t in range(T)]
            return twin.total(p, twin.run(lambda *given: twin.step(np, p, *given), np.zeros((N, H)), xs))

        return rg.record(rg.trace_function(loss, X, twin.weights()), lags=ALL)
    tape = recorded.ArrayTape()
    x, p = tape.input(X, "x"), {name: tape.input(weight, name) for name, weight in twin.weights().items()}
    states: dict[str, list[Any]] = {}

    def step(key: str, now: Any, s: States, t: int) -> States:
        with tape.scope(layer=key, t=t):
            made = twin.step(recorded, p, key, now, s, t)
        for kind, one in zip("hc", made, strict=False):
            states.setdefault(f"{key}.{kind}", [None] * T)[t] = one
        return made

    outs = twin.run(step, np.zeros((N, H)), [x[:, t] for t in range(T)])
    for name, some in states.items():
        tape.state(name, some, direction="reverse" if "r." in name else "forward")
    return rg.record(twin.total(p, outs), lags=ALL)


def truth(twin: Twin) -> tuple[dict[str, Any], Any]:
    """Give the norms of the gradient of every loss at every step, (losses, steps, samples): of states, and of x."""
    p = {name: torch.tensor(weight).requires_grad_() for name, weight in twin.weights().items()}
    xs = [torch.tensor(X[:, t]).requires_grad_() for t in range(T)]
    states: dict[str, list[Any]] = {}

    def step(key: str, x: Any, s: States, t: int) -> States:
        made = twin.step(torch, p, key, x, s, t)
        for kind, one in zip("hc", made, strict=False):
            states.setdefault(f"{key}.{kind}", [None] * T)[t] = one
        return made

    outs = twin.run(step, torch.zeros(N, H, dtype=torch.float64), xs)
    losses = [((one @ p["head"]) ** 2).sum() for one in outs]

    def norms(some: list[Any]) -> Any:
        rows = [torch.autograd.grad(one, some, retain_graph=True, allow_unused=True) for one in losses]
        return np.array([[np.zeros(N) if g is None else g.norm(dim=1).numpy() for g in row] for row in rows])

    return {name: norms(some) for name, some in states.items()}, norms(xs)
