"""Watch a PyTorch model train, and trace its recurrences: public in `rnngraph.torch`.

PyTorch's own graph is the tape: it is kept alive, and autograd is asked. What happens, room by room:

* `capture`: functions of PyTorch are patched, calls of modules and backward passes are noted, and what a question must
  find as it was is put back.
* `autograd`: the graph is walked; `vjp` is the one way to ask it.
* `recurrences` are found in it, with their states; `inputs`: what enters their steps, and what the network is fed.
* `losses`: where the loss of a step enters, and many losses walked back at once.
* `gradients` of states and weights, step by step, the parts of the trace, and a certificate.
* `fused_layers` are opened with a tape of our own.
* `graph_recording` answers with these what `measure` asks; `measured_pass` makes the trace.
* `reruns`: a copy runs again, with changed weights or with a shorter past.
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
