"""Neural differential equations: a step is what a solver makes of several calls, or one at which an input arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rnngraph
from tests.sources.torch.truth import Trail, certified, check

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 6, 4, 5
Slope = Callable[[Any, Any], Any]


def euler(slope: Slope, y: Any, t: Any, dt: float) -> Any:
    return y + dt * slope(t, y)


def midpoint(slope: Slope, y: Any, t: Any, dt: float) -> Any:
    return y + dt * slope(t + dt / 2, y + dt / 2 * slope(t, y))


def runge_kutta(slope: Slope, y: Any, t: Any, dt: float) -> Any:
    """The rule of 3/8, which torchdiffeq's "rk4" is."""
    a = slope(t, y)
    b = slope(t + dt / 3, y + dt * a / 3)
    c = slope(t + dt * 2 / 3, y + dt * (b - a / 3))
    d = slope(t + dt, y + dt * (a - b + c))
    return y + (a + 3 * (b + c) + d) * dt * 0.125


SOLVERS = {"euler": euler, "midpoint": midpoint, "runge_kutta": runge_kutta}


class Function(nn.Module):  # type: ignore[misc, name-defined]
    """A slope."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(H, 8), nn.Tanh(), nn.Linear(8, H))

    def forward(self, t: Any, y: Any) -> Any:
        return self.net(y) * (1 + t)


class Equation(nn.Module):  # type: ignore[misc, name-defined]
    """A neural equation whose loss reads every step, or one between the steps of a cell."""

    def __init__(self, solver: str, *, fed: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.function, self.cell, self.head = Function(), nn.GRUCell(D, H), nn.Linear(H, 2)
        self.solve, self.fed = SOLVERS[solver], fed

    def forward(self, x: Any) -> Trail:
        trail, y = Trail(), self.cell(x[:, 0]) if not self.fed else x.new_zeros(N, H)
        for t in range(T):
            y = self.solve(self.function, y, torch.tensor(0.1 * t), 0.3)
            y = self.cell(x[:, t], y) if self.fed else y
            trail.add(y=y)
            trail.losses[t] = self.head(y).square().sum()
        return trail


@pytest.mark.parametrize("fed", [True, False])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_step_is_a_step_of_the_solver_or_an_input(solver: str, fed: bool) -> None:
    model, x = Equation(solver, fed=fed).double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(x)
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert [(one.name, one.timesteps) for one in trace.recurrences] == [("cell" if fed else "function", T)]
    assert trace.lags[0].losses.tolist() == list(range(T))
    assert certified(trace)
    if fed or solver != "euler":
        check(trace, "cell.h" if fed else "function.h", trail, "y")
    assert [one.name for one in trace.input_lags] == (["input of cell"] if fed else [])


class Holding(nn.Module):  # type: ignore[misc, name-defined]
    """A step whose state is an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.h = nn.Linear(2 * H, H), torch.zeros(N, H).double()

    def forward(self, x: Any) -> Any:
        self.h = self.read(torch.cat([x, self.h], 1)).tanh()
        return self.h


def test_a_module_that_holds_a_state_is_no_part_of_what_it_is_fed_back_to() -> None:
    cell, above = nn.GRUCell(D + H, H).double(), Holding().double()
    with rnngraph.torch.watch(nn.ModuleList([cell, above])) as watch:
        h = back = torch.zeros(N, H).double()
        for x in torch.randn(T, N, D).double():
            h = cell(torch.cat([x, back], 1), h)
            back = above(h)
        back.square().sum().backward()
    assert [(one.path, one.steps) for one in watch.find().recurrences] == [("0", T), ("1", T)]


def test_a_cut_between_calls_is_no_step_of_a_solver() -> None:
    class Own(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.turn = nn.Linear(H, H)

        def forward(self, h: Any) -> Any:
            return self.turn(h).tanh()

    model, h, loss = Own().double(), torch.randn(N, H).double(), torch.zeros(()).double()
    with rnngraph.torch.watch(model) as watch:
        for t in range(8):
            h = model(h.detach() if t == 4 else h)
            loss = loss + h.square().sum()
        loss.backward()
    assert [one.steps for one in watch.find().recurrences] == [8]
    assert watch.trace().recurrences[0].cut.tolist() == [False] * 4 + [True] + [False] * 3
