"""What a trace must say, from plain autograd: the gradient of the loss of every step at every state that a model's
loop made.

A model of the tests appends its states, and the loss of every step, to a `Trail`; nothing of it is known to the
watch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from rnngraph.trace.model import Trace

torch = pytest.importorskip("torch")


@dataclass
class Trail:
    """States by name, one a step, and losses by step."""

    states: dict[str, list[Any]] = field(default_factory=dict)
    losses: dict[int, Any] = field(default_factory=dict)
    inputs: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, **states: Any) -> None:
        """Note the states of a step."""
        for name, state in states.items():
            self.states.setdefault(name, []).append(state)

    def total(self) -> Any:
        """The whole loss."""
        return sum(self.losses.values())


def gradients(loss: Any, tensors: list[Any]) -> list[Any]:
    """Plain gradients; zeros where the loss does not depend on a tensor."""
    found = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(one) if g is None else g for one, g in zip(tensors, found, strict=True)]


def by_sample(gradient: Any, axis: int = 0) -> Any:
    """Norms of every sample, (N,)."""
    moved = gradient.movedim(axis, 0) if gradient.dim() > 1 else gradient[None]
    flat = moved.reshape(len(moved), -1)
    both = torch.cat([flat.real, flat.imag], 1) if flat.is_complex() else flat
    return both.double().norm(dim=1).numpy()


def check(
    trace: Trace,
    name: str,
    trail: Trail,
    key: str,
    *,
    axis: int = 0,
    rtol: float = 1e-11,
    clock: int | None = None,
    causal: bool = True,
) -> None:
    """Compare a state of the trace, whole and loss by loss, with plain autograd; `rtol` is of the largest as well.

    Lags are measured from where a loss arrives; under a layer of two directions (not `causal`) it also arrives behind.
    """
    states = trail.states[key]
    state = next(one for one in trace.states if one.name == name)
    truth = np.stack([_padded(by_sample(g, axis), _batch(trace, state)) for g in gradients(trail.total(), states)])
    size = truth.max()
    time = len(states)
    np.testing.assert_allclose(state.grad.value[:time], np.sqrt((truth**2).sum(axis=1)), rtol=rtol, atol=rtol * size)
    lag = next(one for one in trace.lags if one.state == name)
    direction = next(one.direction for one in trace.recurrences if one.name == state.recurrence)
    clocks = set(lag.clocks.tolist()) if clock is None else {clock}
    compared = 0
    for place, (s, own) in enumerate(zip(lag.losses.tolist(), lag.clocks.tolist(), strict=True)):
        if own not in clocks or s not in trail.losses:
            continue
        rows = [_padded(by_sample(g, axis), _batch(trace, state)) for g in gradients(trail.losses[s], states)]
        known = np.stack(rows, axis=1)[lag.samples]  # (B, T)
        found = np.exp(np.where(np.isnan(lag.log[:, place, 1:]), -np.inf, lag.log[:, place, 1:]))
        born = lag.arrivals[:, place]
        reverse = direction != "forward"
        before = np.arange(time) >= born[:, None] if reverse else np.arange(time) <= born[:, None]
        np.testing.assert_allclose(found[before], known[before], rtol=1e-9, atol=rtol * max(known.max(), 1e-300))
        if causal:
            assert np.all(known[~before] == 0), "a loss arrives behind what is said to be its first step"
        compared += 1
    assert compared == sum(1 for s, own in zip(lag.losses.tolist(), lag.clocks.tolist(), strict=True) if own in clocks)


def _batch(trace: Trace, state: Any) -> int:
    return next(len(one.valid) for one in trace.recurrences if one.name == state.recurrence)


def _padded(norms: Any, batch: int) -> Any:
    if batch < len(norms):  # rows that no step keeps apart are one sample
        return np.array([np.linalg.norm(norms)])
    return np.concatenate([norms, np.zeros(batch - len(norms))])


def certified(trace: Trace) -> bool:
    """Whether every check of the trace against itself and PyTorch was passed."""
    return bool(trace.checks) and not any(one.startswith("uncertain") for one in trace.notes)
