"""Layers drawn at random, upon and beside one another: every loss at what the network is fed, by plain autograd."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.truth import certified, gradients

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, H = 3, 5, 4
KINDS = ("GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "Conv1d")


class Layers(nn.Module):  # type: ignore[misc, name-defined]
    """Each reads the data or what one before it made, and begins from zero or where one before it ended."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        torch.manual_seed(seed)
        self.kinds = draw.choices(KINDS, weights=(3, 3, 2, 2, 2, 1), k=draw.choice([1, 2, 2, 3, 4]))
        self.embeds = "Conv1d" in self.kinds or draw.random() < 0.7
        self.reads = [draw.choice([-1, -1, *range(k)]) for k in range(len(self.kinds))]
        self.begins = [draw.choice([-1, *range(k)]) for k in range(len(self.kinds))]
        self.judged = [True if k == len(self.kinds) - 1 else draw.random() < 0.5 for k in range(len(self.kinds))]
        self.apart = [
            draw.random() < 0.3 and kind in KINDS[:3] for kind in self.kinds
        ]  # in two calls that go on from one another
        self.layers = nn.ModuleList(self.made(kind, draw) for kind in self.kinds)
        self.embed = nn.Linear(H, H)

    def made(self, kind: str, draw: random.Random) -> Any:
        if kind == "Conv1d":
            return nn.Conv1d(T, T, 1)
        both = draw.random() < 0.3
        more = {} if kind.endswith("Cell") else {"num_layers": draw.choice([1, 2]), "bidirectional": both}
        return getattr(nn, kind)(H, H // 2 if more.get("bidirectional") else H, **more)

    def run(self, k: int, x: Any, first: Any) -> Any:
        """Give what a layer makes of (T, N, H), begun from (N, H) or nothing."""
        kind, layer = self.kinds[k], self.layers[k]
        if kind == "Conv1d":
            return layer(x.transpose(0, 1)).transpose(0, 1)
        if not kind.endswith("Cell"):
            if first is not None:
                parts = 2 if layer.bidirectional else 1
                first = first.unflatten(1, (parts, -1)).transpose(0, 1).repeat(layer.num_layers, 1, 1)
            state = (first, first) if first is not None and kind == "LSTM" else first
            made = []
            for some in (x[:2], x[2:]) if self.apart[k] else (x,):
                output, state = layer(some, state)
                made.append(output)
            return torch.cat(made)
        state, made = (first, first) if first is not None and kind == "LSTMCell" else first, []
        for one in x:
            state = layer(one) if state is None else layer(one, state)
            made.append(state[0] if kind == "LSTMCell" else state)
        return torch.stack(made)

    def forward(self, given: list[Any]) -> dict[tuple[int, int], Any]:
        """Give the losses by layer and step; `given` is the data as each layer reads it."""
        made: list[Any] = []
        for k, (below, start) in enumerate(zip(self.reads, self.begins, strict=True)):
            x = given[k] if below < 0 else made[below]
            made.append(self.run(k, x, None if start < 0 else made[start][-1]))
        judged = [(k, one) for k, one in enumerate(made) if self.judged[k]]
        return {(k, t): h.sin().square().sum() * (1 + t) for k, one in judged for t, h in enumerate(one)}


@pytest.mark.parametrize("seed", range(60))
def test_every_loss_at_every_input(seed: int) -> None:
    model = Layers(seed).double()
    x, count = torch.randn(T, N, H).double(), len(model.kinds)
    paths = [f"layers.{k}" for k in range(count)]
    with rnngraph.torch.watch(model, only=paths if "Conv1d" in model.kinds else None) as watch:
        sum(model([model.embed(x) if model.embeds else x] * count).values()).backward()
    trace = watch.trace(lags=rnngraph.LagOptions(losses="all", samples="all"))
    assert certified(trace)
    leaves = [(model.embed(x) if model.embeds else x).detach().requires_grad_() for _ in paths]
    losses, clocks = model(leaves), {one.name.split("_l")[0]: one.clock for one in trace.recurrences}
    for fed in trace.input_lags:
        # At a tensor that was computed is all that reaches it; at data, or a part of it, is what its readers hand down.
        readers = {int(one.split("_l")[0].removeprefix("layers.")) for one in fed.recurrences}
        whole = model.embeds and model.kinds[min(readers)] in KINDS[:3] and not model.apart[min(readers)]
        own = [one for k, one in enumerate(leaves) if k in readers or whole]
        name = next(one.name for one in trace.states if one.recurrence == fed.recurrences[0])
        lag = next(one for one in trace.lags if one.state == name)
        for place, (clock, t) in enumerate(zip(lag.clocks.tolist(), lag.losses.tolist(), strict=True)):
            loss = sum(one for (k, s), one in losses.items() if s == t and clocks[paths[k]] == clock)
            known = sum(gradients(loss, own)).norm(dim=-1).numpy().T
            np.testing.assert_allclose(np.exp(fed.log[:, place]), known, rtol=1e-7, atol=1e-9 * known.max())
