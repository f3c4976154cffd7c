"""PyTorch models as they are: look at one step, or run along with a whole training.

What is behind each name stands in `sources/torch` and in `monitor`.
"""

from rnngraph.monitor.monitor import Monitor as Monitor
from rnngraph.monitor.start import monitor as monitor
from rnngraph.sources.torch import FirstNonFinite as FirstNonFinite
from rnngraph.sources.torch import Watch as Watch
from rnngraph.sources.torch import first_nonfinite as first_nonfinite
from rnngraph.sources.torch import watch as watch

__all__ = ["FirstNonFinite", "Monitor", "Watch", "first_nonfinite", "monitor", "watch"]
