"""Networks that a verdict by the states' own lags misjudges, by their rows in the table of `benchmarks/paths.py`.

The truth of each is argued from its construction; `need` is the lag at which it holds, None for the default one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lag_options import LagOptions

Array = Any
T, D, H, N = 90, 6, 24, 6
HEALTHY, VANISHING = "healthy", "vanishing"
FULL, DEFAULT = LagOptions("all", "all"), LagOptions()


@dataclass(frozen=True, slots=True)
class Fixture:
    """A network, what is true of it, and the finding that must say so; `make` takes a seed."""

    name: str
    truth: str
    make: Callable[[int], rg.Tensor]
    finding: str = ""
    need: int | None = None
    options: LagOptions = DEFAULT


def fed(seed: int, *, time: int = T, batch: int = N, width: int = D, scale: float = 1.0) -> rg.Tensor:
    """Record a random input on a tape of its own."""
    rng = np.random.default_rng(1000 + seed)
    return rg.Tape().input(scale * rng.normal(size=(batch, time, width)))


def classes(scores: rg.Tensor, seed: int) -> rg.Tensor:
    """Give the cross-entropy of one set of scores a sample, (N, 5)."""
    whole = scores.reshape(scores.shape[0], 1, 5)
    return nn.temporal_softmax_loss(whole, np.random.default_rng(seed).integers(0, 5, (scores.shape[0], 1)))


def every_step(hidden: rg.Tensor, seed: int, weights: Array = None) -> rg.Tensor:
    """Give a squared distance at every step, with a weight a step and sample, (N, T)."""
    rng = np.random.default_rng(seed)
    apart: rg.Tensor = hidden - rng.normal(size=hidden.shape)
    weights = np.ones(hidden.shape[:2]) if weights is None else np.broadcast_to(weights, hidden.shape[:2])
    weighted: rg.Tensor = apart * apart * weights[..., None]
    return weighted.sum()


def head(hidden: rg.Tensor, seed: int) -> rg.Tensor:
    """Give scores of what was read, (N, 5)."""
    return nn.Linear(hidden.shape[-1], 5, seed=seed)(hidden)


def gate(layer: Any, letter: str, value: Any, ending: str = "") -> Any:
    """Set the bias of a gate of an LSTM, and leave nothing else to it but that."""
    place = "ifog".index(letter)
    units = slice(place * layer.hidden_size, (place + 1) * layer.hidden_size)
    layer.parameter("b" + ending).value[units] = value
    for name in ("Wx", "Wh"):
        layer.parameter(name + ending).value[:, units] = 0
    return layer


def keeping(seed: int, bias: float = 8.0, **options: Any) -> Any:
    """Make an LSTM that forgets nothing."""
    return nn.LSTM(D, H, seed=seed, forget_bias=bias, **options)


def attended(hidden: rg.Tensor, seed: int) -> rg.Tensor:
    """Read all steps by attention."""
    weight = (hidden @ np.random.default_rng(seed).normal(size=(hidden.shape[-1], 1))).exp()
    return (hidden * (weight / weight.sum(axis=1, keepdims=True))).sum(axis=1)


def largest(hidden: rg.Tensor) -> rg.Tensor:
    """Read of every unit the step at which it is largest."""
    time = hidden.shape[1]
    chosen = np.arange(time)[:, None] == hidden.value.argmax(axis=1)[:, None]
    kept: rg.Tensor = hidden * chosen.astype(float)
    return kept.sum(axis=1)


def pooled(read: Callable[[rg.Tensor, int], rg.Tensor], **options: Any) -> Callable[[int], rg.Tensor]:
    """Read a tanh network that forgets in a few steps in a way that does not need it."""
    return lambda seed: classes(head(read(nn.RNN(D, H, seed=seed, **options)(fed(seed)), seed), seed), seed)


def of_two(biases: tuple[float, float]) -> Callable[[int], rg.Tensor]:
    """Make a stack of two LSTMs with forget gates at these biases, read at the last step."""

    def make(seed: int) -> rg.Tensor:
        layer = nn.LSTM(D, H, num_layers=2, seed=seed)
        for bias, ending in zip(biases, ("", "_l1"), strict=True):
            gate(layer, "f", bias, ending)
        return classes(head(layer(fed(seed))[:, T - 1], seed), seed)

    return make


def both_ends(layer: Any, seed: int) -> rg.Tensor:
    """Read the forward direction at the last step and the reverse one at the first."""
    hidden = layer(fed(seed))
    ends = rg.concatenate([hidden[:, T - 1, :H], hidden[:, 0, H:]], axis=-1)
    return classes(head(ends, seed), seed)


def last(layer: Any, seed: int, **options: Any) -> rg.Tensor:
    """Read a layer at the last step."""
    return classes(head(layer(fed(seed, **options))[:, -1 + options.get("time", T)], seed), seed)


def each(layer: Any, seed: int, weights: Array = None, **options: Any) -> rg.Tensor:
    """Read a layer at every step."""
    return every_step(layer(fed(seed, **options)), seed, weights)


def early_losses(seed: int) -> rg.Tensor:
    """Six losses at the start weigh 1 and all later ones 1e-8: what trains reaches five steps back."""
    return each(keeping(seed), seed, np.where(np.arange(T) < 6, 1.0, 1e-8))


def reset_before_the_last_losses(seed: int) -> rg.Tensor:
    """The forget gate shuts once, six steps before the end, and only the losses behind it weigh anything."""
    layer = gate(keeping(seed), "f", 8.0)
    layer.parameter("Wx").value[0, H : 2 * H] = 1.0
    layer.parameter("Wh").value[...] = 0
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, T, D))
    x[..., 0] = 0
    x[:, T - 6, 0] = -60
    weights = np.where(np.arange(T) >= T - 6, 1.0, 1e-6)
    return every_step(layer(rg.Tape().input(x)), seed, weights)


def some_samples_keep(kept: int, batch: int = 64) -> Callable[[int], rg.Tensor]:
    """Of so many samples a part holds the forget gate open, by its input, and the others shut."""

    def make(seed: int) -> rg.Tensor:
        layer = gate(nn.LSTM(D, H, seed=seed), "f", 0.0)
        layer.parameter("Wx").value[0, H : 2 * H] = 1.0
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(batch, T, D))
        x[..., 0] = np.where(np.arange(batch) < kept, 8.0, -4.0)[:, None]
        hidden = layer(rg.Tape().input(x))
        return classes(head(hidden[:, T - 1], seed), seed)

    return make


def linear_recurrence(left: float, time: int = 61) -> Callable[[int], rg.Tensor]:
    """Make a rotation that leaves so many decades over all of its steps, from lag 1 on."""

    def make(seed: int) -> rg.Tensor:
        layer = nn.RNN(D, H, nonlinearity="relu", seed=seed)
        turn = np.roll(np.eye(H), 1, axis=0) * 10 ** (left / (time - 2))
        layer.parameter("Wh").value[...] = turn
        layer.parameter("Wx").value[...] *= 1e-3
        layer.parameter("b").value[...] = 1.0  # every unit stays active, so that a step is the weight and nothing else
        return last(layer, seed, time=time)

    return make


def wild(factor: float, dtype: Any = np.float64) -> Callable[[int], rg.Tensor]:
    """Make a chaotic tanh network."""

    def make(seed: int) -> rg.Tensor:
        layer = nn.RNN(D, 48, init="normal", gain=factor, seed=seed, dtype=dtype)
        rng = np.random.default_rng(seed)
        x = rg.Tape().input((0.1 * rng.normal(size=(N, T, D))).astype(dtype))
        scores = nn.Linear(48, 5, dtype=dtype, seed=seed)(layer(x))
        return nn.temporal_softmax_loss(scores, rng.integers(0, 5, (N, T)))

    return make


FIXTURES = (
    Fixture("S1 tanh x 4, float32", "exploding", wild(4.0, np.float32), "exploding"),
    Fixture("S1 tanh x 6, float64", "exploding", wild(6.0), "exploding"),
    Fixture("S2 tanh, attention", HEALTHY, pooled(attended), need=T - 1),
    Fixture("S2 tanh, mean of all steps", HEALTHY, pooled(lambda h, _: h.mean(axis=1)), need=T - 1),
    Fixture("S2 tanh, maximum of all steps", HEALTHY, pooled(lambda h, _: largest(h), init="orthogonal", gain=0.5)),
    Fixture("S2 tanh, first and last step", HEALTHY, pooled(lambda h, _: h[:, 0] + h[:, T - 1]), "blind_span",
            need=T - 1),
    Fixture("S2 two LSTMs, the lower one keeps", HEALTHY, of_two((8.0, -4.0)), "bypassed"),
    Fixture("S2 two LSTMs, the upper one keeps", HEALTHY, of_two((-4.0, 8.0))),
    Fixture("S2 LSTM both ways, read at both ends", HEALTHY,
            lambda s: both_ends(nn.LSTM(D, H, bidirectional=True, seed=s), s), "blind_span", need=T - 1),
    Fixture("S2 tanh, last step only", VANISHING, pooled(lambda h, _: h[:, T - 1]), need=T - 1),
    Fixture("S2 two LSTMs, neither keeps", VANISHING, of_two((-4.0, -4.0)), need=T - 1),
    Fixture("S4 LSTM keeps, output gate shut", HEALTHY, lambda s: last(gate(keeping(s), "o", -10.0), s), "readout"),
    Fixture("S4 LSTM keeps, output gate shut, every step", HEALTHY,
            lambda s: each(gate(keeping(s), "o", -10.0), s), "readout"),
    Fixture("S5 LSTM keeps, input gate shut", "unwritten", lambda s: last(gate(keeping(s), "i", -20.0), s), "unwritten",
            need=T - 1),
    Fixture("S5 LSTM keeps, input gate shut, every step", "unwritten", lambda s: each(gate(keeping(s), "i", -20.0), s),
            "unwritten"),
    Fixture("S5 LSTM keeps, candidate stuck at 1", "unwritten", lambda s: last(gate(gate(keeping(s), "g", 12.0), "i",
            -10.0), s), "unwritten"),
    Fixture("S6 six heavy losses at the start, lag 80", VANISHING, early_losses, "few_losses", 80, FULL),
    Fixture("S6 six heavy losses at the start", HEALTHY, early_losses, "few_losses", None, FULL),
    Fixture("S6 six heavy losses behind a reset", VANISHING, reset_before_the_last_losses, "few_losses", None, FULL),
    Fixture("S7 20 of 64 samples keep", HEALTHY, some_samples_keep(20), "few_samples", T - 1, FULL),
    Fixture("S7 10 of 64 samples keep", HEALTHY, some_samples_keep(10), "few_samples", T - 1, FULL),
    Fixture("S7 no sample keeps", VANISHING, some_samples_keep(0), "", T - 1, FULL),
    Fixture("S8 1e-3 is left", "attenuating", linear_recurrence(-3.0), need=60),
    Fixture("S8 1e-3 is left, no need said", "attenuating", linear_recurrence(-3.0)),
    Fixture("S8 1e-1.5 is left", HEALTHY, linear_recurrence(-1.5), need=60),
    Fixture("S8 1e-5 is left", VANISHING, linear_recurrence(-5.0), need=60),
    Fixture("default LSTM, lag 89", VANISHING, lambda s: last(nn.LSTM(D, H, seed=s), s), need=T - 1),
    Fixture("default GRU, no need said", VANISHING, lambda s: last(nn.GRU(D, H, seed=s), s)),
)  # fmt: skip
