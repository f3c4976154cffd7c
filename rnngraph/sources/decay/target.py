"""A Python function that returns a PyTorch module, or a module and a batch, as a source of decays.

In: `file.py:function` or `module:function` and the texts of `--set`. Out: a `DecayReport`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rnngraph.errors import InputError
from rnngraph.sources.decay.measure import decay
from rnngraph.sources.target.arguments import settings_from
from rnngraph.sources.target.importing import shielded
from rnngraph.sources.target.run import call
from rnngraph.trace.decay import DecayReport


def module_and_batch(source: str, settings: Sequence[str], *, live: bool, loss: str, **options: Any) -> DecayReport:
    """Call the function and report on what it returns; with `live` the module is run on its batch.

    Raises:
        InputError: it returned neither a module nor a state dict, or no batch where one is needed; see also `decay`.
        TargetError: an exception left the user's code; its `frames` are the user's own.
    """
    returned = call(source, settings_from(settings))
    paired = isinstance(returned, tuple | list) and len(returned) == 2
    module, batch = returned if paired else (returned, None)
    if not hasattr(module, "state_dict"):
        raise InputError(f"{source} returned a {type(module).__name__}; return a PyTorch module, or (module, batch).")
    if live and batch is None:
        raise InputError(f"{source} returned a module alone, and --live runs it: return (module, batch).")
    with shielded(source):
        report = decay(module, batch=batch if live else None, loss=loss, **options)
    return replace(report, source=source)
