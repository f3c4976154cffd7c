"""How losses are walked back together over a tape: which entries lead anywhere, in which pieces, and what is told.

In: a tape and what enters. Out: logs of norms, by recurrence and kind of state. Memory stays bounded: where all blocks
take the same steps in the same direction and everything between them acts step by step, a window of time is walked for
all losses; elsewhere some losses over all of time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.carry import Carry
from rnngraph.autodiff.block.weight_lags import WeightLags
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents, Walk
from rnngraph.autodiff.many import walk_rows
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.recording import FED, See, Weighed
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.entering import Enters
from rnngraph.sources.tape.facts import blocks_of, states_of
from rnngraph.sources.tape.inputs import batch_of, fed_steps
from rnngraph.trace.magnitudes import Integers

_BYTES = 100_000_000  # for the cotangents that are under way at one time
_WINDOW_BYTES = 16_000_000  # likewise for those of a window, which are read again soon
_CACHE = 4_000_000  # for those of one step
_NODES = 1_000_000
_SHORTEST, _LONGEST = 16, 1024  # steps of a window


Leave: TypeAlias = Callable[[int, int, Sequence[Cotangents]], None]  # (entry, first row, what reached it)


def leading(tape: Tape, targets: Container[int], known: Container[int] = ()) -> frozenset[int]:
    """Find the entries through which a gradient comes to some targets, these among them, and those that are known."""
    leads: set[int] = set()
    for entry in tape.entries:
        if (entry.requires and (entry.id in targets or not leads.isdisjoint(entry.inputs))) or entry.id in known:
            leads.add(entry.id)
    return frozenset(leads)


class Plan:
    """What of a tape a walk of many losses must pass."""

    def __init__(
        self, tape: Tape, clocks: Clocks, watched: Collection[int] = (), fed: Mapping[int, list[int]] | None = None
    ) -> None:
        """Find the entries behind which there is a state, or one that is watched; `fed` as `fed_inputs` gives it."""
        self.tape, self.clocks, self.fed, self.watched = tape, clocks, fed or {}, watched
        self.numbers, self.nodes = blocks_of(tape), states_of(tape)
        self._places: dict[int, list[tuple[int, str, int]]] = {i: [place] for i, place in self.nodes.items()}
        for number, one in enumerate(tape.recurrences):
            for kind, node_id in one.initial.items() if one.block is None else ():
                self._places.setdefault(node_id, []).append((number, kind, -1))
        for node_id, (number, t) in fed_steps(tape, self.fed).items():
            self._places.setdefault(node_id, []).append((number, FED, t))
        axes = [None if batch_of(tape, one) == 1 else one.batch_axis for one in tape.recurrences]  # of one sample, all
        self._axes = {i: axes[places[0][0]] for i, places in self._places.items()}
        targets = {*self.numbers, *self._places, *watched}
        self.leads = leading(tape, targets, self.fed)
        self.blocks = [one.block for one in tape.recurrences if one.block is not None]
        self.alone = frozenset(i for i in self.fed if self._is_terminal(i) and len(self._readers(i)) == 1)

    def walk(self, samples: dict[int, Integers]) -> Walk:
        """Prepare a walk that tells nothing."""
        narrow = frozenset(self.clocks.narrow).union(i for i in (*self.fed, *self.watched) if self._is_terminal(i))
        return Walk(self.tape, self.leads, self._axes, narrow, samples)

    def _telling(self, samples: dict[int, Integers], see: See) -> Walk:
        def see_node(node_id: int, low: int, logs: Array) -> None:
            for number, kind, t in self._places[node_id]:
                size = 1 if self.tape.recurrences[number].batch_axis is None else logs.shape[1]
                see(number, kind, t, low, logs[:, samples[size]] if size in samples else logs)

        def see_block(block: Block, t: int, low: int, logs: list[Array]) -> None:
            for kind, log in zip(block.columns, logs, strict=True):
                see(self.numbers[block.id], kind, t, low, log)

        def see_fed(node_id: int, t: int, low: int, logs: Array) -> None:
            see(self.fed[node_id][0], FED, t, low, logs)

        walk = self.walk(samples)
        walk.see_node, walk.see_block, walk.see_fed = see_node, see_block, see_fed
        walk.fed, walk.alone = frozenset(self.fed), self.alone
        return walk

    def _is_terminal(self, node_id: int) -> bool:
        """Whether a block alone reads an input, and nothing that is walked is behind it."""
        entry = self.tape.entry(node_id)
        read = any(block.sources["x"] == node_id for block in self.blocks)
        return read and self.leads.isdisjoint(entry.inputs)

    def _readers(self, node_id: int) -> list[int]:
        return [i for i in self.leads if node_id in self.tape.entry(i).inputs]

    def whole(self, see: See) -> Walk:
        """Prepare a walk over all samples, in which slopes that were rounded to zero are none."""
        sizes = {block.sample_count for block in self.blocks}
        sizes |= {one.value.shape[0] for one in self.tape.entries if one.value.ndim == 3}
        walk = self._telling({size: np.arange(size) for size in sizes}, see)
        walk.unrounded = True
        return walk

    def pull(
        self,
        entering: Enters,
        rows: list[tuple[int, int]],
        samples: dict[int, Integers],
        see: See,
        weigh: Mapping[int, WeightLags] | None = None,
        leave: Leave | None = None,
        ignored: int = 0,
    ) -> None:
        """Walk losses back together, in as many pieces as memory asks for.

        `weigh` is by the id of a block; `leave` is told what reaches the entries that are watched. The
        first rows that are `ignored` are not weighed.
        """
        sizes = {one.value.shape[0] for one in self.tape.entries if one.id in self.clocks.narrow}
        samples = {**{size: np.arange(size) for size in sizes if size not in samples}, **samples}
        windowed = self._in_windows()
        size = self._rows_at_once(len(rows), samples, windowed)
        with np.errstate(all="ignore"):
            for first in range(0, len(rows), size):
                chosen = rows[first : first + size]

                def told(number: int, kind: str, t: int, low: int, logs: Array, first: int = first) -> None:
                    see(number, kind, t, first + low, logs)

                walk = self._telling(samples, told)
                if leave is not None:
                    walk.feel_node = partial(self._left, leave, first)
                walk.weigh = weigh or {}
                for one in walk.weigh.values():
                    one.begin(len(chosen), ignored=0 if first else ignored)
                if windowed:
                    self._by_windows(walk, entering, chosen, samples)
                else:
                    walk_rows(walk, entering.rows(chosen, samples), len(chosen))

    def _left(self, leave: Leave, first: int, entry: int, some: list[Cotangents]) -> None:
        if entry in self.watched and some:
            leave(entry, first, some)

    def pull_weighed(
        self, entering: Enters, rows: list[tuple[int, int]], samples: dict[int, Integers], see: See
    ) -> Weighed:
        """Walk losses back as `pull` does, and sum what the weights of every block get."""
        weigh = {block.id: WeightLags(block, samples[block.sample_count]) for block in self.blocks}
        self.pull(entering, rows, samples, see, weigh)
        with np.errstate(all="ignore"):
            return {self.numbers[block]: (one.lags, one.logs()) for block, one in weigh.items()}

    def _by_windows(
        self, walk: Walk, entering: Enters, rows: list[tuple[int, int]], samples: dict[int, Integers]
    ) -> None:
        one = self.blocks[0]
        count = len(samples[one.sample_count])
        walk.carries = {block.id: Carry.empty(len(rows), count, block.widths.values()) for block in self.blocks}
        widest = max(block.x.shape[-1] for block in self.blocks)
        length = int(np.clip(_WINDOW_BYTES // (8 * len(rows) * count * widest), _SHORTEST, _LONGEST))
        for stop in range(one.steps, 0, -length):
            start = max(0, stop - length)
            walk.window = start, stop
            window = one.times(start, stop)
            entries = entering.rows(rows, samples, (window.start, window.stop))
            if entries or any(carry.low < carry.high for carry in walk.carries.values()):
                walk_rows(walk, entries, len(rows))

    def _in_windows(self) -> bool:
        """Whether all blocks take the same steps in the same order, and all between them acts step by step."""
        if self.nodes or not self.blocks or any(block.reverse for block in self.blocks):
            return False
        clocks = {self.clocks.of(number) for number in self.numbers.values()}
        given = {source for block in self.blocks for kind, source in block.sources.items() if kind != "x"}
        by_step = {*self.numbers, *self.clocks.narrow, *given, *self.fed, *self.watched}
        return len(clocks) == 1 and self.leads - self._above() <= by_step

    def _above(self) -> set[int]:
        """Find the entries that no state comes from: what is above all recurrences is not walked."""
        needed: set[int] = set()
        for entry in reversed(self.tape.entries):
            if isinstance(entry, Block) or entry.id in self.nodes or entry.id in needed:
                needed.update(entry.inputs)
        return set(self.leads) - needed - self.nodes.keys()

    def _rows_at_once(self, rows: int, samples: dict[int, Integers], windowed: bool) -> int:
        widest, held = 1, 1
        for entry in (self.tape.entry(i) for i in self.leads - self._above()):
            count = len(samples.get(entry.value.shape[0] if entry.value.ndim else 1, ())) or 1
            if isinstance(entry, Block):
                widest = max(widest, count * entry.gates.shape[-1])
                held += count * entry.steps * entry.x.shape[-1] if entry.sources["x"] in self.leads else 0
            elif isinstance(entry, Node) and entry.id not in self.clocks.narrow and entry.value.ndim >= 3:
                held += entry.value.size
            elif isinstance(entry, Node):
                widest = max(widest, entry.value.size)
        cached = _NODES if self.nodes else _CACHE
        fitting = max(cached // (8 * widest), 256 // max(len(next(iter(samples.values()), ())), 1), 1)
        bounded = fitting if windowed else min(fitting, _BYTES // (8 * held))
        return int(np.clip(bounded, 1, max(rows, 1)))
