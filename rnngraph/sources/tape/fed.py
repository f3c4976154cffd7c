"""What a network is fed over time: the inputs of the recurrences that read no other.

In: a tape. Out: the node of every such input, and which recurrences read it.
"""

from __future__ import annotations

from collections.abc import Callable

from rnngraph.autodiff.node import Node
from rnngraph.autodiff.tape import Tape


def fed_inputs(tape: Tape, is_input: Callable[[Node], bool]) -> dict[int, list[int]]:
    """Give the numbers of the recurrences that read an input, by the id of its node.

    A layer says which node it reads, and is fed where no other recurrence is behind that. Of states that are nodes,
    every input over time (`is_input`) from which one comes without passing another recurrence is read.
    """
    owners = {
        entry: number
        for number, one in enumerate(tape.recurrences)
        for entry in ([one.block.id] if one.block is not None else (i for ids in one.states.values() for i in ids))
    }
    behind: dict[int, frozenset[int]] = {}  # inputs by id, and recurrences by -1 - number
    reads: dict[int, set[int]] = {number: set() for number in range(len(tape.recurrences))}
    for entry in tape.entries:
        sources = [behind[tape.entry(i).id] for i in entry.inputs]
        found = sources[0].union(*sources[1:]) if sources else frozenset()
        number = owners.get(entry.id)
        if number is not None:
            block = tape.recurrences[number].block
            if block is None:
                reads[number] |= found
            elif not any(i < 0 for i in behind[tape.entry(block.sources["x"]).id]):
                reads[number].add(block.sources["x"])
            found = frozenset({-1 - number})
        elif isinstance(entry, Node) and is_input(entry):
            found = frozenset({entry.id})
        behind[entry.id] = found
    fed: dict[int, list[int]] = {}
    for number, sources_of in reads.items():
        for source in sorted(i for i in sources_of if i >= 0):
            fed.setdefault(source, []).append(number)
    return fed
