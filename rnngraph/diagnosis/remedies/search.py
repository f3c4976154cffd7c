"""Remedies that are tried before they are printed: what is tried for which finding, in which order.

In: a network, what was found, and a `Bench`. Out: what helps, best first. A plain function a finding, one table.

Sources: orthogonal starts (Saxe et al., 2013); the gain of a gate, `b = ln(f / (1 - f))` for `f = gain ** (1 / lag)`
(Gers et al., 2000; Jozefowicz et al., 2015); chrono (Tallec and Ollivier, 2018); identity starts (Le et al., 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.remedies.tried import Bench, Tried
from rnngraph.trace.change import BIAS, CHRONO, IDENTITY, INPUTS, OPEN, ORTHOGONAL, SCALE, Change

KEPT_GAIN = 0.1  # what a gate's bias is to leave at the lag
TARGET = -0.5  # decades that a scale aims at
_SCALES = 5  # tries of a scale
_BIASES = 3
_SQUASH = (0.3, 0.1, 0.03, 0.01)
_STRONGER = (10.0, 100.0)


def forget_bias(gain: float, lag: int) -> float:
    """Compute the bias with which a gate alone leaves `gain` after `lag` steps."""
    f = gain ** (1 / lag)
    return math.log(f / (1 - f))


def for_vanishing(bench: Bench, layer: Layer) -> Iterator[Tried | None]:
    """Try chrono and a bias where a gate keeps the state, else an orthogonal start and a scale."""
    if layer.cell.keeps:
        yield bench.run(f"start the gates by chrono for lag {bench.lag}", Change(CHRONO, bench.lag + 1))
        yield from _biases(bench, layer)
        return
    if layer.cell.switches_off:
        yield from _identity(bench)
    orthogonal = bench.run("start the recurrent weight orthogonal", Change(ORTHOGONAL))
    yield orthogonal
    if orthogonal is not None and layer.weights == -math.inf:  # no multiple of nothing is anything
        first = 10 ** ((TARGET - _finite(orthogonal.decades)) / bench.lag)
        yield from _scales(bench, first, "start the recurrent weight orthogonal, times", ORTHOGONAL)
        return
    yield from _scales(bench, 10 ** ((TARGET - _finite(bench.network.head.decades)) / bench.lag))


def for_exploding(bench: Bench, layer: Layer) -> Iterator[Tried | None]:
    """Try an orthogonal start, and a smaller weight."""
    if not layer.cell.keeps:
        yield bench.run("start the recurrent weight orthogonal", Change(ORTHOGONAL))
    yield from _scales(bench, 10 ** (-(layer.peak - 1) / max(layer.peak_lag, 1)))


def for_saturated(bench: Bench, layer: Layer) -> Iterator[Tried | None]:
    """Try smaller inputs, alone and with a recurrent weight that keeps."""
    for factor in _SQUASH:
        words = f"scale the input weights and biases by {factor:g}"
        if factor == _SQUASH[1]:
            yield bench.run(words, Change(INPUTS, factor))
        if layer.cell.keeps:
            yield bench.run(f"{words} and start the gates by chrono for lag {bench.lag}", Change(INPUTS, factor),
                            Change(CHRONO, bench.lag + 1))  # fmt: skip
        else:
            yield bench.run(
                f"{words} and start the recurrent weight orthogonal", Change(INPUTS, factor), Change(ORTHOGONAL)
            )


def for_unwritten(bench: Bench, layer: Layer) -> Iterator[Tried | None]:
    """Try the other gates half open, and stronger inputs."""
    if layer.cell.keeps:
        others = ", ".join(gate for gate in layer.cell.gates if gate != layer.cell.keeps)
        yield bench.run(f"set the biases of the gates {others} to 0", Change(OPEN, 0.0))
    for factor in _STRONGER:
        yield bench.run(f"scale the input weights and biases by {factor:g}", Change(INPUTS, factor))


def for_dead(bench: Bench, layer: Layer) -> Iterator[Tried | None]:
    """Try a start at which units fire, or where they may be no units that switch off, one that keeps."""
    yield from _identity(bench)
    if not layer.cell.switches_off:
        yield bench.run("start the recurrent weight orthogonal", Change(ORTHOGONAL))


def _identity(bench: Bench) -> Iterator[Tried | None]:
    yield bench.run("start the recurrent weight as the identity and the biases at 0", Change(IDENTITY))


def _biases(bench: Bench, layer: Layer) -> Iterator[Tried | None]:
    bias = forget_bias(KEPT_GAIN, bench.lag)
    for number in range(_BIASES):
        value = round(bias + number, 2)
        yield bench.run(f"set the bias of the {layer.cell.keeps_title} to {value:.2f}", Change(BIAS, value))


def _scales(
    bench: Bench, first: float, words: str = "scale the recurrent weight by", kind: str = SCALE
) -> Iterator[Tried | None]:
    """Search a factor by bisection on its logarithm: too little is left below it, and it explodes above."""
    low, high, factor = 0.0, math.inf, _rounded(min(max(first, 1e-3), 1e3))
    for _ in range(_SCALES):
        tried = bench.run(f"{words} {factor:g}", Change(kind, factor))
        yield tried
        if tried is None or tried.helps:
            return
        if tried.peak >= tried.most:
            high = factor
        else:
            low = factor
        if low and high < math.inf:
            following = math.sqrt(low * high)
        elif low:
            following = factor * max(10 ** ((TARGET - _finite(tried.decades)) / bench.lag), 1.2)
        else:
            following = factor * min(10 ** (-tried.peak / bench.lag), 0.8)
        if _rounded(following) == factor:
            return
        factor = _rounded(following)


def _rounded(factor: float) -> float:
    """Round to what a person would write, and try that."""
    return float(f"{factor:.3g}")


def _finite(decades: float) -> float:
    return max(decades, -100.0) if not math.isnan(decades) else -4.0


CURES: dict[str, Callable[[Bench, Layer], Iterator[Tried | None]]] = {
    "dead": for_dead, "exploding": for_exploding, "unwritten": for_unwritten, "saturated": for_saturated,
    "vanishing": for_vanishing, "attenuating": for_vanishing,
}  # fmt: skip
ENOUGH = 2  # remedies that help, after which nothing more is tried


def search(bench: Bench, rule: str, layer: Layer) -> list[Tried]:
    """Try what there is for a finding, until enough of it helps; give what does, best first."""
    helping: list[Tried] = []
    for tried in CURES[rule](bench, layer):
        if tried is not None and tried.helps:
            helping.append(tried)
        if len(helping) >= ENOUGH:
            break
    return sorted(helping, key=_distance)


def _distance(tried: Tried) -> float:
    """Measure how far a change is from leaving everything as it is."""
    return abs(tried.decades) + max(tried.peak - 1, 0)
