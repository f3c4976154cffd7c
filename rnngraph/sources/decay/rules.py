"""The table of rules: what is wrong with a layer's decays. One row a rule, and one function in `rule_functions`.

In: a layer that was read and the options. Out: findings. Three rules hold for any checkpoint; the others judge a start,
and so need to be told that the weights are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rnngraph.errors import InputError
from rnngraph.sources.decay import rule_functions
from rnngraph.sources.decay.read import ReadLayer
from rnngraph.sources.decay.rule_functions import Evidence, Judging
from rnngraph.trace.decay import DecayFinding, DecayReport

ERROR, WARNING = "error", "warning"


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


def known_rules(names: Iterable[str], judging: Judging) -> list[str]:
    """Take names of rules that can fire.

    Raises:
        InputError: an unknown rule, or one that is not judged as things are.
    """
    rules = {rule.name: rule for rule in RULES}
    taken = [name.strip().replace("-", "_") for name in names]
    for name in taken:
        if name not in rules:
            raise InputError(
                f"--fail-on names {name!r}, which is no finding of decay: choose among {', '.join(rules)}."
            )
        if rules[name].fresh and not judging.fresh:
            raise InputError(
                f"--fail-on names {name}, which is judged of an initialisation only: give --fresh as well."
            )
        if name == "never_forgets" and judging.context is None:
            raise InputError("--fail-on names never_forgets, which needs the length of a sequence: give --context.")
    return taken


def refuse_unjudged(report: DecayReport, names: Iterable[str]) -> None:
    """Hold back a verdict of no findings where a layer was not judged.

    Raises:
        InputError: one of the rules judges a start, and a layer fits more than one family.
    """
    judging = {rule.name for rule in RULES if rule.fresh}
    layer = next((one for one in report.layers if not one.judged), None)
    name = next((one for one in names if one in judging), None)
    if layer is not None and name is not None:
        raise InputError(
            f"--fail-on names {name}, but {layer.shown_name} fits more than one family and is not judged: say which "
            "it is with --config."
        )


def _applied(rule: Rule, layer: ReadLayer, judging: Judging) -> DecayFinding | None:
    if rule.fresh and not judging.fresh:
        return None
    evidence = rule.check(layer, judging)
    if evidence is None:
        return None
    return DecayFinding(
        rule.name, rule.severity, layer.decay.name, evidence.numbers, rule.cause, rule.advice, evidence.text
    )


RULES = (
    Rule(
        "non_finite", ERROR, False, rule_functions.non_finite,
        "A logarithm of 0, an overflow, or a draw in a dtype with too few digits.",
        "Draw the decays in float32 and cast them afterwards; keep them away from 0 before the logarithm.",
    ),
    Rule(
        "frozen", ERROR, False, rule_functions.frozen,
        "A rate of 0 keeps the state for ever and has no gradient to leave it; A_log of -inf, as drawn in bfloat16, is "
        "one way to it.",
        "Draw the decays in float32 and away from 0.",
    ),
    Rule(
        "grows", ERROR, False, rule_functions.grows,
        "A rate below 0 multiplies the state at every step.",
        "Hold the real part of every eigenvalue below 0, such as by learning its logarithm.",
    ),
    Rule(
        "no_memory", ERROR, True, rule_functions.no_memory,
        "Even the longest decay has lost half of the state after one step, so that training has nothing to start from; "
        "a wrapper that sets biases to 0 or 1 after the model has set them is the usual reason.",
        "Set the decays after every other initialiser has run, from the published start.",
    ),
    Rule(
        "never_forgets", WARNING, True, rule_functions.never_forgets,
        "Even the shortest decay keeps more than half of the state over a whole sequence.",
        "Start some heads with half-lives well within the sequence.",
    ),
    Rule(
        "uniform", WARNING, True, rule_functions.uniform,
        "All decays begin alike where the published start spreads them, as when a tensor was filled with a constant.",
        "Spread the decays as the published start does.",
    ),
    Rule(
        "differs", WARNING, True, rule_functions.differs,
        "The decays are not what the authors' own initialisation gives.",
        "Set them from the published start, or know why not.",
    ),
)  # fmt: skip
