"""Data parallel and sharded training with two processes: nothing changes, and what is traced is the rank's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.programs import run

torch = pytest.importorskip("torch")

WAYS = ("ddp", "fsdp") if torch.__version__ >= "2.7" else ("ddp",)  # older ones cannot shard on a CPU


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run both ways in one pair of processes, and give the folder of what each rank wrote."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    folder, program = tmp_path_factory.mktemp("ranks"), Path(__file__).with_name("two_processes.py")
    done = run(str(program), str(folder), *WAYS, folder=folder, environment={"OMP_NUM_THREADS": "1"}, loaded="torch")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("how", WAYS)
def test_two_processes(how: str, written: Path) -> None:
    from tests.sources.torch.two_processes import Model

    found = [json.loads((written / f"{how}_{rank}.json").read_text()) for rank in (0, 1)]
    assert all(one["same"] for one in found)  # gradients of every step and weights at the end, bit for bit
    assert all(one["along"] for one in found)
    assert [one["monitor_notes"] for one in found] == [[], []]
    assert [one["logged"] for one in found] == [[0, 2], []]  # the first rank alone speaks
    assert [one["written"] for one in found] == [[0, 2], []]
    np.testing.assert_allclose(found[0]["along_grad"][1], found[0]["grad"], rtol=1e-6)
    assert found[0]["states"] == ["rnn.h", "rnn.c", "cell.h"]
    assert not any(note.startswith("uncertain") for note in found[0]["notes"])
    # One process alone, with the mean of both ranks' gradients, gives the same figures of the last step.
    np.testing.assert_allclose(found[0]["grad"], alone(Model()), rtol=1e-3)
    assert found[0]["losses"][0] == pytest.approx(first_loss(Model()), rel=1e-5)


def first_loss(model: Any) -> float:
    torch.manual_seed(0)
    x = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    return float(type(model)()(x[0]).square().mean().detach())


def alone(model: Any) -> Any:
    torch.manual_seed(0)
    model = type(model)()
    data = [torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(rank)) for rank in (0, 1)]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for k in range(3):
        optimiser.zero_grad()
        if k < 2:
            (sum(model(x[k]).square().mean() for x in data) / 2).backward()
            optimiser.step()
        else:
            with rnngraph.torch.watch(model) as watch:
                model(data[0][k]).square().mean().backward()
    return [one.grad.value.tolist() for one in watch.trace().states]
