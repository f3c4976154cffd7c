"""The table of rules: what is wrong with a layer's decays. One row and one function a rule.

In: a layer that was read and the options. Out: findings. Two rules hold for any checkpoint; the others judge a start,
and so need to be told that the weights are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.errors import InputError
from rnngraph.sources.decay.published import THRESHOLDS, differing
from rnngraph.sources.decay.read import ReadLayer
from rnngraph.trace.decay import DecayFinding, Value

ERROR, WARNING = "error", "warning"


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


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `check` gives None where nothing is wrong."""

    name: str
    severity: str
    fresh: bool  # judged with --fresh only
    check: Callable[[ReadLayer, Judging], Evidence | None]
    cause: str
    advice: str


def judged(layers: Sequence[ReadLayer], judging: Judging) -> list[tuple[DecayFinding, ...]]:
    """Apply the rules to the readings of one layer.

    Where there are several readings, only errors that every one of them shows are facts, and nothing is judged.
    """
    found = [[one for rule in RULES if (one := _applied(rule, layer, judging))] for layer in layers]
    if len(layers) == 1:
        return [tuple(found[0])]
    shared = set.intersection(*({one.rule for one in findings if one.severity == ERROR} for findings in found))
    facts = shared & {rule.name for rule in RULES if not rule.fresh}
    return [tuple(one for one in findings if one.rule in facts) for findings in found]


def known_rules(names: Iterable[str], label: str, judging: Judging) -> list[str]:
    """Take names of rules that can fire.

    Raises:
        InputError: an unknown rule, or one that is not judged as things are.
    """
    rules = {rule.name: rule for rule in RULES}
    taken = [name.strip().replace("-", "_") for name in names]
    for name in taken:
        if name not in rules:
            raise InputError(f"{label} names {name!r}, which is no finding of decay: choose among {', '.join(rules)}.")
        if rules[name].fresh and not judging.fresh:
            raise InputError(f"{label} names {name}, which is judged of an initialisation only: give --fresh as well.")
        if name == "never_forgets" and judging.context is None:
            raise InputError(f"{label} names never_forgets, which needs the length of a sequence: give --context.")
    return taken


def _applied(rule: Rule, layer: ReadLayer, judging: Judging) -> DecayFinding | None:
    if rule.fresh and not judging.fresh:
        return None
    evidence = rule.check(layer, judging)
    if evidence is None:
        return None
    return DecayFinding(
        rule.name, rule.severity, layer.decay.name, evidence.numbers, rule.cause, rule.advice, evidence.text
    )


def _non_finite(layer: ReadLayer, judging: Judging) -> Evidence | None:
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


def _frozen(layer: ReadLayer, judging: Judging) -> Evidence | None:
    # Models compute the rate in float32, in which it may be exactly 0 where float64 still has a number.
    with np.errstate(over="ignore"):
        count = int((layer.rates.astype(np.float32) == 0).sum())
    if not count:
        return None
    return Evidence({"frozen": count}, f"{count} of {layer.rates.size} decays have a rate of exactly 0.")


def _grows(layer: ReadLayer, judging: Judging) -> Evidence | None:
    count = int((layer.rates.astype(np.float32) < 0).sum())
    if not count:
        return None
    return Evidence({"growing": count}, f"{count} of {layer.rates.size} decays have a rate below 0.")


def _no_memory(layer: ReadLayer, judging: Judging) -> Evidence | None:
    longest = layer.decay.quantiles[-1]
    if not longest <= THRESHOLDS["no_memory"] * (1 + THRESHOLDS["tolerance"]):
        return None
    return Evidence({"longest": longest}, f"the longest half-life is {_steps(longest)}.")


def _never_forgets(layer: ReadLayer, judging: Judging) -> Evidence | None:
    shortest, context = layer.decay.quantiles[0], judging.context
    if context is None or not shortest > context:
        return None
    return Evidence(
        {"shortest": shortest, "context": context},
        f"the shortest half-life is {_steps(shortest)}, and a sequence has {context}.",
    )


def _uniform(layer: ReadLayer, judging: Judging) -> Evidence | None:
    start = layer.start
    shortest, *_, longest = layer.decay.quantiles
    if start is None or start.low[0] == start.low[-1] or layer.decay.n < 2:
        return None
    if not (longest == shortest or longest <= shortest * (1 + THRESHOLDS["tolerance"])):
        return None
    return Evidence({"half_life": shortest}, f"all {layer.decay.n} half-lives are {_steps(shortest)}.")


def _differs(layer: ReadLayer, judging: Judging) -> Evidence | None:
    start = layer.start
    if start is None or not (parts := differing(layer.decay.half_lives, start)):
        return None
    numbers: dict[str, Value] = {}
    texts = []
    for part in parts:
        percent = f"q{100 * part.share:.0f}"
        numbers |= {percent: part.found, f"published_{percent}": part.published}
        texts.append(f"{_steps(part.found)} at {part.share:.0%} where the published start has {part.published:.3g}")
    return Evidence(numbers, f"{'; '.join(texts)} ({start.origin}).")


def _steps(half_life: float) -> str:
    text = f"{half_life:.3g}"
    return f"{text} step{'' if text == '1' else 's'}"


RULES = (
    Rule(
        "non_finite", ERROR, False, _non_finite,
        "A logarithm of 0, an overflow, or a draw in a dtype with too few digits.",
        "Draw the decays in float32 and cast them afterwards; keep them away from 0 before the logarithm.",
    ),
    Rule(
        "frozen", ERROR, False, _frozen,
        "A rate of 0 keeps the state for ever and has no gradient to leave it; A_log of -inf, as drawn in bfloat16, is "
        "one way to it.",
        "Draw the decays in float32 and away from 0.",
    ),
    Rule(
        "grows", ERROR, False, _grows,
        "A rate below 0 multiplies the state at every step.",
        "Hold the real part of every eigenvalue below 0, such as by learning its logarithm.",
    ),
    Rule(
        "no_memory", ERROR, True, _no_memory,
        "Even the longest decay has lost half of the state after one step, so that training has nothing to start from; "
        "a wrapper that sets biases to 0 or 1 after the model has set them is the usual reason.",
        "Set the decays after every other initialiser has run, from the published start.",
    ),
    Rule(
        "never_forgets", WARNING, True, _never_forgets,
        "Even the shortest decay keeps more than half of the state over a whole sequence.",
        "Start some heads with half-lives well within the sequence.",
    ),
    Rule(
        "uniform", WARNING, True, _uniform,
        "All decays begin alike where the published start spreads them, as when a tensor was filled with a constant.",
        "Spread the decays as the published start does.",
    ),
    Rule(
        "differs", WARNING, True, _differs,
        "The decays are not what the authors' own initialisation gives.",
        "Set them from the published start, or know why not.",
    ),
)  # fmt: skip
