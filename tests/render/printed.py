"""What every command prints as JSON, of every cell, shape, verdict and status."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.model import Trace
from tests.diagnosis.verdict_networks import recorded
from tests.history.trainings import network, save
from tests.render.exact_networks import exact
from tests.typed import strict, typed
from tests.uneven_traces import uneven_trace

MODEL = """
import numpy as np
import rnngraph as rg
from rnngraph import nn

def delayed(lag=3):
    hidden = nn.RNN(1, 8)(rg.Tape().input(np.ones((5, 30, 1))))
    return (hidden**2).mean()

def wrong():
    square = rg.Op("square", "x²", lambda a: a * a, lambda g, node: (3 * g * node.arguments[0],), "", stepwise="all")
    x = rg.Tape().input([[0.5, -1.0]])
    return x.tape.apply(square, x).sum()
"""
LIVE = """
import torch

def pair():
    torch.manual_seed(0)
    return torch.nn.LSTM(3, 4, batch_first=True), torch.ones(2, 9, 3)
"""
ENDS = np.arange(90) < [[90], [40], [7], [1]]
TRACES: dict[str, Callable[[], Trace]] = {
    "vanishing": partial(exact, 0.3, labels=[f"w{t}" for t in range(60)]),
    "exploding": partial(exact, 1.5, layers=2),
    "remembers": partial(exact, 0.99, both=True),
    "extinct": partial(exact, 1e-9, timesteps=40),
    "one loss": partial(exact, 0.9, last=True, layers=3),
    "overflowing": lambda: recorded(nn.RNN(6, 8, nonlinearity="relu", gain=1e12), time=40),
    "few": lambda: recorded(nn.LSTM(6, 8), time=60, lags=rg.LagOptions(losses=4, samples=2, max_lag=9)),
    "padded": lambda: recorded(nn.GRU(6, 8, bidirectional=True), mask=ENDS, copy=True),
    "cut": lambda: recorded(nn.LSTM(6, 8, forget_bias=5.0, truncate=10), time=40),
    "saturated": lambda: recorded(nn.RNN(6, 8, gain=30.0), time=30, inputs=9.0),
    "two clocks": lambda: encoder_decoder(),
    "dead": lambda: network(0.0),
    "no lags": lambda: recorded(nn.LSTM(6, 8, num_layers=2), time=20, lags=False),
    "uneven": uneven_trace,
}  # fmt: skip
JUDGED = [name for name in TRACES if name not in ("no lags", "uneven")]
BOTH = ("--bidirectional",)
DEMOS = [
    ("--cell", cell, "--layers", layers, *both, "--timesteps", "5", "--hidden-size", "4")
    for cell, layers, both in (("tanh", "1", ()), ("relu", "2", ()), ("lstm", "1", ()), ("gru", "2", BOTH))
]
DRAWN = [("--cell", "lstm", *how, "--from", "total") for how in (("--view", "rolled"), ("--detail", "op"))]
DYING = ("--init", "normal", "--gain", "0.4", "--timesteps", "30", "--hidden-size", "4")
SMALL = ("--timesteps", "5", "--hidden-size", "4")
SPECTRUM = ("--timesteps", "12", "--hidden-size", "4", "--spectrum", "2", "--no-try")


def encoder_decoder() -> Trace:
    """Record an encoder whose last state begins a decoder, which alone has losses."""
    tape = rg.Tape()
    encoder, decoder = (nn.RNN(3, 4, name=name) for name in ("encoder", "decoder"))
    hidden = decoder(tape.input(np.ones((2, 5, 3))), encoder(tape.input(np.ones((2, 12, 3))))[:, 11])
    return rg.record((hidden**2).sum(), lags=True)


def printed(*arguments: str) -> Any:
    """Run a command, and read what it prints, as strict JSON; what it finds may be bad news."""
    return strict(typed(*arguments, status=None))


def fill(folder: Path) -> Path:
    """Fill a folder with saved traces, two trainings, a checkpoint of linear recurrences and a Python file."""
    with np.errstate(all="ignore"):
        for name, make in TRACES.items():
            make().save(folder / f"{name}.npz")
    save(folder / "a", (0.7, 0.76, 0.82, 0.88, 0.94, 1.0))
    (folder / "a" / "step-000000250.npz").write_bytes(b"no")
    save(folder / "b", (0.7, 0.6), layers=2)
    tensors = {"mixer.A_log": np.zeros(3), "mixer.dt_bias": np.log(np.expm1([0.001, 0.01, 0.1])),
               "late.nu_log": np.array([-np.inf, 0.0]), "old.A_b_log": np.zeros((2, 2))}  # fmt: skip
    save_file({name: value.astype(np.float32) for name, value in tensors.items()}, folder / "linear.safetensors")
    (folder / "model.py").write_text(MODEL)
    return folder


def live(folder: Path) -> list[Any]:
    """Run a PyTorch layer on a batch, where there is PyTorch."""
    if find_spec("torch") is None:
        return []
    (folder / "live.py").write_text(LIVE)
    return [printed("decay", f"{folder}/live.py:pair", "--live", "--json")]


def printed_documents(folder: Path) -> dict[str, list[Any]]:
    """Gather what the commands print, by schema."""
    run, model = {name: str(folder / f"{name}.npz") for name in TRACES}, str(folder / "model.py")
    every, demos = [(path,) for path in run.values()], [*DEMOS, ()]
    judged: list[tuple[str, ...]] = [(run[name],) for name in JUDGED]
    totals = [(run[name], "--from", "total") for name in ("vanishing", "cut", "saturated")]
    totals.append((run["vanishing"], "--from", "19"))
    drawn = [*every, *demos, *totals, *DRAWN, (run["cut"], "--from", "total", "--steps", "8:13")]
    found = {
        "norms": [printed("norms", *one, "--json") for one in [*every, *demos, *totals]],
        "lags": [printed("lags", *one, "--json") for one in [*judged, *demos]],
        "diagnose": [
            printed("diagnose", *one, "--json")
            for one in [
                *judged, DYING, SPECTRUM, *((*demo, "--no-try") for demo in DEMOS),
                *((*one, "--horizon", "5") for one in judged[::3]),
            ]
        ],
        "picture": [printed("render", *one, "-o", "-", "--format", "json") for one in drawn],
        "context": [printed("context", f"{model}:delayed", "--json")],
        "check": [
            *[printed("check", "--cell", cell, *SMALL, "--json") for cell in ("tanh", "gru")],
            printed("check", f"{model}:wrong", "--json"),
        ],
        "decay": [printed("decay", str(folder / "linear.safetensors"), "--json", *options)
                  for options in ((), ("--fresh", "--context", "100"))] + live(folder),
        "history": [printed("history", str(folder / "a"), "--json", *options) for options in ((), ("--horizon", "8"))],
        "compare": [
            printed("compare", *map(str, pair), "--json", *options)
            for pair in ((folder / "a", folder / "b"), (run["vanishing"], run["remembers"]), (run["few"], run["cut"]))
            for options in ((), ("--fail-on", "worse", "--tolerance", "900"))
        ],
    }  # fmt: skip
    return found
