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
