"""One question to autograd: what becomes of cotangents at some edges of the graph, at others.

In: a pass and edges. Out: gradients. The weights are as they were in the pass, no `.grad` is touched, and the graph
is kept.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.autograd.graph import GradientEdge, _engine_run_backward

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, oldest
from rnngraph.sources.torch.capture.backward_pass import BackwardPass


class EdgeIndex:
    """Edges by their node, so that a walk finds those that it comes by and looks at no others."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        """Take edges, each once."""
        self.by_node: dict[Any, dict[int, None]] = {}
        for node, place in edges:
            self.by_node.setdefault(node, {})[place] = None
        self.ends = [(node, k) for node, places in self.by_node.items() if not node.next_functions for k in places]
        self.oldest = oldest(self.by_node)

    def __iter__(self) -> Iterator[Edge]:
        """Yield all."""
        return ((node, place) for node, places in self.by_node.items() for place in places)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.by_node)

    def remove(self, edge: Edge) -> None:
        """Forget an edge."""
        self.by_node.get(edge[0], {}).pop(edge[1], None)


def loss_cotangents(run: BackwardPass) -> dict[Edge, Any]:
    """Give the cotangents from which the pass was walked."""
    found: dict[Edge, Any] = {}
    for edge, seed in zip(run.roots, run.seeds, strict=True):
        found[edge] = found[edge] + seed if edge in found else seed
    return found


def vjp(
    run: BackwardPass,
    seeds: Mapping[Edge, Any],
    wanted: Sequence[Edge] | EdgeIndex,
    *,
    walls: Iterable[Edge] | EdgeIndex = (),
    replaced: Mapping[Edge, Any] | None = None,
    hooks: Iterable[Any] = (),
    rows: bool = False,
) -> dict[Edge, Any]:
    """Walk back from `seeds` and give what reaches the edges that are `wanted`; what nothing reaches is left out.

    Args:
        run: the pass that is asked.
        seeds: cotangents by edge; with `rows`, with an axis in front that is walked at once.
        wanted: edges, also such at which a seed enters: it is counted there.
        walls: edges past which nothing goes on; what arrives there is still given.
        replaced: cotangents that go on from edges in the place of those that arrive.
        hooks: handles of hooks that act in this walk alone, which are put on as they are read.
        rows: see `seeds`.

    Raises:
        InputError: something that the graph needs is gone or was changed.
    """
    places: dict[Any, Mapping[int, Any]] = {}
    if replaced:
        places = {node: {k: replaced[node, k] for k in some} for node, some in EdgeIndex(replaced).by_node.items()}
    if walls:
        places, wanted = _this_side(_indexed(walls), seeds, _indexed(wanted))
    wanted = list(wanted)
    if not seeds or not wanted:
        return {}
    zeros = False  # whether zeros go on where nothing does

    def go_on(by: Mapping[int, Any], arrived: tuple[Any, ...]) -> tuple[Any, ...]:
        found = [by.get(k, one) for k, one in enumerate(arrived)]
        if zeros:
            pairs = zip(found, arrived, strict=True)
            found = [torch.zeros_like(b) if a is None and b is not None else a for a, b in pairs]
        return tuple(found)

    # A warning is of a batching rule that is missing, and only slow.
    with run.as_it_was(), warnings.catch_warnings(action="ignore"), contextlib.ExitStack() as stack:
        for handle in (*hooks, *(node.register_prehook(partial(go_on, by)) for node, by in places.items())):
            stack.callback(handle.remove)
        try:
            try:
                found = _asked(seeds, wanted, rows=rows)
            except RuntimeError:
                raise
            except Exception:  # a hook of the run's own may not know of a gradient that is none
                zeros = True
                found = _asked(seeds, wanted, rows=rows)
        except RuntimeError as error:
            raise InputError(_sentence(str(error))) from None
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise InputError(f"a hook or function of the run's own failed when asked again: {what}") from None
    # A zero that PyTorch has not put in memory has no address that anybody else may read.
    return {edge: one for edge, one in zip(wanted, found, strict=True) if one is not None and not one._is_zerotensor()}


def _indexed(edges: Iterable[Edge] | EdgeIndex) -> EdgeIndex:
    return edges if isinstance(edges, EdgeIndex) else EdgeIndex(edges)


def _this_side(
    walls: EdgeIndex, seeds: Mapping[Edge, Any], wanted: EdgeIndex
) -> tuple[dict[Any, Mapping[int, Any]], list[Edge]]:
    """Leave out walls and wanted edges that stand behind walls: else autograd would walk there, with nothing."""
    by_node = walls.by_node

    def shut(node: Any) -> bool:
        return node in by_node and len(by_node[node]) == len(node._input_metadata)

    near = at_and_below((node for node, _ in seeds), wanted.oldest, shut, tables=True)
    kept = [(node, place) for node in near for place in wanted.by_node.get(node, ())]
    return {node: by_node[node] for node in near if by_node.get(node)}, [*kept, *wanted.ends]


def _asked(seeds: Mapping[Edge, Any], wanted: Sequence[Edge], *, rows: bool) -> Sequence[Any]:
    outputs, inputs = (tuple(GradientEdge(*edge) for edge in edges) for edges in (seeds, wanted))
    given = list(seeds.values())

    def once(*seeds: Any) -> tuple[Any, ...]:
        # What torch.autograd.grad calls; by itself it would import half a second of symbolic shapes first.
        found: tuple[Any, ...] = _engine_run_backward(
            outputs, seeds, True, False, inputs, allow_unreachable=True, accumulate_grad=False
        )
        return found

    if not rows:
        return once(*given)
    arrived: list[int] = []

    def at_once(*seeds: Any) -> list[Any]:
        found = once(*seeds)
        arrived[:] = [k for k, one in enumerate(found) if one is not None]
        return [found[k] for k in arrived]

    try:
        batched = dict(zip(arrived, torch.vmap(at_once, randomness="same")(*given), strict=True))
        return [batched.get(k) for k in range(len(inputs))]
    except RuntimeError:  # a function without a rule for batches: row by row
        each = [once(*(one[k] for one in given)) for k in range(len(given[0]))]
    return [_stacked([row[k] for row in each]) for k in range(len(inputs))]


def _stacked(some: list[Any]) -> Any:
    known = next((one for one in some if one is not None), None)
    if known is None:
        return None
    return torch.stack([torch.zeros_like(known) if one is None else one for one in some])


def _sentence(error: str) -> str:
    if "modified by an inplace operation" in error:
        return (
            "a tensor that the backward pass needs was changed in place after it: call watch.trace() before, or copy "
            f"instead of changing ({error.split(';')[0].strip()[:200]})."
        )
    if "already been freed" in error or "second time" in error:
        return (
            "the graph was freed, as a custom autograd Function does that lets go of what it keeps: its recurrence "
            "cannot be asked after the backward pass."
        )
    return f"PyTorch could not walk the graph again: {error.splitlines()[0][:300]}"
