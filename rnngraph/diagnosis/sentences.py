"""Parts of sentences that findings, reports and pictures have in common: what is left, and how fast it goes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rnngraph.diagnosis.evidence import is_extinct
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Path


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


def no_credit(path: Path) -> str:
    """Say beyond which lag nothing is learnt, and what is left at the one that is judged."""
    zero, layer = path.decades == -math.inf, path.layer
    gain = gain_text(path.decades, "+.1f") + ("" if zero else f" of what it was{pace(layer)}")
    text = (
        f"there is no credit beyond lag {path.reach} (less than {percent(math.log10(layer.limits.epsilon))} is left): "
        f"at lag {path.horizon} a gradient is {gain}."
    )
    if not zero and is_extinct(path):
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


def percent(decades: float) -> str:
    """Write what is left as a percentage of two figures, or as a power of ten where that is small."""
    if decades == -math.inf:
        return "nothing"
    share = 10 ** min(decades, 300.0)
    if share < 1e-3:
        return f"1e{decades:.1f}"
    if share >= 1.5:
        return times(decades)
    if share >= 0.995:
        return "all"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def times(decades: float) -> str:
    """Write a factor: ×0.58, ×100, ×5e7."""
    if decades > 300:
        return f"×1e{decades:.0f}"
    factor = 10**decades
    if factor < 1000:
        return f"×{factor:.2g}" if factor < 100 else f"×{factor:.0f}"
    mantissa, exponent = f"{factor:.0e}".split("e")
    return f"×{mantissa}e{int(exponent)}"


def spans_text(chosen: NDArray[np.bool_]) -> str:
    """List runs of timesteps: t = 3 to 40, t = 50."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    runs = [(int(first), int(stop) - 1) for first, stop in list(pairwise(edges.tolist()))[::2]]
    named = [f"t = {first}" if first == last else f"t = {first} to {last}" for first, last in runs]
    return ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
