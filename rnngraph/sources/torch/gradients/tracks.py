"""The states of recurrences as a trace shows them: one track a layer and direction, with names, kinds and facts.

In: recurrences that were found. Out: `Track`s. Which state is `h` is known of PyTorch's own modules; of others the
first is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnngraph.autodiff.recurrence import suffix
from rnngraph.measure.recording import Facts
from rnngraph.nn.cells import CELLS
from rnngraph.sources.torch.autograd.edges import Edge, full_at, shape_of
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.fused_layers.layout import cell_name, width_of
from rnngraph.sources.torch.inputs.network_inputs import NetworkInput
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, Recurrence
from rnngraph.sources.torch.recurrences.resets_and_masks import resets_and_masks
from rnngraph.sources.torch.recurrences.samples import sample_axis
from rnngraph.sources.torch.recurrences.step_operations import custom_cell_of
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.magnitudes import Booleans
from rnngraph.trace.model import FORWARD, REVERSE


@dataclass(eq=False)
class Track:
    """One layer and direction of a recurrence."""

    recurrence: Recurrence
    layer: int
    direction: str
    cell: CellTrace
    clock: int
    tops: list[Any]  # the nodes that were walked back from

    @property
    def ending(self) -> str:
        """The end of its states' names."""
        return suffix(self.layer, self.direction) if self.recurrence.fused else ""

    @cached_property
    def batch(self) -> int:
        """The number of samples."""
        return self.recurrence.batch()

    def edges(self, kind: str) -> list[Edge | None]:
        """The edges of a state, step by step."""
        place = self.cell.kinds.index(kind)
        return [self.recurrence.edge(place, t) for t in range(self.recurrence.steps)]

    def part(self, tensor: Any, t: int, *, lead: int = 0) -> Any:
        """Give what is a step's of what stands at its edge: of a sequence at once, a position."""
        own = tensor is None or self.recurrence.how != SEQUENCE
        return tensor if own else tensor.select(lead + 1, t)

    def by_sample(self, tensor: Any, *, lead: int = 0, fed: bool = False) -> Any:
        """Bring a state, or what is fed, or rows of gradients with `lead` axes in front, to (..., N, units)."""
        axis = self.recurrence.axis_of(tensor.dim() - lead)
        if axis is None:
            tensor = tensor.unsqueeze(lead)
        elif not fed:
            tensor = tensor.movedim(lead + axis, lead)
        return tensor.flatten(lead + 1)

    def as_state(self, rows: Any, edge: Edge) -> Any:
        """Bring rows (rows, N, units) to the form of a state."""
        shape = list(shape_of(edge))
        axis = self.recurrence.axis_of(len(shape))
        first = [] if axis is None else [shape.pop(axis)]
        return rows.reshape(len(rows), *first, *shape).movedim(1, 1 + (axis or 0))

    def units(self, kind: str) -> int:
        """The number of units of a state."""
        if self.recurrence.fused:
            return width_of(self.recurrence.module, kind)
        edge = next((one for one in self.edges(kind) if one is not None), None)
        return 0 if edge is None else int(self.by_sample(self.part(full_at(edge, 0.0), 0)).shape[-1])

    @cached_property
    def _resets_and_masks(self) -> tuple[Booleans | None, Booleans | None]:
        return resets_and_masks(self.recurrence, self.batch, self.tops)

    def mask(self) -> Booleans | None:
        """Tell steps from padding, (N, T): of packed sequences, or where samples keep their states."""
        kept = self._resets_and_masks[1]
        if not self.recurrence.fused:
            return None if kept is None else ~kept
        some = [one.layout for one in self.recurrence.layers]
        masks = [np.ones((one.batch, one.steps), bool) if one.valid is None else one.valid for one in some]
        whole = np.concatenate(masks, axis=1) & (kept is None or ~kept)
        return None if whole.all() else whole

    def valid(self) -> Booleans:
        """Tell data from padding, (N, T): a batch that shrinks loses its last samples."""
        mask = self.mask()
        if mask is not None:
            return mask
        valid = np.ones((self.batch, self.recurrence.steps), bool)
        for t, some in enumerate(self.recurrence.states):
            for edge in some[:1]:
                valid[self.recurrence.batch_of(edge) :, t] = False
        return valid

    def cuts(self) -> Booleans | None:
        """Tell where a step does not go on from the one before, (1, T)."""
        one = self.recurrence
        cuts = np.zeros((1, one.steps), bool)
        if one.how == SEQUENCE or not one.linked:
            return None
        if (
            one.fused and self.direction == REVERSE
        ):  # the last step of every call but the last is the first to be processed
            cuts[0, [start - 1 for start in one.starts[1:]]] = True
        else:
            begins = {*one.order[: abs(one.stride)], *one.anew}
            cuts[0, [t for k, t in enumerate(one.starts) if t not in begins and not one.linked[k]]] = True
        return cuts if cuts.any() else None

    def facts(self, nodes: dict[str, Any], fed: NetworkInput | None) -> Facts:
        """Say what is known before anything is measured; `fed` is what the network is fed here."""
        one = self.recurrence
        return Facts(
            one.path + self.ending, one.path, self.layer, self.direction, self.cell,
            {kind: f"{one.path}.{kind}{self.ending}" for kind in self.cell.kinds}, one.steps, self.batch, self.clock,
            nodes, self.mask(), self.cuts(), self._resets_and_masks[0],
            one.fused and CELLS[self.cell.name].splits_gain, *((fed.name, fed.weight) if fed else ("", np.nan)),
            abs(one.stride),
        )  # fmt: skip


def tracks_of(run: BackwardPass, clocks: Mapping[Recurrence, int]) -> list[Track]:
    """Divide the recurrences of a pass into layers and directions."""
    found = []
    for one, clock in clocks.items():
        one.axis = sample_axis(run, one)
        name = cell_name(one.module)
        known = CELLS[name].facts if name and one.how != SEQUENCE else None
        if known is not None and one.fused:
            both = (FORWARD, REVERSE)[: 1 + one.module.bidirectional]
            found += [Track(one, k, way, known, clock, run.tops) for k in range(one.module.num_layers) for way in both]
        else:
            cell = known if known is not None and len(one.places) == len(known.kinds) else custom_cell_of(one)
            found.append(Track(one, 0, FORWARD if one.stride > 0 else REVERSE, cell, clock, run.tops))
    return found
