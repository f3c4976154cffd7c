"""Keep the sums in which a parameter is a term, while a PyTorch model runs: a gate that no module returns.

In: parameters. Out: a list each, filled with what came out of every addition of the parameter, however it was cast or
laid out before, and something that is computed. What a fused kernel adds is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What changes how a tensor is stored or seen, and no value.
_THE_SAME = frozenset({
    "__getitem__", "bfloat16", "contiguous", "double", "expand", "expand_as", "flatten", "float", "half", "permute",
    "reshape", "squeeze", "to", "transpose", "type_as", "unsqueeze", "view",
})  # fmt: skip
_ADDED = frozenset({"add", "__add__", "__radd__"})


def sums_of(terms: Mapping[int, tuple[Any, list[Any]]]) -> Any:
    """Make a context in which the sums are kept; `terms` holds each parameter and its list under the parameter's id."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    same = dict(terms)  # what a parameter has become; the tensors are held, so that no id is given twice

    class Sums(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
            result = function(*arguments, **(keywords or {}))
            name = getattr(function, "__name__", "")
            if name in _THE_SAME and id(arguments[0]) in same:
                same[id(result)] = (result, same[id(arguments[0])][1])
            elif name in _ADDED and all(isinstance(one, Tensor) for one in arguments):
                found = [same[id(one)][1] for one in arguments if id(one) in same]
                if len(found) == 1:
                    found[0].append(result)
            return result

    return Sums()
