"""A distributed run of two ranks on the CPU: each trains plainly and watched, and writes down what came out."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

import rnngraph


class Model(nn.Module):  # type: ignore[misc]
    """A fused layer under a cell in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.cell, self.head = nn.LSTM(4, 6), nn.GRUCell(6, 6), nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        h, found = None, []
        for one in self.rnn(x)[0]:
            h = self.cell(one, h)
            found.append(self.head(h))
        return torch.stack(found)


def wrapped(how: str) -> Any:
    torch.manual_seed(0)
    model = Model()
    if how == "ddp":
        return nn.parallel.DistributedDataParallel(model)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2,))  # also where there is a GPU

    for one in (model.rnn, model.cell, model.head):
        fully_shard(one, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def trained(model: Any, x: Any) -> list[Any]:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    for part in x:
        optimiser.zero_grad()
        model(part).square().mean().backward()
        seen += [_whole(p.grad).clone() for p in model.parameters()]
        optimiser.step()
    return [*seen, *(_whole(p.detach()).clone() for p in model.parameters())]


def _whole(tensor: Any) -> Any:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def along(how: str, rank: int, folder: str, x: Any, plain: list[Any]) -> dict[str, Any]:
    """Train once more with a monitor on every rank: what it wrote, and what it logged."""
    model, logged = wrapped(how), []
    place = f"{folder}/{how}_runs_{rank}"
    with rnngraph.torch.monitor(model, 2, place, log=lambda values, step: logged.append(step)) as monitor:
        seen = trained(model, x)
    traces = [rnngraph.Trace.load(path) for path in monitor.files]
    return {
        "along": all(torch.equal(a, b) for a, b in zip(plain, seen, strict=True)),
        "logged": logged,
        "written": [one.training_step for one in traces],
        "losses": [one.training_loss for one in traces],
        "along_grad": [[state.grad.value.tolist() for state in one.states] for one in traces],
        "monitor_notes": monitor.notes,
    }


def main(how: str, rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous_{how}", rank=rank, world_size=2)
    try:
        x = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(rank))
        plain = trained(wrapped(how), x)
        model = wrapped(how)
        asks = how == "fsdp" or rank == 0
        if asks:
            with rnngraph.torch.watch(model) as watch:
                seen = trained(model, x)
            trace = watch.trace()
            found = {
                "states": [one.name for one in trace.states],
                "grad": [one.grad.value.tolist() for one in trace.states],
                "notes": list(trace.notes),
            }
        else:
            seen, found = trained(model, x), {}
        same = all(torch.equal(a, b) for a, b in zip(plain, seen, strict=True))
        found |= along(how, rank, folder, x, plain)
        with open(f"{folder}/{how}_{rank}.json", "w") as file:
            json.dump({"same": same, **found}, file)
        dist.barrier()
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    other = os.fork()
    for each in sys.argv[2:]:
        main(each, 0 if other else 1, sys.argv[1])
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) if other else 0)
