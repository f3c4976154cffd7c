"""What watching costs, as ratios to a plain training step of the same size: `python -m
tests.benchmarks.torch_watch`.

Everything is measured: norms, parts of weights, and the lags of 32 losses at 8 samples. Each row runs in a process
of its own, so that peak memory means something; the largest row only with `--large`. It is the processor's time that
counts, which other work on the machine changes least: run it with one thread (`OMP_NUM_THREADS=1`).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

ROWS: dict[str, tuple[str, tuple[int, ...], float]] = {
    "fused (32,128,128,256,2)": ("fused", (32, 128, 128, 256, 2), 6.0),
    "LSTMCell in a loop (16,100,64,128)": ("cell", (16, 100, 64, 128, 1), 10.0),
    "fused (64,256,512,512,2)": ("fused", (64, 256, 512, 512, 2), 15.0),
}
MEMORY = 1.5


def model_of(kind: str, sizes: tuple[int, ...]) -> tuple[Any, Any]:
    """Make a model and a batch."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    batch, time_, inputs, hidden, layers = sizes

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(inputs, hidden, layers) if kind == "fused" else nn.LSTMCell(inputs, hidden)
            self.head = nn.Linear(hidden, 10)

        def forward(self, x: Any) -> Any:
            if kind == "fused":
                return self.head(self.rnn(x)[0])
            state, found = None, []
            for one in x:
                state = self.rnn(one, state)
                found.append(state[0])
            return self.head(torch.stack(found))

    return Model(), torch.randn(time_, batch, inputs)


def run(kind: str, sizes: tuple[int, ...], *, watched: bool, repeats: int) -> dict[str, float]:
    """Time plain steps and, where asked for, watched ones, in processor time; peak memory in MB."""
    import torch

    import rnngraph

    model, x = model_of(kind, sizes)

    def step() -> None:
        model.zero_grad()
        model(x).square().mean().backward()

    step()
    plain, asked = [], []
    for _ in range(repeats):
        start = time.process_time()
        step()
        plain.append(time.process_time() - start)
        if watched:
            with rnngraph.torch.watch(model) as watch:
                step()
            start = time.process_time()
            trace = watch.trace()
            asked.append(time.process_time() - start)
            assert len(trace.lags[0].losses) == 32
            assert len(trace.lags[0].samples) == 8
            del watch
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    threads = float(torch.get_num_threads())
    return {
        "plain": statistics.median(plain), "peak": peak, "threads": threads,
        **({"trace": statistics.median(asked)} if watched else {}),
    }  # fmt: skip


def entering() -> dict[str, float]:
    """Time the first block around a step, over a plain step and the imports."""
    import torch

    model, x = model_of("cell", (16, 20, 8, 16, 1))
    start = time.perf_counter()
    import rnngraph

    with rnngraph.torch.watch(model):
        imported = time.perf_counter() - start
        model(x).square().mean().backward()
    heavy = [name for name in ("torch._dynamo", "torch._inductor", "torch.onnx") if name in sys.modules]
    assert torch.is_grad_enabled()
    return {"seconds": imported, "heavy": float(len(heavy))}


def _in_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.torch_watch", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--row")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    if options.row == "entering":
        print(json.dumps(entering()))
        return
    if options.row:
        kind, sizes, _ = ROWS[options.row]
        print(json.dumps(run(kind, sizes, watched=not options.plain, repeats=options.repeats)))
        return
    first = _in_process("--row", "entering")
    table = [("the first block, heavy modules imported", first["heavy"], 0.0)]
    for name, (_, sizes, goal) in ROWS.items():
        if sizes[0] > 32 and not options.large:
            continue
        repeats = ["--repeats", "1" if sizes[0] > 32 else str(options.repeats)]
        watched, plain = _in_process("--row", name, *repeats), _in_process("--row", name, "--plain", *repeats)
        table.append((f"{name}: trace, in plain steps", watched["trace"] / watched["plain"], goal))
        table.append((f"{name}: peak memory", watched["peak"] / plain["peak"], MEMORY))
    if options.json:
        print(json.dumps([{"what": what, "value": value, "goal": goal} for what, value, goal in table]))
        return
    for what, value, goal in table:
        print(f"{what:55} {value:8.2f}  goal {goal:g}")


if __name__ == "__main__":
    main()
