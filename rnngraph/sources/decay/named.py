"""What a configuration says of a family: whether it is meant, and the numbers that stand nowhere else.

In: a `Config`. Out: True, False or None (silent), and numbers by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rnngraph.sources.decay.config import Config
from rnngraph.sources.decay.formulas import Numbers

CLAMPED = ("zamba2", "nemotron_h")  # hold dt to `time_step_min` whatever else their configuration says
BOUNDS = ("gate_lower_bound", "linear_lower_bound", "kda_lower_bound", "lower_bound")
_SAFE = ("kda_safe_gate", "safe_gate")
_BOUNDED = ("glm5_next", "glm5_next_text", "bailing_hybrid")
_UNBOUNDED = ("kimi_linear", "kda")


def model_types(*names: str) -> Callable[[Config], bool | None]:
    """Make the question whether `model_type` is one of these; silent where it is none of them."""

    def says(config: Config) -> bool | None:
        return True if config.says("model_type", *names) else None

    return says


def says_mamba2(config: Config) -> bool | None:
    """Whether Mamba-2 is meant; the authors' own files say it in `ssm_cfg`."""
    known = model_types("mamba2", *CLAMPED, "bamba", "falcon_h1", "granitemoehybrid")(config)
    return known or (True if config.says("layer", "mamba2") else None)


def time_step(config: Config) -> Numbers:
    """Give the limits that dt is held to."""
    if config.says("model_type", *CLAMPED):
        return {"dt_min": config.number("time_step_min", default=0.001), "dt_max": math.inf}
    low, high = config.pair("time_step_limit", "dt_limit", default=(0.0, math.inf))
    return {"dt_min": low, "dt_max": high}


def says_bounded(config: Config) -> bool | None:
    """Whether the gate of a Kimi delta attention has a lower bound."""
    safe = config.find(*_SAFE)
    if isinstance(safe, bool):
        return safe
    if config.says("model_type", *_UNBOUNDED):
        return config.find(*BOUNDS) is not None
    missing = object()
    bound = config.find(*BOUNDS, default=missing)
    if bound is not missing:
        return bound is not None
    return True if config.says("model_type", *_BOUNDED) else None


def says_unbounded(config: Config) -> bool | None:
    """Whether it has none."""
    bounded = says_bounded(config)
    return None if bounded is None else not bounded


def number(name: str, *keys: str, default: float) -> Callable[[Config], Numbers]:
    """Make what gives a number of the formula; `keys` are what configurations call it, if not by its own name."""
    return lambda config: {name: config.number(*(keys or (name,)), default=default)}
