"""A tape computed again from other values of some of its entries: the same entries and ids.

In: a tape and values. Out: a tape, which shares what depends on none of them with the first. There is no recursion.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Container, Iterable, Mapping, Sequence

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import STATE
from rnngraph.autodiff.tape import Entry, Tape


def depending(tape: Tape, given: Collection[int], held: Container[int] = ()) -> list[int]:
    """Find the places of the entries that are given or depend on such; those that are `held` depend on nothing."""
    changed, found = set(given), []
    for place, entry in enumerate(tape.entries):
        if entry.id in given or (entry.id not in held and not changed.isdisjoint(entry.inputs)):
            changed.add(entry.id)
            found.append(place)
    return found


def recomputed(
    tape: Tape, given: Mapping[int, Array], places: Iterable[int], *, hold_cuts: bool = False,
    wanted: Sequence[int] = (),
) -> tuple[dict[int, Array], dict[int, Block]]:  # fmt: skip
    """Compute the values of entries at some places again, and the blocks among them, see `again`; give all values.

    Where only some are `wanted`, the others are dropped after their last use, so that memory is used again.
    """
    values, blocks = {entry.id: entry.value for entry in tape.entries}, dict[int, Block]()
    values.update(given)
    todo = [tape.entries[place] for place in places if tape.entries[place].id not in given]
    last = {source: entry.id for entry in todo for source in entry.inputs} if wanted else {}
    last.update(dict.fromkeys(wanted, -1))
    value_of = values.__getitem__
    with np.errstate(all="ignore"):
        for entry in todo:
            if isinstance(entry, Block):
                arrays = {name: values[i] for name, i in entry.sources.items()}
                blocks[entry.id] = entry.again(arrays, held=entry if hold_cuts else None)
                values[entry.id] = blocks[entry.id].value
            elif entry.op is STATE:
                values[entry.id] = blocks[entry.inputs[0]].state(entry.options["kind"], entry.options["t"])
            else:
                value = entry.op.forward(*map(value_of, entry.inputs), **entry.options)
                values[entry.id] = value if type(value) is np.ndarray else np.asarray(value)
            for i in entry.inputs if last else ():
                if last[i] == entry.id:
                    values.pop(i, None)
    return values, blocks


def again(
    tape: Tape, given: Mapping[int, Array], places: Sequence[int] | None = None, *, hold_cuts: bool = False
) -> Tape:
    """Compute a tape again.

    Args:
        tape: what was recorded.
        given: values of entries that are no blocks, such as leaves, by id.
        places: of the entries that change with them, where they are known; see `depending`.
        hold_cuts: a step behind a cut starts from the state that was recorded, since no gradient passes there.
    """
    places = depending(tape, given.keys()) if places is None else places
    values, blocks = recomputed(tape, given, places, hold_cuts=hold_cuts)
    entries = [*tape.entries]
    for place in places:
        entry = entries[place]
        if isinstance(entry, Block):
            entries[place] = blocks[entry.id]
        else:
            entries[place] = with_value(entry, values[entry.id], [values[i] for i in entry.inputs])
    return with_entries(tape, entries)


def with_entries(tape: Tape, entries: Iterable[Entry]) -> Tape:
    """Copy a tape with other entries of the same ids."""
    found = copy.copy(tape)
    found.entries = list(entries)
    return found


def with_value(node: Node, value: Array, arguments: Iterable[Array]) -> Node:
    """Copy a node with other numbers."""
    return Node(
        node.id, node.op, node.inputs, value, tuple(arguments), node.place, node.timestep, node.requires, node.options,
        node.name,
    )  # fmt: skip
