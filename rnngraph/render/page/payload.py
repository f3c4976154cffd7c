"""Everything that the page knows, as one dictionary: numbers a timestep, scenes, scales, lags and findings.

In comes a drawing, out goes plain data for JSON. The same drawing gives the same data.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.diagnosis.diagnose import verdict_of
from rnngraph.diagnosis.headline import counts, headline
from rnngraph.diagnosis.one_loss import TOTAL
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.graph.build.fold import valid_samples
from rnngraph.graph.draw import Drawing, Options
from rnngraph.graph.model import Graph
from rnngraph.graph.steps import Ranges, gaps, parse_steps
from rnngraph.graph.style.left import EXPLODED, GROWN, GROWTH, LEFT, MARK, RAMP, floor_of
from rnngraph.graph.style.palette import BALANCE, VIRIDIS, choose_style
from rnngraph.render.page.losses import losses
from rnngraph.render.page.number_lists import Atoms, magnitude, magnitudes, number, numbers, totals
from rnngraph.render.page.prototype import Groups, find_groups
from rnngraph.render.page.scene import scenes
from rnngraph.render.report.diagnosis import diagnosis_document
from rnngraph.render.strict import finite, picked
from rnngraph.trace.model import GateTrace, ParameterTrace, StateTrace, Trace

EVERY_STEP = 2_000  # a longer sequence is in the page only where `steps` asks for it, the rest as ranges


def payload(drawing: Drawing) -> dict[str, Any]:
    """Collect the data of the page."""
    trace, options = drawing.trace, drawing.options
    shown = parse_steps(options.steps, trace.timesteps)
    atoms = _atoms(shown, trace.timesteps)
    groups, found = find_groups(trace), verdict_of(trace)
    # What is not of its steps is that of every picture.
    shared = replace(
        options,
        steps=None,
        seen_from=TOTAL,
        width=Options().width,
        title=options.title or trace.model or "recurrent network",
    )
    folded = Drawing(trace, shared).graph
    return {
        "title": folded.title,
        "dtype": trace.dtype,
        "timesteps": trace.timesteps,
        "start": {
            "steps": [list(pair) for pair in shown], "detail": options.detail, "rolled": options.view == "rolled",
            "color": options.color, "backward": options.backward, "theme": options.theme,
        },
        "atoms": [list(atom) for atom in atoms] if len(atoms) < trace.timesteps else trace.timesteps,
        "labels": [trace.labels[start] if stop - start == 1 else None for start, stop in atoms],
        "valid": numbers(valid_samples(trace, 0, trace.timesteps), atoms),
        "loss": totals(trace.loss_steps, atoms),
        "recurrences": [_recurrence(trace, number, atoms) for number in range(len(trace.recurrences))],
        "states": [_state(trace, state, atoms) for state in trace.states],
        "gates": [_gate(trace, gate, atoms) for gate in trace.gates],
        "parameters": [_parameter(parameter, atoms) for parameter in trace.parameters],
        "inputs": [{"name": one.name, "grad": magnitudes(one.steps, atoms)} for one in trace.inputs],
        "nonfinite": [
            {"node": node, "step": int(trace.graph.timestep[node])}
            for node in trace.graph.first_nonfinite().values()
        ],
        "scales": _scales(folded),
        "scenes": scenes(trace, groups, atoms),
        "groups": _groups(groups, atoms),
        "scale": _left(trace.dtype),
        "losses": None if options.seen_from == TOTAL else losses(
            trace, options.seen_from, said=counts(found) if found and options.title is None else ""
        ),
        "total": options.seen_from == TOTAL and bool(trace.lags),
        "headline": _headline(drawing, found),
        "diagnosis": diagnosis_document(found) if found else None,
        "notes": list(trace.notes),
    }  # fmt: skip


def _headline(drawing: Drawing, found: Diagnosis | None) -> list[str]:
    """Say where, why and what to try; a title that was asked for stands in the first one's place."""
    trace, title = drawing.trace, drawing.options.title
    where, why, attempt = headline(found) if found else (trace.model or "A recurrent network", "", "")
    return [title or where, why, attempt]


def _atoms(shown: Ranges, timesteps: int) -> Atoms:
    if timesteps <= EVERY_STEP:
        shown = ((0, timesteps),)
    steps = [(step, step + 1) for start, stop in shown for step in range(start, stop)]
    return tuple(sorted([*steps, *gaps(shown, timesteps)]))


def _groups(groups: Groups, atoms: Atoms) -> list[Any]:
    """Return the group of every atom as runs: group, how many."""
    runs: list[list[int]] = []
    for start, stop in atoms:
        group = int(groups.of[start]) if stop - start == 1 else -1
        if runs and runs[-1][0] == group:
            runs[-1][1] += 1
        else:
            runs.append([group, 1])
    return runs


def _recurrence(trace: Trace, number: int, atoms: Atoms) -> dict[str, Any]:
    one = trace.recurrences[number]
    cell = trace.cell_of(one)
    valid = np.zeros(trace.timesteps)
    valid[: one.timesteps] = one.valid.sum(axis=0)
    return {"name": one.name, "mark": [cell.marked_from, cell.saturation], "valid": numbers(valid, atoms)}


def _state(trace: Trace, state: StateTrace, atoms: Atoms) -> dict[str, Any]:
    recurrence = trace.recurrence_of(state)
    norms = picked(state, "grad", "immediate", "carried")
    norms |= {name: state.quantiles[row] for row, name in enumerate(("low", "middle", "high"))}
    plain = picked(state, "gain", "saturated", "activation", "zeros", "nonfinite")
    plain |= {"gainActivation": state.gain_activation, "gainWeights": state.gain_weights}
    return {
        **picked(state, "name", "layer", "direction", "kind"),
        "track": trace.recurrences.index(recurrence), "timesteps": recurrence.timesteps,
        "initial": magnitude(state.initial),
        **{name: magnitudes(one, atoms) for name, one in norms.items()},
        **{name: numbers(one, atoms) for name, one in plain.items()},
        "cuts": [int(state.cut[start:stop].sum()) for start, stop in atoms] if state.cut.any() else [],
    }  # fmt: skip


def _gate(trace: Trace, gate: GateTrace, atoms: Atoms) -> dict[str, Any]:
    return {
        **picked(gate, "name", "gate"), "track": trace.recurrences.index(trace.recurrence_of(gate)),
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


def _left(dtype: str) -> dict[str, Any]:
    """Return the scale of what is left of a loss, as `graph/style/left.py` has it."""
    return {
        "floor": floor_of(dtype), "mark": MARK, "growth": GROWTH, "exploded": EXPLODED,
        "ramp": [most if math.isfinite(most) else None for most, _, _ in RAMP],
        "inks": {tone.name: tone.text for tone in (*LEFT, *GROWN)},
    }  # fmt: skip


def _scales(graph: Graph) -> dict[str, Any]:
    """Return the ends of every scale, over all steps of the trace, and the colours."""
    style, activation = choose_style(graph), choose_style(graph, "activation").fills
    scales = {
        "arrows": style.arrows, "bars": style.bars, "weights": style.weights,
        "gain": choose_style(graph, "gain").arrows, "activation": activation,
    }  # fmt: skip
    return {
        **{name: [number(scale.low), number(scale.high)] for name, scale in scales.items() if scale is not None},
        "stops": {
            f"{theme}{name}": [stop[place] for stop in stops]
            for name, stops in (("", VIRIDIS), ("Balance", BALANCE))
            for place, theme in ((1, "light"), (2, "dark"))
        },
    }
