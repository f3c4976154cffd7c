"""One question to autograd: what becomes of cotangents at some edges of the graph, at others.

In: a pass and edges. Out: gradients. The weights are as they were in the pass, no `.grad` is touched, and the graph
is kept.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._vmap_internals import _vmap
from torch.autograd.graph import GradientEdge, _engine_run_backward

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import Edge
from rnngraph.sources.torch.autograd.hooks import ours
from rnngraph.sources.torch.autograd.one_pass import Pass

_zeros = False  # whether zeros go on where nothing does


def whole(run: Pass) -> dict[Edge, Any]:
    """Give the cotangents from which the pass was walked."""
    found: dict[Edge, Any] = {}
    for edge, seed in zip(run.roots, run.seeds, strict=True):
        found[edge] = found[edge] + seed if edge in found else seed
    return found


def ask(
    run: Pass, seeds: Mapping[Edge, Any], wanted: Sequence[Edge], *, rows: bool = False, grow: bool = False
) -> dict[Edge, Any]:
    """Walk back from `seeds` and give what reaches the edges that are `wanted`; what nothing reaches is left out.

    Args:
        run: the pass that is asked.
        seeds: cotangents by edge; with `rows`, with an axis in front that is walked at once.
        wanted: edges, also such at which a seed enters: it is counted there.
        rows: see `seeds`.
        grow: let the answers be asked about in their turn.

    Raises:
        InputError: something that the graph needs is gone or was changed.
    """
    if not seeds or not wanted:
        return {}
    outputs, inputs = [GradientEdge(*edge) for edge in seeds], [GradientEdge(*edge) for edge in wanted]
    given = list(seeds.values())
    with run.as_it_was(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a batching rule that is missing, and only slow
        try:
            found = _asked(outputs, inputs, given, rows, grow)
        except RuntimeError as error:
            raise InputError(_sentence(str(error))) from None
        except Exception:  # a hook of the run's own may not know of a gradient that is none
            try:
                with _zeros_for_nothing():
                    found = _asked(outputs, inputs, given, rows, grow)
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise InputError(f"a hook or function of the run's own failed when asked again: {what}") from None
    # A zero that PyTorch has not put in memory has no address that anybody else may read.
    return {edge: one for edge, one in zip(wanted, found, strict=True) if one is not None and not one._is_zerotensor()}


def _asked(outputs: list[Any], inputs: list[Any], given: list[Any], rows: bool, grow: bool) -> Sequence[Any]:
    def once(*seeds: Any) -> tuple[Any, ...]:
        # What torch.autograd.grad calls; by itself it would import half a second of symbolic shapes first.
        found: tuple[Any, ...] = _engine_run_backward(
            tuple(outputs), tuple(seeds), True, grow, tuple(inputs), allow_unreachable=True, accumulate_grad=False
        )
        return found

    if not rows:
        return once(*given)
    try:
        batched: tuple[Any, ...] = _vmap(once, 0, 0, allow_none_pass_through=True)(*given)
        return batched
    except RuntimeError:  # a function without a rule for batches: row by row
        each = [once(*(one[k] for one in given)) for k in range(len(given[0]))]
    return [_stacked([row[k] for row in each]) for k in range(len(inputs))]


def _stacked(some: list[Any]) -> Any:
    known = next((one for one in some if one is not None), None)
    if known is None:
        return None
    return torch.stack([torch.zeros_like(known) if one is None else one for one in some])


def replaced(by: Mapping[Edge, Any]) -> contextlib.AbstractContextManager[None]:
    """Let other cotangents go on from some edges than arrive there; None lets nothing go on."""
    nodes: dict[Any, dict[int, Any]] = {}
    for (node, place), value in by.items():
        nodes.setdefault(node, {})[place] = value
    return ours(node.register_prehook(_replacer(places)) for node, places in nodes.items())


def blocked(edges: Iterable[Edge]) -> contextlib.AbstractContextManager[None]:
    """Let nothing go on from some edges; what arrives there is still given."""
    return replaced(dict.fromkeys(edges))


def _replacer(places: Mapping[int, Any]) -> Any:
    def replaced_by(place: int, arrived: Any) -> Any:
        value = places.get(place, arrived)
        return torch.zeros_like(arrived) if value is None and arrived is not None and _zeros else value

    return lambda grads: tuple(replaced_by(k, one) for k, one in enumerate(grads))


@contextlib.contextmanager
def _zeros_for_nothing() -> Iterator[None]:
    global _zeros
    _zeros = True
    try:
        yield
    finally:
        _zeros = False


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
