"""Runs along with a training of a PyTorch model: public as `rnngraph.torch.monitor`.

`steps` hears of the optimizers' steps, `monitor` watches every n-th of them and has it measured, `folder` keeps the
traces few, and `scalars` sums each up in a few numbers.
"""

import rnngraph.sources.torch  # noqa: F401  (says what to install where there is no PyTorch)
