"""From tensors to half-lives: read a layer's few tensors and put them through its family's formula.

In: `Weights`. Out: a `LayerDecay` a reading, with what its tensors hold that is no number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.errors import FileError
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.decay.config import Config
from rnngraph.sources.decay.formulas import Numbers
from rnngraph.sources.decay.match import Found, Reading, decided, find_layers, not_read
from rnngraph.sources.decay.tensors import Weights
from rnngraph.trace.decay import LayerDecay, Unread
from rnngraph.trace.magnitudes import Floats

LARGEST = 2**24  # numbers of one tensor that is read; a decay of 16,384 channels and 1,024 states is as large
MOST = 2**25  # decays that are kept of all layers together, 256 MB


@dataclass(frozen=True, slots=True)
class ReadLayer:
    """A layer as one family reads it: what is reported, the rates, and the tensors that they were made of."""

    found: Found
    reading: Reading
    decay: LayerDecay
    rates: Floats
    values: Mapping[str, Floats]
    numbers: Numbers


def read_layers(weights: Weights) -> tuple[list[list[ReadLayer]], list[Unread]]:
    """Read every layer, tensor by tensor; the readings of one layer stand together.

    Raises:
        FileError: there are far more decays than any model has.
        InputError: the configuration gives something that is no number.
    """
    shapes = {name: one.shape for name, one in weights.weights.items()}
    layers, unread, total = find_layers(shapes), [], 0
    read: list[list[ReadLayer]] = []
    for layer in layers:
        try:
            group = [_read(layer, one, weights) for one in decided(layer, weights.config)]
        except FileError as error:
            names = sorted({name for one in layer.readings for name in one.names.values()})
            unread += [Unread(name, shapes[name], str(error)) for name in names]
            continue
        total += sum(one.rates.size for one in group)
        if total > MOST:
            raise FileError(f"{weights.source} holds more than {MOST} decays, which no model has: it is not read on.")
        read.append(group)
    return read, [*unread, *not_read(shapes, layers)]


def half_lives(rates: Floats) -> Floats:
    """Compute ln 2 over the rates: 0 where a rate is infinite, infinite where it is 0 or below."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(rates > 0, np.log(2) / np.where(rates > 0, rates, 1), np.where(np.isnan(rates), np.nan, np.inf))


def squeezed(rates: Floats) -> Floats:
    """Drop axes of length 1, which some files have and others have not."""
    return rates.reshape([size for size in rates.shape if size > 1] or [1])


def _read(layer: Found, reading: Reading, weights: Weights) -> ReadLayer:
    family = reading.family
    values = {role: _numbers(weights.weights[name]) for role, name in reading.names.items()}
    numbers = family.numbers(weights.config)
    with np.errstate(all="ignore"):  # what is no number is found and said
        rates = squeezed(np.asarray(family.rate(values, numbers)))
    start = family.start(rates.shape[-1]) if callable(family.start) else family.start
    decay = LayerDecay(
        name=layer.name, family=family.name, formula=family.formula, half_lives=half_lives(rates),
        published=None if start is None else (start.low, start.high), origin="" if start is None else start.origin,
        settings=numbers,
    )  # fmt: skip
    return ReadLayer(layer, reading, decay, rates, values, numbers)


def _numbers(array: StoredArray) -> Floats:
    if math.prod(array.shape) > LARGEST:
        raise FileError(f"it has shape {array.shape}, more than may be read ({LARGEST} numbers).")
    return np.asarray(array.read(), np.float64)


def ambiguous(config: Config, readings: tuple[Reading, ...]) -> str:
    """Say which families fit and what would decide between them."""
    names = " and ".join(one.family.name for one in readings)
    where = "there is no configuration" if not config.table else f"{config.source} does not say which it is"
    return f"{names} fit the same tensors and {where}: both are shown and nothing is judged; give it with --config"
