"""The numbers and the position that a finding rests on."""

from __future__ import annotations

import math

import numpy as np

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.finding import Value
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network, Path
from rnngraph.trace.precision import precision_of


def evidence(layer: Layer) -> dict[str, Value]:
    """Gather the numbers that a verdict on a layer rests on."""
    found: dict[str, Value] = {
        "lag": layer.horizon,
        "state_decades": layer.decades,
        "rate": layer.rate,
        "half_life": layer.half_life,
        "activation_nats": layer.activation,
        "weight_nats": layer.weights,
        "saturated": layer.saturated,
        "activation": layer.cell.squashed,
        "saturation": layer.cell.saturation,
    }
    weight = layer.trace.recurrent_weight(layer.states[0])
    if weight is not None:
        found |= {"spectral_radius": weight.spectral_radius, "largest_singular_value": weight.largest_singular_value}
    scales = layer.gate_timescales()
    if scales.size:
        found["gate"] = layer.cell.keeps_title
        found |= {"gate_timescale": float(np.median(scales)), "longest_gate_timescale": float(scales.max())}
    return found


def path_evidence(network: Network, path: Path) -> dict[str, Value]:
    """Gather the numbers on the credit that reaches an input."""
    losses, samples = path.sums.participation(path.horizon)
    found: dict[str, Value] = {
        "lag": path.horizon, "decades": path.decades, "memory_horizon": path.reach, "reach": path.reach,
        "asked": network.asked, "losses_participation": losses, "samples_participation": samples,
    }  # fmt: skip
    if is_extinct(path):
        found |= {"extinct": True, "extinct_in": path.layer.trace.dtype}
    return found


def is_extinct(path: Path) -> bool:
    """Tell whether what is left, added to a term of short lag, does not change the sum."""
    return path.decades <= math.log10(precision_of(path.layer.trace.dtype).eps)


def overflow_lag(layer: Layer) -> int | None:
    """Predict the lag at which the dtype overflows, where that lies within ten horizons; None else."""
    start = layer.credit.start
    start = start[np.isfinite(start)]
    if not layer.rate > 0 or not start.size:
        return None
    room = math.log10(precision_of(layer.trace.dtype).largest) - layer.peak - float(start.max()) / LN10
    lag = layer.horizon + room * LN10 / layer.rate
    return max(math.ceil(lag), 1) if lag <= 10 * layer.horizon else None


def end_of_memory(path: Path) -> dict[str, Value]:
    """Find where the memory ends, counted from the last loss of the longest sample over steps that are no copies."""
    credit, layer = path.layer.credit, path.layer
    if not credit.arrivals.size or path.reach is None:
        return {}
    before = [credit.taken_steps(sample) for sample in range(len(credit.arrivals))]
    before = [steps[steps <= last] for steps, last in zip(before, credit.arrivals.max(axis=1), strict=True)]
    behind = max(before, key=lambda steps: int(steps.max(initial=-1)))[::-1]
    if path.reach >= len(behind):
        return {}
    return at_timestep(layer, credit.timestep(int(behind[path.reach])))


def at_timestep(layer: Layer, t: int) -> dict[str, Value]:
    """Name a timestep and its node."""
    nodes = layer.states[0].nodes
    return {"timestep": t, "node": int(nodes[t])} if 0 <= t < len(nodes) else {}
