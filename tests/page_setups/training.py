"""A PyTorch model and its training, as a reader of the page on trainings has them."""

from pathlib import Path
from typing import Any

import torch

import rnngraph
from tests import programs

torch.manual_seed(0)
model = torch.nn.GRU(4, 8, batch_first=True)
optimizer = torch.optim.Adam(model.parameters())


def build() -> tuple[Any, Any]:
    """Give the pair of module and batch."""
    return model, torch.randn(8, 12, 4, generator=torch.Generator().manual_seed(0))


def train(folder: str) -> None:
    """Take six steps, each measured."""
    with rnngraph.torch.monitor(model, every=1, folder=folder):
        for _ in range(6):
            optimizer.zero_grad()
            model(build()[1])[0].square().mean().backward()
            optimizer.step()


def save_main() -> None:
    """Save a trace as the main branch would."""
    Path("model.py").write_text("from tests.page_setups.training import build\n", encoding="utf-8")
    assert programs.run("trace", "model.py:build", "-o", "main.npz", folder=Path.cwd(), loaded="torch").returncode == 0
