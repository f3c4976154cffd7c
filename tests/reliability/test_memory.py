"""What is done over and over in a notebook or a training run takes no more memory the thousandth time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import run

MOST_GROWTH = 1_000_000  # bytes
MOST_OBJECTS = 20  # fewer than one each time
_BEGINNING = f"""
import gc
import numpy as np
def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * 4096
def grown(work, times):
    for _ in range(times // 4):
        work()
    for _ in range(3):  # what leaks grows every time; what the allocator takes at some moment does not
        before, objects = resident(), len(gc.get_objects())
        for _ in range(times):
            work()
        memory, objects = resident() - before, len(gc.get_objects()) - objects
        if memory < {MOST_GROWTH}:
            break
    print(memory, objects)
"""
RECORD = f"""{_BEGINNING}
import rnngraph
from rnngraph import Tape, nn
layer = nn.LSTM(3, 4, seed=0)
x = np.random.default_rng(0).normal(size=(2, 6, 3))
def work():
    rnngraph.record((layer(Tape().input(x, "x")) ** 2).sum(), lags=True)
grown(work, 300)
"""
WATCH = f"""{_BEGINNING}
import rnngraph
import torch
torch.manual_seed(0)
torch.set_num_threads(1)
model = torch.nn.LSTM(3, 4, batch_first=True)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
x = torch.randn(2, 6, 3)
def work():
    optimizer.zero_grad()
    with rnngraph.torch.watch(model) as watch:
        (model(x)[0] ** 2).sum().backward()
    watch.trace()
    optimizer.step()
grown(work, 75)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what Linux says of a process")
@pytest.mark.parametrize(("name", "code"), [("record", RECORD), ("watch", WATCH)])
def test_no_memory_is_kept(name: str, code: str, tmp_path: Path) -> None:
    if name == "watch":
        pytest.importorskip("torch")
    (tmp_path / "work.py").write_text(code)
    done = run("work.py", folder=tmp_path, loaded="torch" if name == "watch" else "")
    assert done.returncode == 0, done.stderr
    memory, objects = map(int, done.stdout.split())
    assert memory < MOST_GROWTH
    assert objects < MOST_OBJECTS
