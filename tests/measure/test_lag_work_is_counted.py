"""What the lag matrix promises of its work: a step is walked once for all losses, and not once a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.node import Op
from tests.measure.lag_networks import by_hand, captioner, measured

LAYERS: dict[str, Any] = {
    "rnn": lambda **options: nn.RNN(4, 6, **options),
    "lstm": lambda **options: nn.LSTM(4, 6, **options),
    "gru": lambda **options: nn.GRU(4, 6, **options),
}


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}])
@pytest.mark.parametrize("cell", LAYERS)
def test_all_losses_are_carried_back_by_the_same_products(
    cell: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    time, layer = 12, LAYERS[cell](**options)
    rows: list[int] = []
    back = type(layer.cell).back

    def counted(self: Any, columns: Any, p: int, g: Any, *rest: Any) -> None:
        rows.append(len(g[0]))
        back(self, columns, p, g, *rest)

    monkeypatch.setattr(type(layer.cell), "back", counted)
    traces = measured(captioner(layer, time=time))
    assert all(len(trace.losses) == time for trace in traces.values())
    below = 2 if "num_layers" in options else 1
    ways = 2 if "bidirectional" in options else 1
    assert len(rows) <= time * below * ways + time * (below - 1)  # the layer above is walked once for what enters
    assert max(rows) == time


@pytest.mark.parametrize("losses", [[29], [3, 29], list(range(30))])
def test_a_rule_is_called_once_a_step_for_all_losses(losses: list[int]) -> None:
    calls: list[int] = []

    def vjp(g: Any, node: Any) -> Any:
        calls.append(1)
        return (g * 0.5,)

    half = Op("half", "h/2", lambda h: h * 0.5, vjp)
    loss = by_hand(lambda h, _: h.tape.apply(half, h), np.ones((2, 3)), time=30, readout=np.ones(3), losses=losses)
    rg.gradients(loss)
    assert len(calls) == 30
    calls.clear()
    (trace,) = measured(loss).values()
    assert trace.log.shape == (2, len(losses), 31)
    assert len(calls) <= 30 + 2  # the first matrices of a step are held to random rows
