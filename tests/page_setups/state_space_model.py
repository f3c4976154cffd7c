"""A small state-space model from a published start, as a file, as a folder and as a Python function."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


class Scan(torch.nn.Module):  # type: ignore[misc]
    """A recurrence with a scalar gate a head."""

    def __init__(self, heads: int = 64) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        steps = torch.exp(torch.rand(heads, generator=draw) * (math.log(0.1) - math.log(1e-3)) + math.log(1e-3))
        self.A_log = torch.nn.Parameter(torch.log(1 + 15 * torch.rand(heads, generator=draw)))
        self.dt_bias = torch.nn.Parameter(torch.log(torch.expm1(steps)))
        self.in_proj = torch.nn.Linear(heads, 2 * heads, bias=False)
        self.config = {"model_type": "mamba2"}

    def forward(self, hidden: Any) -> Any:
        u, a = self.in_proj(hidden).chunk(2, dim=-1)
        decay = torch.exp(-self.A_log.exp() * torch.nn.functional.softplus(a + self.dt_bias))
        state, out = torch.zeros_like(u[:, 0]), []
        for t in range(u.shape[1]):
            state = decay[:, t] * state + u[:, t]
            out.append(state)
        return torch.stack(out, dim=1)


def build() -> Any:
    return Scan()


def model_and_batch() -> Any:
    return Scan(), torch.randn(2, 24, 64, generator=torch.Generator().manual_seed(1))


model, batch = model_and_batch()
Path("model").mkdir(exist_ok=True)
for place in ("model.safetensors", "model/model.safetensors"):
    save_file(model.state_dict(), place)
for place in ("config.json", "model/config.json"):
    Path(place).write_text(json.dumps(model.config), encoding="utf-8")
Path("model.py").write_text(
    "from tests.page_setups.state_space_model import build, model_and_batch\n", encoding="utf-8"
)
