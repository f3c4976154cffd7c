"""A cell of your own, written with tensor operators, traced like the ones that ship.

The cell is a minimal gated unit (Zhou et al., 2016): one gate `f` both forgets and admits. The loss is on the last step
only, so everything at the early steps has been carried back. Run `python examples/custom_cell.py [picture.svg]`.
"""

from __future__ import annotations

import sys

import numpy as np

import rnngraph as rg
from rnngraph.nn import Parameter


class MinimalGatedUnit:
    """`f = σ(x Wf + h Uf + bf)`, `h = (1 - f) h + f tanh(x Wn + f h Un)`."""

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float, seed: int = 0) -> None:
        """Draw the weights."""
        rng = np.random.default_rng(seed)

        def weight(name: str, rows: int) -> Parameter:
            return Parameter(f"mgu.{name}", rng.normal(0, 1 / np.sqrt(rows), (rows, hidden_size)))

        self.wf, self.wn = weight("Wf", input_size), weight("Wn", input_size)
        self.uf, self.un = weight("Uf", hidden_size), weight("Un", hidden_size)
        self.bf = Parameter("mgu.bf", np.full(hidden_size, -forget_bias))
        self.hidden_size = hidden_size

    def __call__(self, x: rg.Tensor) -> rg.Tensor:
        """Record the cell over `x`, (N, T, D), and return the last state, (N, H)."""
        tape = x.tape
        wf, wn, uf, un, bf = (tape.parameter(one) for one in (self.wf, self.wn, self.uf, self.un, self.bf))
        h = start = tape.input(np.zeros((x.shape[0], self.hidden_size)), "h0")
        states = []
        for t in range(x.shape[1]):
            with tape.scope(layer="mgu", t=t):  # the scope tells what is carried over time
                f = (x[:, t] @ wf + h @ uf + bf).sigmoid()
                h = (1 - f) * h + f * (x[:, t] @ wn + (f * h) @ un).tanh()
            states.append(h)
        tape.state("mgu.h", states, initial=start)
        return h


def main() -> None:
    """Trace the cell at two biases and say how much of the gradient reaches the first step."""
    x = np.random.default_rng(1).normal(size=(4, 30, 8))
    for forget_bias in (0.0, 4.0):
        tape = rg.Tape(model=f"minimal gated unit, bias {forget_bias:g}")
        h = MinimalGatedUnit(8, 16, forget_bias=forget_bias)(tape.input(x))
        loss = (h * h).mean()
        report = rg.check(loss)
        trace = rg.record(loss)
        norms = trace.states[0].grad.value
        decades = np.log10(norms[0] / norms[-1])
        print(
            f"bias {forget_bias:g}: gradient check {'passed' if report.passed else 'FAILED'}, "
            f"‖∂L/∂h‖ is {norms[-1]:.2e} at the last step and {norms[0]:.2e} at the first: {decades:+.1f} decades"
        )
    if len(sys.argv) > 1:
        print("wrote", rg.render(trace, sys.argv[1]))


if __name__ == "__main__":
    main()
