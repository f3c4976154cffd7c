"""What each rule looks at: one function a rule.

In: a layer that was read, and what the user says of the weights. Out: the evidence, None where nothing is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.sources.decay.read import ReadLayer
from rnngraph.trace.decay import SHARES, Five, Value

THRESHOLDS = {"no_memory": 1.0, "tolerance": 0.01, "factor": 2.0, "chance": 1e-3}
_INNER = (1, 2, 3)  # 10, 50 and 90 %: the ends of a sample depend on its size


@dataclass(frozen=True, slots=True)
class Judging:
    """What the user says of the weights: whether they are an initialisation, and how long the sequences are."""

    fresh: bool = False
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a rule fires: numbers, and a sentence with them."""

    numbers: Mapping[str, Value]
    text: str


def non_finite(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find values and rates that are no numbers."""
    wrong = {
        layer.reading.names[role]: count
        for role, values in layer.values.items()
        if (count := int((~np.isfinite(values)).sum()))
    }
    rates = int((~np.isfinite(layer.rates)).sum())
    if not wrong and not rates:
        return None
    parts = [f"{count} of the values of {name.rpartition('.')[2]}" for name, count in wrong.items()]
    parts += [f"{rates} of {layer.rates.size} rates"] if rates else []
    return Evidence({**wrong, "rates": rates}, f"{' and '.join(parts)} are not finite.")


def frozen(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find rates of exactly 0."""
    # Models compute the rate in float32, in which it may be exactly 0 where float64 still has a number.
    with np.errstate(over="ignore"):
        count = int((layer.rates.astype(np.float32) == 0).sum())
    if not count:
        return None
    return Evidence({"frozen": count}, f"{count} of {layer.rates.size} decays have a rate of exactly 0.")


def grows(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find rates below 0."""
    count = int((layer.rates.astype(np.float32) < 0).sum())
    if not count:
        return None
    return Evidence({"growing": count}, f"{count} of {layer.rates.size} decays have a rate below 0.")


def no_memory(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find a longest half-life of one step at most; constant zeros give exactly one."""
    longest = layer.decay.quantiles[-1]
    if not longest <= THRESHOLDS["no_memory"] * (1 + THRESHOLDS["tolerance"]):
        return None
    return Evidence({"longest": longest}, f"the longest half-life is {_steps(longest)}.")


def never_forgets(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find a shortest half-life beyond the context."""
    shortest, context = layer.decay.quantiles[0], judging.context
    if context is None or not shortest > context:
        return None
    return Evidence(
        {"shortest": shortest, "context": context},
        f"the shortest half-life is {_steps(shortest)}, and a sequence has {context}.",
    )


def uniform(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find half-lives that are all alike, where the published ones are not."""
    published = layer.decay.published
    shortest, *_, longest = layer.decay.quantiles
    if published is None or published[0][0] == published[0][-1] or layer.decay.n < 2:
        return None
    if not (longest == shortest or longest <= shortest * (1 + THRESHOLDS["tolerance"])):
        return None
    return Evidence({"half_life": shortest}, f"all {layer.decay.n} half-lives are {_steps(shortest)}.")


def differs(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find quantiles that differ from the published start, by more than a factor and than chance.

    Chance: of n independent draws, the share below any value is off by more than √(ln(2/p) / 2n) with probability p at
    most (Dvoretzky, Kiefer and Wolfowitz, with Massart's constant). Channels that share a head's rate are not
    independent, so n is the number of heads. Of a start with two ends the nearer one is held against it.
    """
    if layer.decay.published is None:
        return None
    first, last = layer.decay.published
    factor, heads = THRESHOLDS["factor"], layer.decay.half_lives.shape[0]
    margin = math.sqrt(math.log(2 / THRESHOLDS["chance"]) / (2 * heads))
    numbers: dict[str, Value] = {}
    texts = []
    for place in _INNER:
        value, low, high = layer.decay.quantiles[place], first[place], last[place]
        nearer, five = (low, first) if value < low else (high, last)
        if not (value * factor < low or value > high * factor):
            continue
        outside = value * factor < five[0] or value > five[-1] * factor  # which no draw of the start can give
        if outside or abs(SHARES[place] - _share_below(value, five)) > margin:
            percent = f"{100 * SHARES[place]:.0f}"
            numbers |= {f"q{percent}": value, f"published_q{percent}": nearer}
            texts.append(f"{_steps(value)} at {percent} % where the published start has {nearer:.3g}")
    return Evidence(numbers, f"{'; '.join(texts)} ({layer.decay.origin}).") if texts else None


def _steps(half_life: float) -> str:
    text = f"{half_life:.3g}"
    return f"{text} step{'' if text == '1' else 's'}"


def _share_below(value: float, five: Five) -> float:
    """Give the share of the published start that is below a value, between its quantiles by their logarithms."""
    if value <= five[0]:
        return 0.0
    if value >= five[-1]:
        return 1.0
    return float(np.interp(math.log(value), np.log(five), SHARES))
