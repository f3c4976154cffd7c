"""Recognise the recurrent layers in a checkpoint by names and shapes, whatever prefix they have.

In: the index of a checkpoint. Out: `Candidate`s, and the `Stack` of the one that was chosen. Three
conventions are known: PyTorch's `weight_ih_l0`, Keras's `kernel` and `recurrent_kernel` (or `vars/0` and
`vars/1`), and our own `Wx` and `Wh`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.formats import Checkpoint

CELL_OF_RATIO = {1: "tanh", 3: "gru", 4: "lstm"}
CELL_NAMES = {"rnn": "tanh", "tanh": "tanh", "relu": "relu", "lstm": "lstm", "gru": "gru"}
_TORCH = re.compile(
    r"^(?P<prefix>.*?)(?P<key>weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?P<place>(_l\d+)?(_reverse)?)$"
)
_OURS = re.compile(r"^(?P<prefix>.*?)(?P<key>Wx|Wh|bh|b|Wr)(?P<place>(_l\d+)?(_reverse)?)$")
_KERAS = re.compile(r"^(?P<prefix>.*?)(?P<key>recurrent_kernel|kernel|bias|vars/[012])(?P<place>)(:0)?$")
_KERAS_KEYS = {"vars/0": "kernel", "vars/1": "recurrent_kernel", "vars/2": "bias"}
_KERAS_SIDE = re.compile(r"^(?P<layer>.*?)/?(?P<side>forward|backward)_[^/]*(?P<rest>/.*)?$")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Arrays that belong to one recurrent layer, by the key and the place (`weight_hh` and `_l1_reverse`)."""

    name: str
    convention: str  # torch, ours or keras
    arrays: dict[tuple[str, str], StoredArray]
    cell: str
    settings: dict[str, Any] = field(default_factory=dict)  # of a `.keras` file

    def describe(self) -> str:
        """Name the candidate with its cell and sizes."""
        return f"{self.name} ({self.cell})"


def candidates(checkpoint: Checkpoint) -> list[Candidate]:
    """Find every recurrent layer of a checkpoint, in the order of its names."""
    found: list[Candidate] = []
    for convention, pattern, recurrent in (
        ("torch", _TORCH, "weight_hh"),
        ("ours", _OURS, "Wh"),
        ("keras", _KERAS, "recurrent_kernel"),
    ):
        groups: dict[str, dict[tuple[str, str], StoredArray]] = {}
        for name, array in checkpoint.arrays.items():
            match = pattern.match(name)
            if match is None or (match["prefix"] and match["prefix"][-1] not in "./_"):
                continue
            prefix, side = _side(match["prefix"]) if convention == "keras" else (match["prefix"], "")
            key = _KERAS_KEYS.get(match["key"], match["key"])
            place = side or _first_layer(match["place"])
            groups.setdefault(prefix, {})[key, place] = array
        for prefix, arrays in groups.items():
            cell = _cell(arrays, convention, recurrent)
            if cell is not None:
                name = _layer_name(prefix, convention)
                settings = checkpoint.settings.get(name.rpartition("/")[2], {})
                found.append(Candidate(name or convention_name(cell), convention, arrays, cell, settings))
    return sorted(found, key=lambda one: _natural(one.name))


def convention_name(cell: str) -> str:
    """Name a layer that the file does not name."""
    return "rnn" if cell in ("tanh", "relu") else cell


def chosen(found: list[Candidate], wanted: Iterable[str], checkpoint: Checkpoint) -> list[Candidate]:
    """Pick the layers that are meant: the only one, or those that `--layer` names, each feeding the next.

    Raises:
        InputError: there is none, none is so named, or there are several and none was named.
    """
    names = list(wanted)
    if not found:
        stored = next((name for name in checkpoint.arrays if "weight_hh" in name), None)
        if stored is not None:
            raise InputError(
                f"{checkpoint.path} holds {stored} and not the recurrent weight itself, which something (spectral "
                "norm, weight drop) computes from it; put the computed weight into the file, as "
                "torch.nn.utils.parametrize.remove_parametrizations does."
            )
        shown = ", ".join(f"{name} {array.shape}" for name, array in list(checkpoint.arrays.items())[:6])
        raise InputError(
            f"{checkpoint.path} holds no recurrent layer: expected weight_ih_l0 and weight_hh_l0, kernel and "
            f"recurrent_kernel, or Wx and Wh; found {shown}."
        )
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
    wanted = CELL_NAMES.get(option)
    if wanted is None:
        raise InputError(f"--cell is {option!r}; choose one of {', '.join(CELL_NAMES)}.")
    if wanted != cell and {wanted, cell} != {"tanh", "relu"}:
        shape = next(array.shape for (key, _), array in candidate.arrays.items() if key in RECURRENT)
        raise InputError(
            f"--cell is {option} but the recurrent weight of {candidate.name} has shape {shape}, "
            f"which is that of {cell}."
        )
    return wanted


RECURRENT = ("weight_hh", "Wh", "recurrent_kernel")


def _first_layer(place: str) -> str:
    """Write the place of a first layer out, which our names and a cell's leave away."""
    return place if place.startswith("_l") else f"_l0{place}"


def _cell(arrays: dict[tuple[str, str], StoredArray], convention: str, recurrent: str) -> str | None:
    for (key, place), array in arrays.items():
        if key != recurrent or len(array.shape) != 2:
            continue
        gates, units = array.shape if convention == "torch" else array.shape[::-1]
        projection = arrays.get(("weight_hr" if convention == "torch" else "Wr", place))
        if projection is not None and len(projection.shape) == 2:
            units = projection.shape[1] if convention == "torch" else projection.shape[0]
        inputs = {"torch": "weight_ih", "ours": "Wx", "keras": "kernel"}[convention]
        side = arrays.get((inputs, place))
        if convention == "keras" and (side is None or len(side.shape) != 2 or side.shape[1] != gates):
            continue
        return CELL_OF_RATIO.get(gates // units) if units and gates % units == 0 else None
    return None


def _side(prefix: str) -> tuple[str, str]:
    """Take the direction out of the path of a Keras layer that runs in both."""
    match = _KERAS_SIDE.match(prefix)
    if match is None:
        return prefix, ""
    return match["layer"] + "/", "_l0" if match["side"] == "forward" else "_l0_reverse"


def _layer_name(prefix: str, convention: str) -> str:
    name = prefix.rstrip("./_")
    if convention != "keras":
        return name
    parts = [part for part in name.split("/") if part not in ("cell", "layers", "model_weights", "vars")]
    parts = [part for part in parts if not part.endswith("_cell")]
    return "/".join(dict.fromkeys(parts))  # Keras 2 writes a layer's name twice


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
