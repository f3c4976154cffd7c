"""A tape computed again from other values of some of its entries: the same entries and ids.

In: a tape and values. Out: a tape, which shares what depends on none of them with the first. There is no recursion.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Mapping

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import STATE
from rnngraph.autodiff.tape import Entry, Tape


def again(tape: Tape, given: Mapping[int, Array], *, held: Container[int] = (), hold_cuts: bool = False) -> Tape:
    """Compute a tape again.

    Args:
        tape: what was recorded.
        given: values of entries that are no blocks, such as leaves, by id.
        held: entries that keep their values, whatever they depend on.
        hold_cuts: a step behind a cut starts from the state that was recorded, since no gradient passes there.
    """
    entries, changed = list[Entry](), dict[int, Entry]()
    with np.errstate(all="ignore"):
        for entry in tape.entries:
            if entry.id in given or (entry.id not in held and not changed.keys().isdisjoint(entry.inputs)):
                entry = changed[entry.id] = _again(tape, entry, changed, given, hold_cuts)
            entries.append(entry)
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


def _again(
    tape: Tape, entry: Entry, changed: Mapping[int, Entry], given: Mapping[int, Array], hold_cuts: bool
) -> Entry:
    if isinstance(entry, Block):
        arrays = {name: (changed.get(i) or tape.entry(i)).value for name, i in entry.sources.items()}
        return entry.again(arrays, held=entry if hold_cuts else None)
    pairs = zip(entry.inputs, entry.arguments, strict=True)
    arguments = [changed[i].value if i in changed else argument for i, argument in pairs]
    value = given.get(entry.id)
    if value is None and entry.op is STATE:
        block = changed[entry.inputs[0]]
        assert isinstance(block, Block)
        value = block.state(entry.options["kind"], entry.options["t"])
    if value is None:
        value = np.asarray(entry.op.forward(*arguments, **entry.options))
    return with_value(entry, value, arguments)
