"""What a function returned, and what of it the loss is made of.

In: outputs, recorded or plain. Out: a scalar. What was chosen on recorded outputs is found again on plain ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from rnngraph.errors import InputError
from rnngraph.numpy.calls import names_returned, owners, parted
from rnngraph.numpy.values import Handle

Path: TypeAlias = tuple[Any, ...]  # the keys and places that lead to an array


def choose(outputs: Any) -> tuple[Path, ...]:
    """Choose the outputs of the default loss: the first scalar, or else the first array.

    A list or a dict of alike things, one a step, is one output and taken whole. Nothing is chosen where there is none.
    """
    found = list(_leaves(outputs, (), None))
    recorded = [one for one in found if isinstance(one[2], Handle) and one[2].plain is None]
    some = recorded or found
    alone = [one for one in some if one[1] is None and _size(one[2]) == 1]
    if not some or alone:
        return tuple([path for path, _, _ in alone[:1]])
    first, series, _ = some[0]
    return (first,) if series is None else tuple([path for path, of, _ in some if of == series])


def _leaves(x: Any, path: Path, series: Path | None) -> Iterator[tuple[Path, Path | None, Any]]:
    """Give every array of floats: where it is, the outermost series that it is in, and itself."""
    if isinstance(x, dict | tuple | list):
        series = path if series is None and _is_series(x) else series
        for key, one in x.items() if isinstance(x, dict) else enumerate(x):
            yield from _leaves(one, (*path, key), series)
    elif isinstance(x, Handle) or (isinstance(x, np.ndarray | np.generic | float) and np.asarray(x).dtype.kind == "f"):
        yield path, series, x


def _is_series(x: Any) -> bool:
    """Tell one thing a step, such as the list of all outputs, from several things that are returned together."""
    if isinstance(x, tuple) or len(x) < 2 or (isinstance(x, dict) and any(isinstance(key, str) for key in x)):
        return False
    return len({_kind(one) for one in (x.values() if isinstance(x, dict) else x)}) == 1


def _kind(x: Any) -> Any:
    if isinstance(x, tuple | list):
        return tuple([_kind(one) for one in x])
    return np.shape(x.value if isinstance(x, Handle) else x) if isinstance(x, Handle | np.ndarray | float) else type(x)


def _size(x: Any) -> int:
    return int(np.size(getattr(x, "value", x)))


def described(outputs: Any, paths: tuple[Path, ...]) -> str:
    """Say what of the outputs the loss is made of, where it is no scalar that is returned."""
    if not paths:
        return ""
    (first, *rest), made = paths, picked(outputs, paths, None)
    if not rest and _size(made[0]) == 1:
        return ""
    own = first[:1] if len(paths) > 1 and len({path[:1] for path in paths}) == 1 else first if not rest else ()
    which = "".join(f"[{key!r}]" for key in own)
    what = f"output{which}" if which else "what is returned"
    how = "times fixed random weights and summed" + (f", all {len(paths)} arrays of it" if rest else "")
    return f"no scalar is returned: the loss is {what}, {how}"


def gradients_in(outputs: Any, forward: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Find the gradients that a function returns beside its loss, by the names in its `return` or in a dict.

    `arrays` are those that were recorded, by name. What could belong to several of them, or has another shape, is left.
    """
    named: list[tuple[str, Any]] = []
    plain = {parted(key)[1] for key in arrays}
    if isinstance(outputs, tuple | list):
        names = names_returned(forward)
        named = [pair for pair in zip(names, outputs, strict=False) if len(names) == len(outputs)]
        named = [(name, one) for name, one in named if name not in plain]
        named += [pair for one in outputs if isinstance(one, dict) for pair in one.items() if isinstance(pair[0], str)]
    found = {}
    for name, one in named:  # a list holds those of a list of arrays
        named += [(f"{name}.{place}", part) for place, part in enumerate(one if isinstance(one, tuple | list) else ())]
        places = owners(name, list(arrays))
        if len(places) == 1 and isinstance(one, np.ndarray) and np.shape(list(arrays.values())[places[0]]) == one.shape:
            found[name] = one
    return found


def picked(outputs: Any, paths: tuple[Path, ...], loss: Callable[[Any], Any] | None) -> list[Any]:
    """Give what `loss` makes of the outputs, or what was chosen of them.

    Raises:
        InputError: there is no such output.
    """
    if loss is not None:
        return [loss(outputs)]
    found = []
    for path in paths:
        one = outputs
        for key in path:
            try:
                one = one[key]
            except (LookupError, TypeError):
                raise InputError("the function returns other things when it is called again.") from None
        found.append(one)
    return found


def scalar_of(arrays: list[Any]) -> Any:
    """Make a scalar of arrays: their sum with fixed random weights, since a sum of a softmax alone is a constant."""
    if len(arrays) == 1 and _size(arrays[0]) == 1:
        return arrays[0].reshape(()) if arrays[0].ndim else arrays[0]
    generator = np.random.default_rng(0)
    total: Any = None
    for one in arrays:
        part = (one * generator.normal(size=one.shape)).sum()
        total = part if total is None else total + part
    return total
