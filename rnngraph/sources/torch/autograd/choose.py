"""Which backward pass of a watched block is meant.

In: a watch, and what the user said. Out: a pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rnngraph.checks import is_whole
from rnngraph.errors import InputError
from rnngraph.sources.torch import description
from rnngraph.sources.torch.autograd.one_pass import Pass

if TYPE_CHECKING:
    from rnngraph.sources.torch.watch import Watch

Backward = int | Literal["last", "first"]


def chosen(watch: Watch, backward: Backward | None) -> Pass:
    """Choose a pass; None is the one that the watch was made for.

    Raises:
        InputError: the watch failed, no backward ran inside the block, or the pass is not kept.
    """
    wanted = watch.wanted if backward is None else checked_backward(backward)
    if watch.log.failure:
        raise InputError(f"the run went on, but it could not be watched: {watch.log.failure}.")
    if not watch.passes.found:
        raise InputError(description.nothing_walked(watch))
    if wanted == "first" and watch.wanted != "first":
        raise InputError('only the last passes are kept; ask for the first with watch(model, backward="first").')
    place = wanted if isinstance(wanted, int) else {"first": 0, "last": -1}[wanted]
    if -place > len(watch.passes.found):
        raise InputError(
            f"backward is {wanted}, and {len(watch.passes.found)} are kept of {watch.passes.count}: say so before, "
            f"with watch(model, backward={wanted})."
        )
    return watch.passes.found[place]


def checked_backward(backward: object) -> Backward:
    """Check which pass is meant.

    Raises:
        InputError: it is none of the words, and no number below 0.
    """
    if backward in ("last", "first"):
        return backward
    if is_whole(backward) and backward < 0:
        return int(backward)
    raise InputError(f'backward is {backward!r}; pass "last", "first", or -2 for the last but one.')
