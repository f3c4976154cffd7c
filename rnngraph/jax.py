"""The scans of a JAX loss as they are; what is behind each name stands in `sources/jax`."""

from rnngraph.sources.jax import Scans as Scans
from rnngraph.sources.jax import scans as scans
from rnngraph.sources.jax import trial as trial
from rnngraph.sources.jax import watch as watch

__all__ = ["Scans", "scans", "trial", "watch"]
