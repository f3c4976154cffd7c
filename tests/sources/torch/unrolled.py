"""Recurrent layers of PyTorch written out step by step, so that autograd shows every state's gradient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")


@dataclass
class Unrolled:
    """States by (kind, layer, reverse), one tensor a timestep in input order; and what the layer returns."""

    states: dict[tuple[str, int, bool], list[Any]] = field(default_factory=dict)
    output: Any = None
    final: dict[str, Any] = field(default_factory=dict)

    def norms(self, kind: str, layer: int, reverse: bool) -> Any:
        """The norm of every state's gradient, (T,)."""
        states = self.states[kind, layer, reverse]
        return np.array([0.0 if one.grad is None else float(one.grad.norm()) for one in states])


def step(mode: str, x: Any, h: Any, c: Any, weights: dict[str, Any], keep: Any) -> tuple[Any, Any]:
    """One step, from the formulas in PyTorch's documentation; samples that are not kept copy their states."""
    wi, wh = weights["weight_ih"], weights["weight_hh"]
    a, b = x @ wi.T, h @ wh.T
    if "bias_ih" in weights:
        a, b = a + weights["bias_ih"], b + weights["bias_hh"]
    if mode in ("RNN_TANH", "RNN_RELU"):
        return torch.where(keep, torch.tanh(a + b) if mode == "RNN_TANH" else torch.relu(a + b), h), c
    if mode == "LSTM":
        i, f, g, o = (a + b).chunk(4, dim=-1)
        c = torch.where(keep, torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g), c)
        new = torch.sigmoid(o) * torch.tanh(c)
        return torch.where(keep, new @ weights["weight_hr"].T if "weight_hr" in weights else new, h), c
    (ar, az, an), (br, bz, bn) = a.chunk(3, dim=-1), b.chunk(3, dim=-1)
    r, z = torch.sigmoid(ar + br), torch.sigmoid(az + bz)
    return torch.where(keep, (1 - z) * torch.tanh(an + r * bn) + z * h, h), c


def unroll(module: Any, x: Any, lengths: Any = None, initial: Any = None, masks: Any = ()) -> Unrolled:
    """Walk `x` (N, T, D) through a module's weights; every state keeps its gradient."""
    found = Unrolled()
    batch, time, _ = x.shape
    valid = torch.ones(batch, time, dtype=torch.bool) if lengths is None else torch.arange(time) < lengths[:, None]
    finals: dict[str, list[Any]] = {"h": [], "c": []}
    sides = (False, True) if module.bidirectional else (False,)
    for layer in range(module.num_layers):
        outputs = []
        for reverse in sides:
            ending = f"_l{layer}" + ("_reverse" if reverse else "")
            weights = {
                name.removesuffix(ending): value for name, value in module.named_parameters() if name.endswith(ending)
            }
            place = layer * len(sides) + reverse
            h = torch.zeros(batch, module.proj_size or module.hidden_size, dtype=x.dtype)
            c = torch.zeros(batch, module.hidden_size, dtype=x.dtype)
            if initial is not None:
                h, c = initial["h"][place], initial.get("c", [c] * 99)[place]
            hs: list[Any] = [None] * time
            cs: list[Any] = [None] * time
            for t in reversed(range(time)) if reverse else range(time):
                keep = valid[:, t, None]
                h, c = step(module.mode, x[:, t], h, c, weights, keep)
                hs[t], cs[t] = h, c
                for state in (h, c) if module.mode == "LSTM" else (h,):
                    state.retain_grad()
            found.states["h", layer, reverse] = hs
            if module.mode == "LSTM":
                found.states["c", layer, reverse] = cs
            finals["h"].append(h)
            finals["c"].append(c)
            outputs.append(torch.stack(hs, dim=1) * valid[..., None])
        x = torch.cat(outputs, dim=-1)
        if layer < len(masks):
            x = x * masks[layer]
    found.output = x
    found.final = {kind: torch.stack(states) for kind, states in finals.items()}
    return found
