"""Judge networks of a known truth by the diagnosis and by three simple rules, over several seeds, and print a table.

The truth of a fixture is a property of how it is built: a gain, a gate, a cut, a mask. The simple rules see what
other tools see: the ratio of the first and last state's gradient; the rule of AutoTrainer (Zhang et al., 2021) with
the first and last timestep in the place of the first and last layer; and the constants of SageMaker Debugger on the
parameters' gradients. Run `python -m tests.benchmarks.verdicts [SEEDS]`; `--markdown` prints the table as the README
has it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import Trace
from tests.diagnosis.verdict_networks import linear, recorded
from tests.linear_cells import orthogonal

T, D, H = 90, 6, 24
HEALTHY, VANISHING, EXPLODING = "healthy", "vanishing", "exploding"


@dataclass(frozen=True, slots=True)
class Fixture:
    """A network and its truth; `make` takes a seed."""

    name: str
    truth: str
    make: Callable[[int], Trace]


def shifted(layer: Any, name: str, value: Any) -> Any:
    """Set a parameter of a layer."""
    layer.parameter(name).value[...] = value
    return layer


def rnn(seed: int, **options: Any) -> nn.RNN:
    """Make a vanilla network."""
    return nn.RNN(D, H, seed=seed, **options)


def wild(seed: int) -> nn.RNN:
    """Make a tanh network with three times the gain of an orthogonal one."""
    return rnn(seed, init="orthogonal", gain=3.0)


def lstm(seed: int, **options: Any) -> nn.LSTM:
    """Make an LSTM."""
    return nn.LSTM(D, H, seed=seed, **options)


def identity(seed: int) -> Any:
    """Make an identity ReLU network whose inputs all push up."""
    layer = nn.RNN(D, H, nonlinearity="relu", init="identity", seed=seed)
    return shifted(shifted(layer, "Wx", np.abs(layer.parameter("Wx").value) * 0.01), "b", 1.0)


def both_ends(seed: int) -> Any:
    """Make a tanh network whose units are all pushed to one end."""
    signs = np.where(np.random.default_rng(seed).random(H) < 0.5, -3.0, 3.0)
    return shifted(nn.RNN(D, H, init="orthogonal", seed=seed), "b", signs)


F32 = np.float32
MASK = np.arange(T) < np.array([[90], [70], [90], [80]])
JORDAN, SLOW = np.array([[0.9, 1.0], [0.0, 0.9]]), np.diag([0.999, 0.1, 0.1, 0.1])
FIXTURES = (
    Fixture("tanh RNN, default, loss every step", VANISHING, lambda s: recorded(rnn(s), s)),
    Fixture("tanh RNN, default, last step", VANISHING, lambda s: recorded(rnn(s), s, loss="last")),
    Fixture("tanh RNN, default, loss x 1e-12", VANISHING, lambda s: recorded(rnn(s), s, scale=1e-12)),
    Fixture("tanh RNN, default, loss x 1e12", VANISHING, lambda s: recorded(rnn(s), s, scale=1e12)),
    Fixture("tanh RNN, default, float32", VANISHING, lambda s: recorded(rnn(s, dtype=F32), s)),
    Fixture("tanh RNN, default, 400 steps, float32", VANISHING,
            lambda s: recorded(rnn(s, dtype=F32), s, time=400, loss="last")),
    Fixture("tanh RNN, default, copied padding", VANISHING, lambda s: recorded(rnn(s), s, mask=MASK, copy=True)),
    Fixture("tanh RNN, default, padding without loss", VANISHING,
            lambda s: recorded(rnn(s), s, mask=MASK, loss="last")),
    Fixture("GRU, default, every step", VANISHING, lambda s: recorded(nn.GRU(D, H, seed=s), s)),
    Fixture("LSTM, default, every step", VANISHING, lambda s: recorded(lstm(s), s)),
    Fixture("LSTM, default, 2 layers, both directions", VANISHING,
            lambda s: recorded(lstm(s, num_layers=2, bidirectional=True), s)),
    Fixture("linear, 0.85 Q, last step", VANISHING, lambda s: linear(0.85 * orthogonal(6, s))),
    Fixture("Jordan block, 200 steps", VANISHING, lambda s: linear(JORDAN, time=200)),
    Fixture("LSTM, forget bias 5, every step", HEALTHY, lambda s: recorded(lstm(s, forget_bias=5.0), s)),
    Fixture("LSTM, forget bias 5, last step", HEALTHY, lambda s: recorded(lstm(s, forget_bias=5.0), s, loss="last")),
    Fixture("LSTM, forget bias 5, copied padding", HEALTHY,
            lambda s: recorded(lstm(s, forget_bias=5.0), s, mask=MASK, copy=True)),
    Fixture("LSTM, forget bias 5, loss x 1e-12", HEALTHY, lambda s: recorded(lstm(s, forget_bias=5.0), s, scale=1e-12)),
    Fixture("LSTM, chrono, every step", HEALTHY, lambda s: recorded(lstm(s, init="chrono", horizon=T), s)),
    Fixture("GRU, chrono, every step", HEALTHY, lambda s: recorded(nn.GRU(D, H, seed=s, init="chrono", horizon=T), s)),
    Fixture("ReLU RNN, identity, inputs up", HEALTHY, lambda s: recorded(identity(s), s, loss="last")),
    Fixture("linear, Q, last step", HEALTHY, lambda s: linear(orthogonal(6, s))),
    Fixture("linear, Q, every step", HEALTHY, lambda s: linear(orthogonal(6, s), losses="every")),
    Fixture("linear, slow unit among fast, every step", HEALTHY, lambda s: linear(SLOW, losses="every")),
    Fixture("linear, 0.577 Q, 5 steps", HEALTHY, lambda s: linear(0.577 * orthogonal(6, s), time=5)),
    Fixture("Jordan block, 60 steps", HEALTHY, lambda s: linear(JORDAN, time=60)),
    Fixture("tanh RNN, orthogonal x 3, every step", EXPLODING, lambda s: recorded(wild(s), s)),
    Fixture("tanh RNN, orthogonal x 3, last step", EXPLODING, lambda s: recorded(wild(s), s, loss="last")),
    Fixture("tanh RNN, orthogonal x 3, loss x 1e-12", EXPLODING, lambda s: recorded(wild(s), s, scale=1e-12)),
    Fixture("tanh RNN, chaos with saturated units", EXPLODING,
            lambda s: recorded(nn.RNN(D, 96, seed=s, init="normal", gain=3.0), s, inputs=0.1)),
    Fixture("linear, 1.08 Q, last step", EXPLODING, lambda s: linear(1.08 * orthogonal(6, s))),
    Fixture("tanh RNN, units at both ends", "saturated", lambda s: recorded(both_ends(s), s, inputs=0.1)),
    Fixture("tanh RNN, units rounded to 1, float32", "saturated",
            lambda s: recorded(shifted(rnn(s, dtype=F32), "b", 30), s)),
    Fixture("ReLU RNN, no unit fires", "dead", lambda s: recorded(shifted(rnn(s, nonlinearity="relu"), "b", -30), s)),
    Fixture("LSTM, truncated at 10", "truncated", lambda s: recorded(lstm(s, truncate=10), s)),
    Fixture("tanh RNN, loss x 0", "no_signal", lambda s: recorded(rnn(s), s, scale=0.0)),
    Fixture("linear, one step", "too_short", lambda s: linear(orthogonal(6, s), time=1)),
)  # fmt: skip


def endpoint_ratio(trace: Trace) -> str:
    """Compare the gradient of the first state with that of the last: below 1e-4 vanishes, above 100 explodes."""
    return _by_ratio(*_ends(trace), low=1e-4, high=100)


def auto_trainer(trace: Trace) -> str:
    """Apply AutoTrainer's rule: a ratio below 1e-3 and a norm below 1e-4 vanish, a ratio above 70 explodes."""
    first, last = _ends(trace)
    verdict = _by_ratio(first, last, low=1e-3, high=70)
    return HEALTHY if verdict == VANISHING and not first < 1e-4 else verdict


def sage_maker(trace: Trace) -> str:
    """Apply SageMaker's constants: a mean absolute gradient below 1e-7 vanishes, NaN or infinity explodes."""
    mean = []
    for parameter in trace.parameters:
        if parameter.grad.status == Status.NONFINITE:
            return EXPLODING
        mean.append(float(parameter.grad.value) / np.sqrt(np.prod(parameter.shape)))  # at most the root mean square
    return VANISHING if mean and min(mean) < 1e-7 else HEALTHY


def _ends(trace: Trace) -> tuple[float, float]:
    grad = trace.states[0].grad.value
    return float(grad[0]), float(grad[-1])


def _by_ratio(first: float, last: float, *, low: float, high: float) -> str:
    if last == 0:
        return VANISHING if first == 0 else EXPLODING
    return VANISHING if first / last < low else EXPLODING if first / last > high else HEALTHY


RULES: dict[str, Callable[[Trace], str]] = {
    "diagnose": lambda trace: rg.diagnose(trace).verdict,
    "endpoint ratio": endpoint_ratio,
    "AutoTrainer": auto_trainer,
    "SageMaker": sage_maker,
}


def agrees(said: str, truth: str, rule: str) -> bool:
    """Tell whether a rule is right; the simple ones need only tell that something is wrong where they have no word."""
    if rule == "diagnose" or truth in (HEALTHY, VANISHING, EXPLODING):
        return said == truth
    return said == VANISHING if truth in ("saturated", "dead", "no_signal") else said == HEALTHY


def table(seeds: int) -> list[tuple[str, ...]]:
    """Judge every fixture: its name, its truth, and of each rule how often it is right and what else it says."""
    rows = []
    for fixture in FIXTURES:
        traces = [fixture.make(seed) for seed in range(seeds)]
        cells = []
        for name, rule in RULES.items():
            said = [rule(trace) for trace in traces]
            right = sum(agrees(one, fixture.truth, name) for one in said)
            others = sorted({one for one in said if not agrees(one, fixture.truth, name)})
            cells.append(f"{right}/{seeds}" + (f" {', '.join(others)}" if others else ""))
        rows.append((fixture.name, fixture.truth, *cells))
    return rows


def main() -> None:
    """Print the table and the totals."""
    arguments = [one for one in sys.argv[1:] if one != "--markdown"]
    seeds = int(arguments[0]) if arguments else 5
    with np.errstate(all="ignore"):
        rows = table(seeds)
    heading = ("fixture", "truth", *RULES)
    totals = [sum(int(row[2 + place].split("/")[0]) for row in rows) for place in range(len(RULES))]
    rows.append(("right", "", *(f"{total}/{len(FIXTURES) * seeds}" for total in totals)))
    if "--markdown" in sys.argv:
        print("\n".join("| " + " | ".join(row) + " |" for row in (heading, ("---",) * len(heading), *rows)))
        return
    widths = [max(len(row[place]) for row in (heading, *rows)) for place in range(len(heading))]
    for row in (heading, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
