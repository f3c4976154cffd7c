"""Watch a PyTorch model train, and trace its recurrences: public in `rnngraph.torch`.

PyTorch's own graph is the tape: it is kept alive, and autograd is asked. A run is seen by `watching` (`patches` around
PyTorch's functions, `calls` of modules) and by `autograd.passes`; `one_pass` and `hooks` put back what a question must
find as it was, and `question` is the one way to ask. `finding` reads recurrences off the graph, what enters them, and
where a step's loss does; `graph_recording` answers what `measure` wants to know, a file of `answers` a question;
`fused` opens fused layers with a tape of our own; `tried` runs a copy with changed weights, or with a shorter past.
"""

from rnngraph.errors import MissingToolError

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise MissingToolError("PyTorch is not installed; pip install 'rnngraph[torch]' brings it.") from None

from rnngraph.sources.torch.nonfinite import FirstNonFinite as FirstNonFinite
from rnngraph.sources.torch.nonfinite import first_nonfinite as first_nonfinite
from rnngraph.sources.torch.watch import Watch as Watch
from rnngraph.sources.torch.watch import watch as watch

__all__ = ["FirstNonFinite", "Watch", "first_nonfinite", "watch"]
