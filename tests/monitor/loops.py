"""Training loops as people write them: each trains a model for some steps and tells the loss of every step.

A loop calls `about_to_step()` before every optimizer step of the model, so that a test can look at the weights there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
T, N, D, H = 5, 2, 3, 4

Loop = Callable[[Any, int, Callable[[], None]], list[float]]


def hooks_on() -> int:
    """Count the functions that hear of every optimizer's steps."""
    return len(sys.modules["torch.optim.optimizer"]._global_optimizer_pre_hooks)


class Model(nn.Module):  # type: ignore[misc, name-defined]
    """A fused layer with dropout under a cell in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.cell, self.head = nn.LSTM(D, H, 2, dropout=0.2), nn.GRUCell(H, H), nn.Linear(H, 2)

    def forward(self, x: Any, state: Any = None) -> Any:
        output, state = self.rnn(x, state)
        h, found = None, []
        for one in output:
            h = self.cell(nn.functional.dropout(one, 0.1, self.training), h)
            found.append(self.head(h))
        return torch.stack(found), state


def _batches(steps: int) -> Iterator[Any]:
    for _ in range(steps):
        yield torch.randn(T, N, D)


def _loss(model: Any, x: Any) -> Any:
    return model(x)[0].square().mean()


def plain(model: Any, steps: int, about_to_step: Callable[[], None]) -> list[float]:
    optimiser, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 50)
    for x in _batches(steps):
        optimiser.zero_grad()
        loss = _loss(model, x)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        about_to_step()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses


def accumulated(model: Any, steps: int, about_to_step: Callable[[], None]) -> list[float]:
    optimiser, losses = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), []
    for _ in range(steps):
        optimiser.zero_grad()
        parts = []
        for x in _batches(3):
            loss = _loss(model, x) / 3
            loss.backward()
            parts.append(float(loss.detach()))
        about_to_step()
        optimiser.step()
        losses.append(sum(parts))
    return losses


def truncated(model: Any, steps: int, about_to_step: Callable[[], None]) -> list[float]:
    optimiser, losses = torch.optim.RMSprop(model.parameters(), lr=0.001), []
    state: Any = None
    for x in _batches(steps):
        state = None if state is None else tuple(one.detach() for one in state)
        output, state = model(x, state)
        loss = output.square().mean()
        optimiser.zero_grad()
        loss.backward()
        about_to_step()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def narrow(model: Any, steps: int, about_to_step: Callable[[], None]) -> list[float]:
    """Mixed precision with a scaler that skips a step now and then."""
    optimiser, losses = torch.optim.SGD(model.parameters(), lr=0.01), []
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=5)
    for number, x in enumerate(_batches(steps + steps // 20)):
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(x)[0]
            loss = output.float().square().mean()
        scaler.scale(loss).backward()
        if number % 20 == 19:  # a gradient that overflowed: the scaler takes no step
            model.head.weight.grad[0, 0] = torch.inf
        else:
            losses.append(float(loss.detach()))
            about_to_step()
        scaler.step(optimiser)
        scaler.update()
    return losses


def several(model: Any, steps: int, about_to_step: Callable[[], None]) -> list[float]:
    """One optimizer for the head, one for the rest, and another model's beside them."""
    other = nn.Linear(2, 1)
    optimisers = [
        torch.optim.SGD(model.head.parameters(), lr=0.1),
        torch.optim.Adam([*model.rnn.parameters(), *model.cell.parameters()], lr=0.01),
        torch.optim.SGD(other.parameters(), lr=0.1),
    ]
    losses = []
    for x in _batches(steps):
        other(model(x)[0].detach()).square().mean().backward()
        optimisers[2].step()
        loss = _loss(model, x)
        loss.backward()
        about_to_step()
        for one in optimisers[:2]:
            one.step()
            one.zero_grad()
        optimisers[2].zero_grad()
        losses.append(float(loss.detach()))
    return losses


def evaluated(model: Any, steps: int, about_to_step: Callable[[], None]) -> list[float]:
    """Evaluation after every step, with gradients and without."""
    optimiser, losses = torch.optim.AdamW(model.parameters(), lr=0.01), []
    for x in _batches(steps):
        model.train()
        loss = _loss(model, x)
        optimiser.zero_grad()
        loss.backward()
        about_to_step()
        optimiser.step()
        losses.append(float(loss.detach()))
        model.eval()
        _loss(model, x).item()
        with torch.no_grad():
            _loss(model, x).item()
    return losses


def closed(model: Any, steps: int, about_to_step: Callable[[], None]) -> list[float]:
    """Forward and backward inside the step, several times."""
    optimiser, losses = torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=2), []
    for x in _batches(steps):
        runs: list[float] = []

        def closure(x: Any = x, runs: list[float] = runs) -> Any:
            optimiser.zero_grad()
            loss = _loss(model, x)
            loss.backward()
            if not runs:
                about_to_step()
            runs.append(float(loss.detach()))
            return loss

        optimiser.step(closure)
        losses.append(runs[0])
    return losses


LOOPS: dict[str, Loop] = {
    one.__name__: one for one in (plain, accumulated, truncated, narrow, several, evaluated, closed)
}
