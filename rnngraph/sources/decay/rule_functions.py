"""What each rule looks at: one function a rule.

In: a layer that was read, and what the user says of the weights. Out: the evidence, None where nothing is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.sources.decay.family import Start
from rnngraph.sources.decay.read import ReadLayer
from rnngraph.trace.decay import SHARES, Five, Value, five_numbers
from rnngraph.trace.magnitudes import Floats

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
    start = layer.start
    shortest, *_, longest = layer.decay.quantiles
    if start is None or start.low[0] == start.low[-1] or layer.decay.n < 2:
        return None
    if not (longest == shortest or longest <= shortest * (1 + THRESHOLDS["tolerance"])):
        return None
    return Evidence({"half_life": shortest}, f"all {layer.decay.n} half-lives are {_steps(shortest)}.")


def differs(layer: ReadLayer, judging: Judging) -> Evidence | None:
    """Find quantiles that differ from the published start."""
    start = layer.start
    if start is None or not (parts := differing(layer.decay.half_lives, start)):
        return None
    numbers: dict[str, Value] = {}
    texts = []
    for part in parts:
        percent = f"q{100 * part.share:.0f}"
        numbers |= {percent: part.found, f"published_{percent}": part.published}
        texts.append(
            f"{_steps(part.found)} at {100 * part.share:.0f} % where the published start has {part.published:.3g}"
        )
    return Evidence(numbers, f"{'; '.join(texts)} ({start.origin}).")


def _steps(half_life: float) -> str:
    text = f"{half_life:.3g}"
    return f"{text} step{'' if text == '1' else 's'}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A quantile that differs, in steps; of a start with two ends, `published` is the nearer one."""

    share: float
    found: float
    published: float


def differing(half_lives: Floats, start: Start) -> list[Difference]:
    """Find the quantiles at which half-lives differ from a published start, by more than a factor and than chance.

    Chance: of n independent draws, the share below any value is off by more than √(ln(2/p) / 2n) with probability p at
    most (Dvoretzky, Kiefer and Wolfowitz, with Massart's constant). Channels that share a head's rate are not
    independent, so n is the number of heads.
    """
    quantiles = five_numbers(half_lives)
    margin = math.sqrt(math.log(2 / THRESHOLDS["chance"]) / (2 * half_lives.shape[0]))
    found = []
    for place in _INNER:
        value, low, high = quantiles[place], start.low[place], start.high[place]
        nearer, five = (low, start.low) if value < low else (high, start.high)
        factor = THRESHOLDS["factor"]
        if not (value * factor < low or value > high * factor):
            continue
        outside = value * factor < five[0] or value > five[-1] * factor  # which no draw of the start can give
        if outside or abs(SHARES[place] - _share_below(value, five)) > margin:
            found.append(Difference(SHARES[place], value, nearer))
    return found


def _share_below(value: float, five: Five) -> float:
    """Give the share of the published start that is below a value, between its quantiles by their logarithms."""
    if value <= five[0]:
        return 0.0
    if value >= five[-1]:
        return 1.0
    return float(np.interp(math.log(value), np.log(five), SHARES))
