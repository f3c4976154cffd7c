"""Recognise the recurrent layers in a checkpoint by names and shapes, whatever prefix they have.

In: the index of a checkpoint. Out: `Candidate`s, those that are meant, and their cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rnngraph.errors import InputError
from rnngraph.nearest import check_known
from rnngraph.nn.cells import CELLS, OFFERED
from rnngraph.sources.checkpoint.conventions import CONVENTIONS, TORCH
from rnngraph.sources.checkpoint.conventions.convention import Candidate, Convention
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.stored import Checkpoint

# How many times as long as the state the weights are, of which the first cell of that many blocks is taken.
CELL_OF_RATIO = {CELLS[name].blocks: name for name in reversed(OFFERED)}
CELL_NAMES = {"rnn": OFFERED[0]} | {name: name for name in OFFERED}


def candidates(checkpoint: Checkpoint) -> list[Candidate]:
    """Find every recurrent layer of a checkpoint, in the order of its names."""
    found: list[Candidate] = []
    for convention in CONVENTIONS:
        groups: dict[str, dict[tuple[str, str], StoredArray]] = {}
        for name, array in checkpoint.arrays.items():
            match = convention.pattern.match(name)
            if match is None or (match["prefix"] and match["prefix"][-1] not in "./_"):
                continue
            prefix, side = convention.split(match["prefix"])
            key = convention.aliases.get(match["key"], match["key"])
            groups.setdefault(prefix, {})[key, side or _first_layer(match["place"])] = array
        for prefix, arrays in groups.items():
            cell = _cell(arrays, convention)
            if cell is not None:
                name = convention.name_of(prefix)
                settings = checkpoint.settings.get(name.rpartition("/")[2], {})
                found.append(Candidate(name or layer_name(cell), convention, arrays, cell, settings))
    return sorted(found, key=lambda one: _natural(one.name))


def layer_name(cell: str) -> str:
    """Name a layer that the file does not name."""
    return "rnn" if cell in ("tanh", "relu") else cell


def chosen(found: list[Candidate], wanted: Iterable[str], checkpoint: Checkpoint) -> list[Candidate]:
    """Pick the layers that are meant: the only one, or those that `--layer` names, each feeding the next.

    Raises:
        InputError: there is none, none is so named, or there are several and none was named.
    """
    names = list(wanted)
    if not found:
        raise InputError(_nothing(checkpoint))
    listed = ", ".join(one.describe() for one in found)
    if not names:
        if len(found) > 1:
            raise InputError(
                f"{checkpoint.path} holds several recurrent layers: {listed}; pick one with --layer NAME, or "
                "several of which each feeds the next with --layer NAME,NAME."
            )
        return found
    picked = []
    for name in names:
        matching = [one for one in found if one.name == name] or [
            one for one in found if re.search(rf"(^|[./]){re.escape(name)}$", one.name)
        ]
        if len(matching) != 1:
            raise InputError(
                f"--layer {name} names {len(matching)} of the recurrent layers in {checkpoint.path}: {listed}."
            )
        picked.append(matching[0])
    return picked


def _nothing(checkpoint: Checkpoint) -> str:
    stored = next((name for name in checkpoint.arrays if TORCH.recurrent in name), None)
    if stored is not None:
        return (
            f"{checkpoint.path} holds {stored} and not the recurrent weight itself, which something (spectral "
            "norm, weight drop) computes from it; put the computed weight into the file, as "
            "torch.nn.utils.parametrize.remove_parametrizations does."
        )
    shown = ", ".join(f"{name} {array.shape}" for name, array in list(checkpoint.arrays.items())[:6])
    expected = ", or ".join(one.expected for one in CONVENTIONS)
    return f"{checkpoint.path} holds no recurrent layer: expected {expected}; found {shown}."


def cell_of(candidate: Candidate, option: str | None) -> str:
    """Settle the cell: what the shapes say, what a `.keras` file says of the activation, and what `--cell` adds.

    Raises:
        InputError: the option contradicts the shapes, or the activation is none that can be walked.
    """
    cell = candidate.cell
    settings = candidate.settings
    activation, gate = settings.get("activation", "tanh"), settings.get("recurrent_activation", "sigmoid")
    if (cell == "tanh" and activation not in ("tanh", "relu")) or (
        cell != "tanh" and (activation, gate) != ("tanh", "sigmoid")
    ):
        raise InputError(
            f"{candidate.name} has the activations {activation!r} and {gate!r}; only tanh and sigmoid (and ReLU in a "
            "plain recurrence) can be walked."
        )
    if cell == "tanh" and activation == "relu":
        cell = "relu"
    if option is None:
        return cell
    check_known([option], CELL_NAMES, "--cell is {}; choose one of")
    wanted = CELL_NAMES[option]
    if wanted != cell and {wanted, cell} != {"tanh", "relu"}:
        shape = next(
            array.shape for (key, _), array in candidate.arrays.items() if key == candidate.convention.recurrent
        )
        raise InputError(
            f"--cell is {option} but the recurrent weight of {candidate.name} has shape {shape}, "
            f"which is that of {cell}."
        )
    return wanted


def _first_layer(place: str) -> str:
    """Write the place of a first layer out, which our names and a cell's leave away."""
    return place if place.startswith("_l") else f"_l0{place}"


def _cell(arrays: dict[tuple[str, str], StoredArray], convention: Convention) -> str | None:
    for (key, place), array in arrays.items():
        if key != convention.recurrent or len(array.shape) != 2:
            continue
        gates, units = convention.units(array, arrays.get((convention.projection, place)))
        side = arrays.get((convention.input, place))
        if not convention.distinct and (side is None or len(side.shape) != 2 or side.shape[convention.gates] != gates):
            continue
        return CELL_OF_RATIO.get(gates // units) if units and gates % units == 0 else None
    return None


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
