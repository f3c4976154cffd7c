"""A window of a block walked back for many cotangents at once, in runs of steps within which no row changes its band.

In: what enters, and the `Carry` of the steps behind the window. Out: norms that are told, a run at a time, and what the
input gets. A run is short enough to stay in cache; the norms and the product with Wx of its steps are taken at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from rnngraph.autodiff.block.backward import pass_on
from rnngraph.autodiff.block.careful import back_with_care, needs_care, within_with_care
from rnngraph.autodiff.block.carry import LOG_BAND, Carry, too_far
from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.block.emitted import Emitted
from rnngraph.autodiff.block.entries import Entering, Entry, fits
from rnngraph.autodiff.block.single_steps import Steps
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents, Walk
from rnngraph.norms import row_norms

_RUN_BYTES = 1_000_000  # of the gradients of a run, which stay in cache
_LONGEST = 256  # steps of a run


class Runs:
    """A window of a block on its way back; `carry` is what is under way."""

    def __init__(self, walk: Walk, block: Block, some: Iterable[Cotangents], carry: Carry) -> None:
        """Prepare the factors of the window's steps; places are counted from its start. `some` reaches the states."""
        window, samples = walk.window or (0, block.steps), walk.samples[block.sample_count]
        self.block, self.carry, self.start = block, carry, window[0]
        self.see, self.feel, self.weigh = walk.see_block, walk.feel_block, walk.weigh.get(block.id)
        self.entering = Entering(block, window[0], some, samples)
        self.count, source = window[1] - window[0], block.sources["x"]
        shape = carry.states[0].shape[:2]
        self.alone = shape[1] == 1  # of one sample the axis is left out: vectors are faster
        chosen = int(samples[0]) if self.alone else samples
        past = block.past(*window, samples=chosen, unrounded=walk.unrounded, wide=True)
        self.copied, self.cell = past.copied, block.cell
        self.columns = block.cell.factors(past)
        self.weight = np.ascontiguousarray(block.weights["Wh"].T, np.float64)
        self.careful = needs_care(self.columns, (self.weight, block.weights["Wx"]))
        self.special = {place - self.start for place in block.cuts if self.start <= place < window[1]}
        if past.copied is not None:
            self.special |= set(np.flatnonzero(past.copied.reshape(self.count, -1).any(axis=1)).tolist())
        width = sum(state.shape[-1] for state in carry.states) + len(self.weight)
        self.length = int(np.clip(_RUN_BYTES // (8 * max(1, shape[0] * shape[1] * width)), 1, _LONGEST))
        self.length = min(self.length, self.count)
        widest = max(len(self.weight), block.x.shape[-1])
        self.space = np.empty(self.length * shape[0] * shape[1] * widest)
        tell = partial(walk.see_fed, source) if source in walk.alone else None
        self.emitted = Emitted(block, window, shape, self.length, tell) if source in walk.leads else None
        self.kept = [np.empty((self.length + 1, *state.shape)) for state in carry.states]
        self.wanted = self.length  # steps of the next run: beyond those that a band lasts for, steps are walked in vain
        self.slot = self.length  # of the arrays that are kept: where what is under way stands
        for kept, state in zip(self.kept, carry.states, strict=True):
            kept[self.slot, carry.low : carry.high] = state[carry.low : carry.high]
        self._stand(self.slot)
        self.inside = [np.empty_like(state) for state in carry.states[1:]]
        self.reached = False  # whether anything reached the gates at the step that was walked last
        self.steps = Steps(block, self.columns, self.weight, rows=shape[0], alone=self.alone, careful=self.careful)

    def walk(self) -> Iterable[Cotangents]:
        """Walk from the last place to the first; give the cotangents of the input, where those are handed on."""
        carry, p, entered = self.carry, self.count - 1, False
        while p >= 0:
            carried = [] if self.feel is None else carry.holds()
            arrived = [] if entered else self._enter(p)
            if carry.low >= carry.high:
                p, entered = self.entering.before(p), False
                continue
            if self.see is not None:
                self._tell(p, [log[None] for log in carry.measure()])
            if self.careful or not carry.alike():
                self._carefully(p)
                done, entered = 1, False
            else:
                done, entered = self._run(p)
            if self.feel is not None:
                self.feel(self.block, self.block.place_of(self.start + p), carried, arrived, self.reached)
            p -= done
        if self.see is not None and self.start == 0 and carry.low < carry.high:
            self.see(self.block, -1, carry.low, [log[None] for log in carry.measure()])
        return () if self.emitted is None else self.emitted.cotangents()

    def _stand(self, slot: int) -> None:
        self.slot = slot
        self.carry.states = [kept[slot] for kept in self.kept]

    def _tell(self, p: int, logs: list[Array]) -> None:
        """Tell the logs (steps, rows, N) of places up from p."""
        assert self.see is not None
        block, steps = self.block, len(logs[0])
        times = block.times(self.start + p, self.start + p + steps)
        self.see(block, times.start, self.carry.low, [block.order(log) for log in logs])

    def _enter(self, p: int) -> list[bool]:
        """Let enter what reaches a place; say of every kind of state whether that is anything."""
        carry, some = self.carry, self.entering.at(p)
        found = [False] * len(carry.states)
        for one in some:
            if one.kind == 0:
                carry.enter(one.low, one.rows, band=one.band)
        low, high = carry.low, carry.high
        if low < high and self.careful:
            found[1:] = within_with_care(self.cell, self.columns, p, carry)
        elif low < high and self.inside:
            inner, band = [one[low:high] for one in self.inside], carry.bands[0]
            self.cell.within(self.columns, p, carry.states[0][low:high], inner)
            for kind, own in enumerate(inner, 1):
                carry.enter(low, own, band=0 if band is None else band[low:high], kind=kind)
            if self.feel is not None:
                found[1:] = [bool(one.any()) for one in inner]
        for entry in some:
            if entry.kind:
                carry.enter(entry.low, entry.rows, band=entry.band, kind=entry.kind)
            if self.feel is not None:
                found[entry.kind] |= bool(entry.rows.any())
        return found

    def _mend(self, p: int) -> Callable[[Array, list[Array]], None] | None:
        if p not in self.special:
            return None
        return partial(pass_on, self.start + p in self.block.cuts, None if self.copied is None else self.copied[p])

    def _carefully(self, p: int) -> None:
        carry = self.carry
        mend = self._mend(p) or (lambda h, out: None)
        before, gates = back_with_care(self.cell, self.columns, p, carry, self.weight, mend)
        run = slice(gates.low, gates.high)
        self.reached = bool(gates.states[0][run].any())
        if self.weigh is not None:
            self.weigh.known = False  # parts of one row may be in bands of their own
        if self.emitted is not None and self.reached:
            band = gates.bands[0]
            self.emitted.add_carefully(p, gates.low, gates.states[0][None, run], None if band is None else band[run])
        carry.low, carry.high, carry.bands = before.low, before.high, before.bands
        for state, one in zip(carry.states, before.states, strict=True):
            state[carry.low : carry.high] = one[carry.low : carry.high]

    def _run(self, p: int) -> tuple[int, bool]:
        """Walk some steps from p on; give their number, and whether that behind them was entered and told already."""
        carry = self.carry
        if self.slot == 0:
            self.kept = [kept[::-1] for kept in self.kept]
            self._stand(self.length)
        last, entering = self._reach(p)
        steps, slot = p - last + 1, self.slot
        low, high = carry.low, carry.high
        merged = self.steps.merged(high - low) if self.feel is None else None
        width = len(self.weight) if merged is None else self.block.x.shape[-1]
        shape = (steps, high - low, carry.states[0].shape[1], width)
        handed = self.space[: math.prod(shape)].reshape(shape)
        states = [kept[slot - steps : slot + 1, low:high] for kept in self.kept]
        inside = [one[low:high] for one in self.inside]
        self.steps.back(last, states, inside, entering, low, handed, merged)
        self.reached = bool(handed[0].any()) if self.feel is not None else True
        mend = self._mend(last)
        if mend is not None:
            out, g, *_ = zip(*(self.steps.by_step(one[:2]) for one in states), strict=True)
            mend(g[0], list(out))
        done, norms = steps, []
        if self.see is not None and steps > 1:
            norms = [row_norms(kept[slot - steps + 1 : slot, low:high]) for kept in self.kept]
            done -= too_far(norms)
            self.wanted = min(2 * steps, self.length) if done == steps else done + 1
            first = steps - done
            logs = [np.log(norm[max(first - 1, 0) :]) for norm in norms]
            for log, band in zip(logs, carry.bands, strict=True):
                if band is not None:
                    log += band[low:high] * LOG_BAND
            self._tell(p - done + (0 if first else 1), logs)
        band = None if carry.bands[0] is None else carry.bands[0][low:high]
        if self.emitted is not None:
            found = handed[steps - done :]
            found = found if merged is not None else self.emitted.product(found)
            self.emitted.add(p - done + 1, low, found, band)
        if self.weigh is not None:
            states = [kept[slot - done + 1 : slot + 1, low:high] for kept in self.kept]
            self.weigh.add(self.start + p - done + 1, low, states, band)
        self._stand(slot - done)
        if done == steps and last in self.special and self.copied is None:
            carry.low = carry.high = 0  # nothing passes a cut
        return done, done < steps

    def _reach(self, p: int) -> tuple[int, dict[int, list[Entry]]]:
        """Say up to which place steps can be walked in one run, and what enters on the way."""
        carry = self.carry
        last = max(0, p - min(self.slot, self.wanted) + 1) if self.feel is None else p
        last = next((q for q in range(p, last - 1, -1) if q in self.special), last) if self.special else last
        entering = self.entering.between(last, p - 1)
        for q in sorted(entering, reverse=True):
            if not fits(carry, entering[q]):
                last = q + 1
                break
            for one in entering[q]:
                carry.extend(one.low, one.low + len(one.rows))
        return last, entering
