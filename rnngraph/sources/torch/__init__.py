"""Watch a PyTorch model train, and trace its recurrences: public in `rnngraph.torch`.

PyTorch's own graph is the tape: it is kept alive, and autograd is asked. `calls`, `passes` and `patches` see a run;
`one_pass` and `hooks` put its weights and hooks back to ask about it, and `traced` measures it;
`chains`, `find` and `raw` read the recurrences off the graph; `clocks`, `shares` and `joint` say what a step's loss is;
`fed_inputs`, `within` and `entrance` know what enters; `question`, `rows` and `tell` ask, `walks` lends what came back;
`inside` opens fused layers with a tape of our own; `graph_recording` answers what `measure` wants to know; `again` runs
a copy with changed weights.
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
