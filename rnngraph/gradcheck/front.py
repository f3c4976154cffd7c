"""`check`: the one door to the gradient check.

In: a loss, a cache, a pair of functions or a layer object. Out: a `CheckReport`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import whole_number
from rnngraph.errors import GradientError, InputError
from rnngraph.gradcheck.locate import locate
from rnngraph.gradcheck.replayed import recorded_subject
from rnngraph.gradcheck.report import CheckReport, CheckRow
from rnngraph.gradcheck.rules import wrong_rules
from rnngraph.gradcheck.slopes import check_rows, is_noisy
from rnngraph.gradcheck.subject import TOLERANCES
from rnngraph.gradcheck.written import layer_subject, pair_subject, with_handed

NARROW = "It computes in float32 on the way, where an error below about 1 % can hide: let it compute in float64."


def check(subject: Any, *rest: Any, directions: int = 3, seed: int = 0, tolerance: float | None = None) -> CheckReport:
    """Compare gradients with central differences, and say where a wrong one is wrong. Nothing that is given is changed.

    What can be checked: `check(loss)`, a scalar Tensor; `check(loss, grads)`, what a model's own backward made of it,
    by name, and `check(loss, grads, params)` where only its arrays tell which is whose, both dicts or both lists;
    `check(cache)`, the tape that a function of `rnngraph.nn.functional` returned; `check(forward, backward, *arrays)`,
    where `forward(*arrays)` gives `(*outputs, cache)` and `backward(*upstream, cache)` gives one gradient a floating
    argument, in their order or by name in a dict; `check(layer, *arrays)`, an object with both methods that keeps its
    cache and gradients.

    Arguments are moved along random directions, in float64. Where there is a kink at the very point (a ReLU at 0), both
    sides are compared a little beside it. An output in float32 says that the function computes in it, and 1e-3 then
    passes in place of 1e-6.

    Args:
        subject: what is checked.
        rest: the backward and the arguments.
        directions: random directions an argument.
        seed: of the directions.
        tolerance: the relative error that passes.

    Raises: InputError: something else than the above, functions that do not fit together or draw random numbers, or an
        option that cannot be used. DtypeError: an argument that holds no real numbers.
    """
    directions = whole_number(directions, "directions", least=1)
    seed = whole_number(seed, "seed", least=0)
    if tolerance is not None and not (isinstance(tolerance, Real) and 0 < tolerance < 1):
        raise InputError(f"tolerance is {tolerance!r}; it is a relative error, between 0 and 1.")
    layer = callable(getattr(subject, "forward", None)) and callable(getattr(subject, "backward", None))
    if not layer and not rest and not isinstance(subject, Tensor | Tape):
        raise InputError(
            f"there is nothing to check in {subject!r:.60}; pass a loss, a cache, or (forward, backward, *arrays)."
        )
    with np.errstate(all="ignore"):
        if isinstance(subject, Tensor | Tape):
            return _recorded(subject, rest, directions, seed, tolerance)
        pair, record = layer_subject(subject, rest, seed) if layer else pair_subject(subject, rest[0], rest[1:], seed)
        pair.wanted, generator = tolerance, np.random.default_rng((seed, len(pair.points), 1))
        rows, notes = check_rows(pair, generator, directions)
        passed = all(row.passed for row in rows)
        right = None if passed else record()
        if right is not None and right.dtype == "float32":  # differences need its outputs in float64
            pair = replace(pair, run=right.run, outputs=right.run(pair.points), narrow=True)
            rows, notes = check_rows(pair, generator, directions)
        elif not passed and right is None and pair.dtype == "float64" and is_noisy(pair, generator):
            pair = replace(pair, narrow=True, coarse=True)
            rows, notes = check_rows(pair, generator, directions)
        where = tuple(locate(pair, rows, pair.floating(), right))
    note = " ".join([*notes, NARROW] if pair.narrow else notes)
    return CheckReport(tuple(rows), (), pair.tolerance, pair.dtype, note, where)


def _recorded(
    loss: Tensor | Tape, rest: Sequence[Any], directions: int, seed: int, tolerance: float | None
) -> CheckReport:
    nodes: Sequence[Entry] = (loss if isinstance(loss, Tape) else loss.tape).entries
    rows, where, notes, dtype, fault = list[CheckRow](), tuple[str, ...](), [""], "float64", None
    try:
        subject, replay, notes[0] = recorded_subject(loss)
    except GradientError as error:  # a gradient of the wrong shape: the rules below say whose
        fault = error
    else:
        nodes, dtype = replay.nodes, replay.dtype
        subject, known = with_handed(subject, rest) if rest else (subject, [])
        subject.wanted = tolerance
        rows, told = check_rows(subject, np.random.default_rng(seed), directions)
        notes += told
        where = tuple(locate(subject, rows, known, replay)) if rest else ()
    culprits, searched = wrong_rules(nodes, seed, search=not rest and any(row.wrong for row in rows))
    if fault and not culprits:
        raise fault  # no sampled rule explains it
    note = " ".join(one for one in (notes[0], searched, *notes[1:]) if one)
    return CheckReport(tuple(rows), culprits, tolerance or TOLERANCES[dtype], dtype, note, where)
