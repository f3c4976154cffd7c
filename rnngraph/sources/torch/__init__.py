"""Watch a PyTorch model train, and trace its recurrent layers: public as `rnngraph.torch`.

`nn.RNN`, `nn.LSTM` and `nn.GRU` are one opaque node to autograd. Hooks keep what a layer was given and the gradient
that came back to it; the recurrence is then walked again on our tape, and the result is compared with PyTorch's own.
"""

from rnngraph.sources.torch.watch import Watch as Watch
from rnngraph.sources.torch.watch import watch as watch
