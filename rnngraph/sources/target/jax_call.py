"""A JAX loss that a Python target returned, `(loss_fn, *args)`, becomes a trace and who tries remedies on it.

In: what the target returned. Out: a `Trace` and a `Trial`. JAX is not imported here before the target has done so.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rnngraph.errors import InputError
from rnngraph.measure.trial import Trial

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.trace.model import Trace


def is_jax_call(returned: Any) -> bool:
    """Tell a function with arrays of JAX from whatever else a target returns: one of its arguments holds an array."""
    if not isinstance(returned, tuple | list) or len(returned) < 2 or not callable(returned[0]):
        return False
    jax = sys.modules.get("jax")  # an array can only be one where jax was imported
    return jax is not None and any(isinstance(one, jax.Array) for one in jax.tree_util.tree_leaves(list(returned[1:])))


def run_call(returned: Any, *, lags: LagOptions | bool, spectrum: int, source: str) -> tuple[Trace, Trial]:
    """Measure the call of a JAX loss; the function may give (loss, aux).

    Raises:
        InputError: see `rnngraph.jax.watch`; or a spectrum is wanted, which a scan has not.
    """
    from rnngraph.measure.lag_options import asked
    from rnngraph.sources.jax.function import Options
    from rnngraph.sources.jax.watch import measure, recorded

    if spectrum:
        raise InputError(f"{source} returned a JAX loss, of whose scans no spectrum is measured: leave --spectrum out.")
    recording = recorded(returned[0], tuple(returned[1:]), Options(has_aux=None))
    return measure(recording, lags=asked(lags), source=source), Trial(recording)
