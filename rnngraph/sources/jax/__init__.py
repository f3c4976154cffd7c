"""Trace the recurrences of a JAX loss function: public as `rnngraph.jax`.

The user's function is traced to a jaxpr once and interpreted again with identities ("taps") at every scan's states,
whose gradients are what is measured. `function` makes the jaxpr; `walk` goes through it; `flow`, `body` and `find` tell
recurrences and time from everything else; `taps`, `steps` and `programs` compute; `scan_recording` answers what
`measure` wants to know; `changed` runs the function with other weights.
"""

from rnngraph.errors import MissingToolError

try:
    import jax as _jax  # noqa: F401
except ImportError:
    raise MissingToolError("JAX is not installed; pip install 'rnngraph[jax]' brings it.") from None

from rnngraph.sources.jax.watch import Scans as Scans
from rnngraph.sources.jax.watch import scans as scans
from rnngraph.sources.jax.watch import trial as trial
from rnngraph.sources.jax.watch import watch as watch

__all__ = ["Scans", "scans", "trial", "watch"]
