"""Trace the recurrences of a JAX loss function: public as `rnngraph.jax`.

The user's function is traced to a jaxpr once and interpreted again with identities ("taps") at every scan's states,
whose gradients are what is measured. `watch` is the way in, `function` makes the jaxpr, `walk` goes through it. `find`
tells recurrences and time from everything else, `run` computes, `tell` answers what `measure` asks.
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
