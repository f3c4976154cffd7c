"""Find the layers: which tensors stand beside one another as a row of the table of families writes it.

In: names and shapes. Out: `Found` layers, each with every family that fits, and the tensors that look like decays and
belong to none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rnngraph.sources.decay.config import Config
from rnngraph.sources.decay.families import FAMILIES, TAG, Family, Form
from rnngraph.trace.decay import Unread

Shapes = Mapping[str, tuple[int, ...]]

_MULTIPLE = re.compile(r"(\d*)([A-Z])")
_PRODUCT = re.compile(r"([A-Z])\*([A-Z])")

_TAG = r"(?P<tag>(?:_l\d+(?:_reverse)?)?)"
# Decays that no row has, fixed ones among them; those of the rows are known from the rows.
_ALIKE = r"(?:.*[._])?(?:A\w*_log\w*|log_A\w*|dt\w*[._]bias|inv_dt|Lambda\w*|\w*decay|slope\w*)"
# The rate of an average over past weights, or a setting of the optimiser.
_DECOY = re.compile(r"(?:.*\.)?(?:\w*ema\w*\.\w*decay|(?:\w*_)?weight_decay|lr_decay)")


@dataclass(frozen=True, slots=True)
class Reading:
    """A family that fits, with the tensors' names by role."""

    family: Family
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A layer, named by the path of its tensors, and every reading that fits.

    `path` is that of the module, `tag` the layer's number and direction in PyTorch's names.
    """

    name: str
    path: str
    tag: str
    readings: tuple[Reading, ...]


def find_layers(shapes: Shapes) -> list[Found]:
    """Find every layer, in the order in which the source holds them."""
    found: dict[tuple[str, str], dict[str, Reading]] = {}
    anchors = [(family, form, _anchor(form)) for family in FAMILIES for form in family.forms]
    for name in shapes:
        for family, form, pattern in anchors:
            match = pattern.fullmatch(name)
            if match is None:
                continue
            place = match["layer"] or "", match.groupdict().get("tag") or ""
            names = _fitting(form, *place, shapes)
            if names is not None:
                found.setdefault(place, {}).setdefault(family.name, Reading(family, names))
    return [_layer(*place, readings.values()) for place, readings in found.items()]


def decided(found: Found, config: Config) -> tuple[Reading, ...]:
    """Keep the reading that the configuration names, or those that it does not rule out."""
    if len(found.readings) == 1:
        return found.readings
    said = [(one, one.family.says(config)) for one in found.readings]
    named = tuple(one for one, says in said if says)
    return named or tuple(one for one, says in said if says is None) or found.readings


def not_read(shapes: Shapes, layers: Iterable[Found]) -> list[Unread]:
    """List what looks like a decay by its name and belongs to no layer that was found."""
    forms = [form for family in FAMILIES for form in family.forms]
    looks = re.compile(
        "|".join([_ALIKE, *dict.fromkeys(_own(form, *one) for form in forms for one in form.tensors.values())])
    )
    taken = {name for layer in layers for reading in layer.readings for name in reading.names.values()}
    return [
        Unread(name, shape, "no family has a tensor of this name and shape with its siblings beside it")
        for name, shape in shapes.items()
        if name not in taken and looks.fullmatch(name) and not _DECOY.fullmatch(name)
    ]


def _own(form: Form, name: str, _: str) -> str:
    """Write what finds a tensor of a form anywhere; that of every layer of PyTorch is none's own."""
    inside = rf"(?:.*\.)?{re.escape(form.inside)}\." if form.inside else r"(?:.*[._])?"
    return inside + re.escape(name) if TAG not in name else "(?!)"


def _anchor(form: Form) -> re.Pattern[str]:
    first, _ = next(iter(form.tensors.values()))
    return re.compile(rf"(?P<layer>.*\.)?{re.escape(first).replace(re.escape(TAG), _TAG)}")


def _fitting(form: Form, layer: str, tag: str, shapes: Shapes) -> dict[str, str] | None:
    if form.inside and form.inside != layer.removesuffix(".").rpartition(".")[2]:
        return None
    sizes: dict[str, int] = {}
    names = {role: layer + name.replace(TAG, tag) for role, (name, _) in form.tensors.items()}
    written = [(names[role], shape) for role, (_, shape) in form.tensors.items()]
    written += [(layer + name.replace(TAG, tag), shape) for name, shape in form.beside]
    for name, shape in written:
        if name not in shapes or not fits(shape, shapes[name], sizes):
            return None
    return names


def _layer(layer: str, tag: str, readings: Iterable[Reading]) -> Found:
    path = layer.removesuffix(".")
    return Found(path + tag if path else tag.removeprefix("_"), path, tag, tuple(readings))


def fits(written: str, shape: Sequence[int], sizes: dict[str, int]) -> bool:
    """Tell whether a shape is as a row writes it; letters that were free are entered into `sizes`.

    A row writes sizes with a space between: a number, a letter that stands for the same size everywhere in the row, a
    multiple such as `4H`, or a product such as `H*K` with K at least 2.
    """
    words = written.split()
    if len(words) != len(shape) or min(shape, default=1) < 1:
        return False
    return all(_size(word, size, sizes) for word, size in zip(words, shape, strict=True))


def _size(word: str, size: int, sizes: dict[str, int]) -> bool:
    if word.isdecimal():
        return size == int(word)
    if product := _PRODUCT.fullmatch(word):
        first = sizes[product[1]]
        if product[2] in sizes:
            return size == first * sizes[product[2]]
        return size % first == 0 and size > first and _same(product[2], size // first, sizes)
    multiple = _MULTIPLE.fullmatch(word)
    if multiple is None:
        raise ValueError(f"{word!r} is no size that a row can write.")
    factor = int(multiple[1] or 1)
    return size % factor == 0 and _same(multiple[2], size // factor, sizes)


def _same(letter: str, size: int, sizes: dict[str, int]) -> bool:
    return sizes.setdefault(letter, size) == size
