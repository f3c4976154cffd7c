"""Sick networks over cells, starts and sizes of inputs: the advice is taken literally and the network judged again.

And what a verdict with remedies costs, as rows of the table of costs.

A remedy holds what it says if, with all losses and samples, more than 1e-2 is left end to end at the lag and nothing
grows a hundredfold. Beside it: formulas from the measured rate alone, which try nothing. Run
`python -m tests.benchmarks.remedies`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.measure.lag_options import LagOptions
from rnngraph.nn import init
from tests.benchmarks.row import Row, ratios
from tests.diagnosis.path_networks import classes, every_step, head

T, D, H, N = 60, 5, 20, 12


@dataclass(frozen=True, slots=True)
class Sick:
    """A network that cannot learn from lag 59; `make` gives the layer."""

    name: str
    make: Callable[[], Any]
    inputs: float
    loss: str
    seed: int


def networks() -> list[Sick]:
    """Make the forty of the table."""
    found = []
    plain: dict[str, Callable[[int], Any]] = {
        "tanh, default": lambda s: nn.RNN(D, H, seed=s),
        "tanh, orthogonal x 0.7": lambda s: nn.RNN(D, H, init="orthogonal", gain=0.7, seed=s),
        "tanh, normal x 4": lambda s: nn.RNN(D, H, init="normal", gain=4.0, seed=s),
        "ReLU, default": lambda s: nn.RNN(D, H, nonlinearity="relu", seed=s),
        "ReLU, normal x 3": lambda s: nn.RNN(D, H, nonlinearity="relu", init="normal", gain=3.0, seed=s),
        "LSTM, default": lambda s: nn.LSTM(D, H, seed=s),
        "LSTM, xavier, 2 layers": lambda s: nn.LSTM(D, H, num_layers=2, init="xavier", seed=s),
        "LSTM, normal x 6": lambda s: nn.LSTM(D, H, init="normal", gain=6.0, seed=s),
        "GRU, default": lambda s: nn.GRU(D, H, seed=s),
        "GRU, normal x 6": lambda s: nn.GRU(D, H, init="normal", gain=6.0, seed=s),
    }
    for number, (name, make) in enumerate(plain.items()):
        for place, inputs in enumerate((0.1, 0.5, 1.0, 3.0)):
            seed = 10 * number + place
            loss = "every" if place % 2 else "last"
            found.append(Sick(f"{name}, inputs x {inputs:g}, {loss}", lambda m=make, s=seed: m(s), inputs, loss, seed))  # type: ignore[misc]
    return found


def loss_of(one: Sick, layer: Any) -> rg.Tensor:
    """Run a network."""
    x = rg.Tape().input(one.inputs * np.random.default_rng(one.seed).normal(size=(N, T, D)))
    hidden = layer(x)
    return every_step(hidden, one.seed) if one.loss == "every" else classes(head(hidden[:, T - 1], one.seed), one.seed)


def judged(one: Sick, layer: Any, *, tries: bool = False) -> Diagnosis:
    """Judge a network by all losses and samples at the last lag."""
    loss = loss_of(one, layer)
    trace = rg.record(loss, lags=True if tries else LagOptions("all", "all"))
    return rg.diagnose(trace, horizon=T - 1, trial=rg.trial(loss) if tries else None)


def holds(diagnosis: Diagnosis) -> bool:
    """Tell whether enough is left and nothing explodes."""
    return diagnosis.decades > -2 and max(one.peak for one in diagnosis.by_layer) < 2


def take(layer: Any, words: str) -> None:
    """Do what an advice says, by its words alone; random draws are other ones than those that were tried."""
    rng = np.random.default_rng(777)
    for part in words.split(" and start "):
        number = float((re.findall(r"-?[0-9.]+(?:e-?[0-9]+)?", part) or ["1"])[-1])
        if "orthogonal" in part:
            _each(layer, "Wh", lambda value: init.orthogonal(rng, value.shape))
        elif "identity" in part:
            _each(layer, "Wh", lambda value: init.identity(value.shape))
            _each(layer, "b", lambda value: 0 * value)
        elif part.startswith("scale the recurrent weight by"):
            _each(layer, "Wh", lambda value, number=number: value * number)  # type: ignore[misc]
        elif part.startswith("scale the input weights"):
            for key in ("Wx", "b", "bh"):
                _each(layer, key, lambda value, number=number: value * number)  # type: ignore[misc]
        elif part.startswith("set the bias of"):
            _gate(layer, lambda size, bias=number: np.full(size, bias), shut=False)  # type: ignore[misc]
        elif "chrono" in part:
            _gate(layer, lambda size, lag=number: init.chrono(rng, size, horizon=int(lag) + 1), shut=True)  # type: ignore[misc]


def _each(layer: Any, key: str, change: Callable[[Any], Any]) -> None:
    for parameter in layer.parameters():
        if re.fullmatch(rf"{key}(_l\d+)?", parameter.name.split(".")[1]):
            parameter.value[...] = change(parameter.value)


def _gate(layer: Any, drawn: Callable[[int], Any], *, shut: bool) -> None:
    size = layer.hidden_size
    for parameter in layer.parameters():
        key = parameter.name.split(".")[1].split("_")[0]
        if key == "b":
            bias = parameter.value[size : 2 * size] = drawn(size)
            if shut and layer.cell.facts.kinds == ("h", "c"):
                parameter.value[:size] = -bias
        elif key == "bh":
            parameter.value[size : 2 * size] = 0


def by_rate(one: Sick) -> bool:
    """Take the advice of a formula: a scale of e^-rate, or the bias that leaves a tenth at the lag."""
    layer = one.make()
    diagnosis = judged(one, layer)
    grows = diagnosis.verdict == "exploding"
    if layer.cell.facts.keeps and not grows:
        keep = 0.1 ** (1 / (T - 1))
        take(layer, f"set the bias of the gate to {math.log(keep / (1 - keep)):.2f}")
    elif layer.cell.facts.keeps:
        return False  # its advice was to clip, which changes no gain
    else:
        take(layer, f"scale the recurrent weight by {math.exp(-diagnosis.rate):.3g}")
    return holds(judged(one, layer))


def cost(*, every: bool) -> list[float]:
    """Compare lags, U, the verdict and its remedies with one plain pass forward and back."""
    size, time, width, units = 32, 128, 128, 256
    layer, x = nn.LSTM(width, units, num_layers=2), np.random.default_rng(0).normal(size=(size, time, width))

    def loss() -> rg.Tensor:
        hidden = layer(rg.Tape().input(x))
        return every_step(hidden, 0) if every else classes(head(hidden[:, time - 1], 0), 0)

    known = loss()

    def verdict() -> None:
        diagnosis = rg.diagnose(rg.record(known, lags=True), trial=rg.trial(known))
        assert diagnosis.tried
        assert diagnosis.update is not None

    return ratios(verdict, lambda: rg.gradients(loss()), rounds=3)


def rows() -> Iterator[Row]:
    """List the measurements."""
    for every, where in ((True, "at every step"), (False, "on the last step")):
        what = f"verdict with U and remedies / a plain pass, LSTM (32, 128, 128, 256, 2), loss {where}"
        yield Row(what, 10, partial(cost, every=every))


def main() -> None:
    """Print a line a network, and the counts."""
    counts = {"sick": 0, "advised": 0, "advice holds": 0, "pieces": 0, "pieces hold": 0, "formula holds": 0}
    for one in networks():
        layer = one.make()
        diagnosis = judged(one, layer, tries=True)
        if holds(diagnosis):
            print(f"{one.name:44} is not sick ({diagnosis.verdict})")
            continue
        counts["sick"] += 1
        kept = []
        for tried in [tried for tried in diagnosis.tried if tried.helps]:
            mended = one.make()
            take(mended, tried.words)
            kept.append((tried.words, judged(one, mended)))
        best = next((one.evidence.get("remedy") for one in diagnosis.findings if "remedy" in one.evidence), None)
        counts["advised"] += bool(kept)
        counts["advice holds"] += any(words == best and holds(after) for words, after in kept)
        counts["pieces"] += len(kept)
        counts["pieces hold"] += sum(holds(after) for _, after in kept)
        formula = by_rate(one)
        counts["formula holds"] += formula
        said = "; ".join(f"{words}: {after.decades:+.1f}{'' if holds(after) else ' NOT'}" for words, after in kept)
        print(
            f"{one.name:44} {diagnosis.verdict:12} {said or 'nothing helps'} | formula {'holds' if formula else 'not'}"
        )
    print(", ".join(f"{name} {count}" for name, count in counts.items()))


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main()
