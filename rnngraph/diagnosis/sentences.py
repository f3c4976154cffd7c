"""Parts of sentences that findings, reports and pictures have in common: what is left, and how fast it goes."""

from __future__ import annotations

import math

from rnngraph.diagnosis.evidence import is_extinct
from rnngraph.diagnosis.layer import Layer


def gain_text(decades: float, form: str = "+.2f") -> str:
    """Write a gain in decades."""
    return "exactly zero" if decades == -math.inf else f"1e{decades:{form}}"


def pace_texts(gain: str, horizon: int, rate: float, half_life: float | None) -> list[str]:
    """Say what is left at a horizon and how fast it goes, `rate` in nats a step, as far as it is known."""
    texts = [f"gain at lag {horizon}: {gain}"]
    if math.isfinite(rate):
        texts.append(f"rate {rate:+.4g} nats a step")
    if half_life is not None:
        texts.append(f"half-life {half_life:.3g} steps")
    return texts


def no_credit(layer: Layer) -> str:
    """Say beyond which lag nothing is learnt, and what is left at the horizon."""
    zero = layer.decades == -math.inf
    gain = gain_text(layer.decades, "+.1f") + ("" if zero else f" of what it was{pace(layer)}")
    text = (
        f"there is no credit beyond lag {layer.memory_horizon} (less than {layer.limits.epsilon:g} is left): "
        f"at lag {layer.horizon} a gradient is {gain}."
    )
    if not zero and is_extinct(layer):
        text += f" That is below the resolution of {layer.trace.dtype} beside a term of short lag."
    return text


def pace(layer: Layer) -> str:
    """Say how fast the gradient shrinks or grows."""
    if not math.isfinite(layer.rate):
        return ""
    half = layer.half_life
    tempo = f", halved every {half:.3g} steps" if half is not None and half < 1e4 else ""
    if layer.rate > 1e-4:
        tempo = f", doubled every {math.log(2) / layer.rate:.3g} steps"
    return f" ({layer.rate:+.3g} nats a step{tempo})"


def counted(number: int, noun: str) -> str:
    """Write a number of things: 1 step, 2 steps."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
