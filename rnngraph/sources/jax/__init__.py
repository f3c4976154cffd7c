"""Trace the recurrences of a JAX loss function: public as `rnngraph.jax`.

The user's function is traced to a jaxpr once and interpreted again with identities ("taps") at every scan's states,
whose gradients are what is measured. `watch` is the way in, `function` makes the jaxpr, `walk` goes through it.

* `finder` tells recurrences from everything else: by `flow` (where values come from, in which order they hold time), by
  the `form` of a step, its `chunks` and `masks`, and the `step_cell` that it is; `names` names them. What was found is
  `sites`.
* `programs` computes: `through_scan` whole losses, and `row_walk` single ones, both of the `step` computed again.
* `scan_recording` answers what `measure` asks: `facts`, `loss_walk`, `scan_weights` and `picture`, by `samples`; a loss
  that is `read_together` is one.
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
