"""Everything that the page knows, as one dictionary: numbers a timestep, scenes, scales, lags and findings.

In comes a drawing that holds its trace, out goes plain data for JSON. The same drawing gives the same data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnngraph.errors import InputError
from rnngraph.graph.drawing import Drawing
from rnngraph.graph.palette import BALANCE, VIRIDIS, hexadecimal
from rnngraph.graph.steps import Ranges, gaps, parse_steps
from rnngraph.graph.style import choose_style
from rnngraph.graph.vertices import INACTIVE, SATURATED
from rnngraph.render.page.details import scenes
from rnngraph.render.page.groups import find_groups
from rnngraph.render.page.lag_maps import lag_maps
from rnngraph.render.page.series import Atoms, magnitude, magnitudes, numbers, totals
from rnngraph.render.page.verdict import verdict
from rnngraph.render.strict import finite
from rnngraph.trace.model import GateTrace, ParameterTrace, StateTrace, Trace

EVERY_STEP = 2_000  # a longer sequence is in the page only where `steps` asks for it, the rest as ranges

# The same scales on a dark page: without the darkest end, which vanishes there, but with the lightest.
VIRIDIS_DARK = (
    (102, 88, 168), (82, 116, 178), (62, 137, 158), (45, 154, 146), (34, 170, 131), (68, 191, 112),
    (122, 209, 81), (170, 220, 50), (218, 226, 40), (253, 231, 37),
)  # fmt: skip
BALANCE_DARK = (
    (96, 165, 250), (105, 160, 225), (125, 155, 195), (140, 146, 155), (205, 150, 95), (232, 140, 60), (251, 146, 60),
)  # fmt: skip


def payload(drawing: Drawing) -> dict[str, Any]:
    """Collect the data of the page.

    Raises:
        InputError: the drawing was put together by hand and does not hold its trace.
    """
    trace, options = drawing.trace, drawing.options
    if trace is None or options is None:
        raise InputError("this drawing does not hold its trace, which the page shows; make it with rnngraph.draw.")
    shown = parse_steps(options.steps, trace.timesteps)
    atoms = _atoms(shown, trace.timesteps)
    return {
        "title": drawing.graph.title,
        "subtitle": drawing.graph.subtitle,
        "timesteps": trace.timesteps,
        "start": {
            "steps": [list(pair) for pair in shown], "detail": options.detail, "rolled": options.view == "rolled",
            "color": options.color, "backward": options.backward,
        },
        "atoms": [list(atom) for atom in atoms] if len(atoms) < trace.timesteps else trace.timesteps,
        "labels": [trace.labels[start] if stop - start == 1 else None for start, stop in atoms],
        "valid": numbers(trace.valid.sum(axis=0), atoms),
        "batch": trace.batch,
        "loss": totals(trace.loss_steps, atoms),
        "states": [_state(state, atoms) for state in trace.states],
        "gates": [_gate(gate, atoms) for gate in trace.gates],
        "parameters": [_parameter(parameter, atoms) for parameter in trace.parameters],
        "inputs": [{"name": one.name, "grad": magnitudes(one.steps, atoms)} for one in trace.inputs],
        "nonfinite": _nonfinite(trace),
        "scales": _scales(drawing, trace),
        "saturated": SATURATED,
        "scenes": scenes(trace, find_groups(trace), atoms),
        "groups": _groups(trace, atoms),
        "lags": lag_maps(trace),
        "diagnosis": verdict(trace),
        "notes": list(trace.notes),
    }  # fmt: skip


def _atoms(shown: Ranges, timesteps: int) -> Atoms:
    if timesteps <= EVERY_STEP:
        shown = ((0, timesteps),)
    steps = [(step, step + 1) for start, stop in shown for step in range(start, stop)]
    return tuple(sorted([*steps, *gaps(shown, timesteps)]))


def _groups(trace: Trace, atoms: Atoms) -> list[Any]:
    """Return the group of every atom as runs: group, how many."""
    of = find_groups(trace).of
    runs: list[list[int]] = []
    for start, stop in atoms:
        group = int(of[start]) if stop - start == 1 else -1
        if runs and runs[-1][0] == group:
            runs[-1][1] += 1
        else:
            runs.append([group, 1])
    return runs


def _state(state: StateTrace, atoms: Atoms) -> dict[str, Any]:
    return {
        "name": state.name, "layer": state.layer, "direction": state.direction, "kind": state.kind, "cell": state.cell,
        "mark": [INACTIVE, "inactive"] if state.cell == "relu" else [SATURATED, "saturated"],
        "initial": magnitude(state.initial),
        "grad": magnitudes(state.grad, atoms),
        "immediate": magnitudes(state.immediate, atoms),
        "carried": magnitudes(state.carried, atoms),
        "low": magnitudes(state.quantiles[0], atoms),
        "middle": magnitudes(state.quantiles[1], atoms),
        "high": magnitudes(state.quantiles[2], atoms),
        "gain": numbers(state.gain, atoms),
        "gainActivation": numbers(state.gain_activation, atoms),
        "gainWeights": numbers(state.gain_weights, atoms),
        "saturated": numbers(state.saturated, atoms),
        "activation": numbers(state.activation, atoms),
        "zeros": numbers(state.zeros, atoms),
        "nonfinite": numbers(state.nonfinite, atoms),
        "cuts": [int(state.cut[start:stop].sum()) for start, stop in atoms] if state.cut.any() else [],
    }  # fmt: skip


def _gate(gate: GateTrace, atoms: Atoms) -> dict[str, Any]:
    return {
        "name": gate.name, "layer": gate.layer, "direction": gate.direction, "gate": gate.gate,
        "mean": numbers(gate.mean, atoms), "saturated": numbers(gate.saturated, atoms),
    }  # fmt: skip


def _parameter(parameter: ParameterTrace, atoms: Atoms) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return finite(float(f"{value:.5g}"))

    return {
        "name": parameter.name,
        "shape": "×".join(str(size) for size in parameter.shape),
        "grad": magnitude(parameter.grad),
        "steps": magnitudes(parameter.steps, atoms),
        "cancellation": known(parameter.cancellation),
        "norm": known(parameter.norm),
        "radius": known(parameter.spectral_radius),
        "singular": known(parameter.largest_singular_value),
    }


def _nonfinite(trace: Trace) -> list[dict[str, Any]]:
    return [
        {"way": way, "node": node, "step": int(trace.graph.timestep[node])}
        for way, node in trace.graph.first_nonfinite().items()
    ]


def _scales(drawing: Drawing, trace: Trace) -> dict[str, Any]:
    style = choose_style(drawing.graph)
    gains = np.concatenate([state.gain for state in trace.states])
    gains = gains[np.isfinite(gains) & (gains > 0)]
    reach = float(max(math.log10(2), np.abs(np.log10(gains)).max(initial=0.0)))
    used = np.concatenate([state.activation for state in trace.states])
    largest = float(used[np.isfinite(used)].max(initial=0.0)) or 1.0
    return {
        "arrows": [style.arrows.low, style.arrows.high],
        "bars": [style.bars.low, style.bars.high],
        "weights": [style.weights.low, style.weights.high],
        "gain": [round(-reach, 5), round(reach, 5)],
        "activation": [0, float(f"{largest:.5g}")],
        "stops": {name: [hexadecimal(colour) for colour in stops] for name, stops in (
            ("light", VIRIDIS), ("dark", VIRIDIS_DARK), ("lightBalance", BALANCE), ("darkBalance", BALANCE_DARK))},
    }  # fmt: skip
