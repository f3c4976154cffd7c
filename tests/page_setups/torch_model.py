"""A PyTorch model, a batch and a loss, as a reader of the README has them."""

from typing import Any

import torch


class Model(torch.nn.Module):  # type: ignore[misc]
    """The last state of a GRU, and a number made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = torch.nn.GRU(16, 32, batch_first=True), torch.nn.Linear(32, 1)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0][:, -1])


model, criterion, batch, targets = Model(), torch.nn.MSELoss(), torch.randn(8, 50, 16), torch.randn(8, 1)
