"""Trace the recurrences of a JAX loss function: public as `rnngraph.jax`.

The user's function is traced to a jaxpr once and interpreted again with identities ("taps") at every scan's states,
whose gradients are what is measured. `watch` is the way in, `function` makes the jaxpr, `walk` goes through it.

* `finding` tells recurrences from everything else.
* `running` computes what is measured.
* `scan_recording` answers what `measure` asks: `facts`, `loss_walk`, `scan_weights` and `picture`.
"""

from rnngraph.errors import MissingToolError

try:
    import jax as _jax
except ImportError:
    raise MissingToolError("JAX is not installed; pip install 'rnngraph[jax]' brings it.") from None

if _jax.__version_info__ < (0, 8):
    raise MissingToolError(
        f"JAX {_jax.__version__} is installed, and rnngraph.jax needs 0.8 or newer; "
        "pip install --upgrade 'rnngraph[jax]' brings it."
    )

from rnngraph.sources.jax.watch import Scans as Scans
from rnngraph.sources.jax.watch import scans as scans
from rnngraph.sources.jax.watch import trial as trial
from rnngraph.sources.jax.watch import watch as watch

__all__ = ["Scans", "scans", "trial", "watch"]
