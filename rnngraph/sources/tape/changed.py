"""A recorded pass computed again with changed weights: the same entries, ids, data and loss.

In: a tape and changes. Out: a tape, or None where a change means nothing for its recurrences.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnngraph.autodiff.again import again
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.cell import Cell
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.nn import init
from rnngraph.nn.cells import CELLS
from rnngraph.sources.tape.own_weights import own_weights
from rnngraph.trace.change import BIAS, CHRONO, IDENTITY, INPUTS, OPEN, ORTHOGONAL, SCALE, TRUNCATE, Change

Weights = dict[str, Array]
SEED = 0


def changed_tape(tape: Tape, changes: Sequence[Change]) -> Tape | None:
    """Compute a tape again; a cut alone computes nothing."""
    values: dict[int, Array] = {}
    cut = 0
    for change in changes:
        if change.kind == TRUNCATE:
            if not tape.recurrences or any(one.block is None for one in tape.recurrences):
                return None
            cut = int(change.number)
            continue
        for one in tape.recurrences:
            found = _of_cell(tape, one, one.cell, change, values) if one.cell else _of_own(tape, one, change, values)
            if not found:
                return None
            values |= found
    return _again(tape, values, cut)


def _of_cell(
    tape: Tape, one: Recurrence, cell: Cell, change: Change, values: Mapping[int, Array]
) -> dict[int, Array] | None:
    nodes = weight_nodes(tape, one)
    if not nodes:
        return None
    weights = {key: values.get(i, tape.entry(i).value).copy() for key, i in nodes.items()}
    found = RULES[change.kind](cell, weights, change.number)
    return None if found is None else {nodes[key]: value for key, value in found.items()}


def _of_own(tape: Tape, one: Recurrence, change: Change, values: Mapping[int, Array]) -> dict[int, Array] | None:
    """Change what the states of a cell of one's own are multiplied with as the weight of a plain cell."""
    if change.kind not in (SCALE, ORTHOGONAL):
        return None
    found: dict[int, Array] = {}
    for weight in own_weights(tape, one):
        value = found.get(weight.leaf, values.get(weight.leaf, tape.entry(weight.leaf).value)).copy()
        part = weight.part(value)
        made = RULES[change.kind](CELLS["tanh"], {"Wh": part.copy()}, change.number)
        if made is None:
            return None
        part[...] = made["Wh"]
        found[weight.leaf] = value
    return found


def weight_nodes(tape: Tape, one: Recurrence) -> dict[str, int]:
    """Give the nodes of a recurrence's weights by the names of its cell; none of a cell that is not known."""
    if one.block is not None:
        return {key: one.block.sources[key] for key in one.block.weights}
    if one.cell is None:
        return {}
    names = {f"{one.stem}.{key}{one.ending}": key for key in one.cell.names}
    found = {names[entry.name]: entry.id for entry in tape.entries if entry.name in names}
    return found if len(found) == len(names) else {}


def _again(tape: Tape, values: dict[int, Array], cut: int) -> Tape:
    found = again(tape, values)
    blocks = {entry.id: entry for entry in found.entries if isinstance(entry, Block)}
    if cut:
        blocks = {i: copy.copy(block) for i, block in blocks.items()}
        for made in blocks.values():
            made.cuts = frozenset(range(cut, made.steps, cut))
        found.entries = [blocks.get(entry.id, entry) for entry in found.entries]
    found.recurrences, found.starts = [], dict(tape.starts)
    for one in tape.recurrences:
        block = None if one.block is None else blocks[one.block.id]
        cuts = one.cuts
        if cut and block is not None:
            cuts = block.order(np.isin(np.arange(block.steps), sorted(block.cuts)))[None]
        found.recurrences.append(replace(one, block=block, cuts=cuts))
    return found


# Each takes a cell, copies of its weights and a number, and gives what changes; None where it means nothing.
def _scale(cell: Cell, weights: Weights, number: float) -> Weights | None:
    return {"Wh": weights["Wh"] * _typed(weights, number)}


def _orthogonal(cell: Cell, weights: Weights, number: float) -> Weights | None:
    shape = weights["Wh"].shape
    if shape[0] != shape[1]:
        return None
    drawn = init.orthogonal(np.random.default_rng(SEED), shape)
    return {"Wh": (number * drawn).astype(weights["Wh"].dtype)}


def _identity(cell: Cell, weights: Weights, number: float) -> Weights | None:
    shape = weights["Wh"].shape
    if shape[0] != shape[1]:
        return None
    return {"Wh": (number * init.identity(shape)).astype(weights["Wh"].dtype), "b": np.zeros_like(weights["b"])}


def _bias(cell: Cell, weights: Weights, number: float) -> Weights | None:
    keeps = cell.facts.keeps
    return _gates(cell, weights, {keeps}, lambda gates: gates[keeps].fill(number)) if keeps else None


def _chrono(cell: Cell, weights: Weights, number: float) -> Weights | None:
    if not cell.facts.keeps or number < 3:
        return None
    drawn = init.chrono(np.random.default_rng(SEED), cell.units(weights), horizon=int(number))
    return _gates(cell, weights, {cell.facts.keeps}, lambda gates: cell.long_memory(gates, drawn))


def _open(cell: Cell, weights: Weights, number: float) -> Weights | None:
    others = {one for one in cell.facts.gates if one != cell.facts.keeps}
    if not others or not cell.facts.keeps:
        return None
    return _gates(cell, weights, others, lambda gates: _fill(gates, others, number))


def _inputs(cell: Cell, weights: Weights, number: float) -> Weights | None:
    keys = [key for key in weights if key == "Wx" or key.startswith("b")]
    return {key: weights[key] * _typed(weights, number) for key in keys}


def _gates(cell: Cell, weights: Weights, chosen: set[str], fill: Callable[[dict[str, Array]], None]) -> Weights:
    size = len(weights["b"]) // cell.blocks
    parts = {name: slice(place * size, (place + 1) * size) for place, name in enumerate(cell.facts.gates)}
    fill({name: weights["b"][part] for name, part in parts.items()})
    if "bh" not in weights:
        return {"b": weights["b"]}
    for name in chosen:  # the two biases of a gate add up
        weights["bh"][parts[name]] = 0
    return {"b": weights["b"], "bh": weights["bh"]}


def _fill(gates: Weights, chosen: set[str], number: float) -> None:
    for one in chosen:
        gates[one].fill(number)


def _typed(weights: Weights, number: float) -> Array:
    return np.asarray(number, weights["Wh"].dtype)


RULES: dict[str, Callable[[Cell, Weights, float], Weights | None]] = {
    SCALE: _scale, ORTHOGONAL: _orthogonal, IDENTITY: _identity, BIAS: _bias, CHRONO: _chrono, INPUTS: _inputs,
    OPEN: _open,
}  # fmt: skip
