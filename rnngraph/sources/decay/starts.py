"""The published starts of the families, as quantiles of the half-life at 0, 10, 50, 90 and 100 %, in steps.

Each follows from the initialisation that its origin names; the tests draw from that initialisation anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from rnngraph.trace.decay import Five, five_numbers


@dataclass(frozen=True, slots=True)
class Start:
    """What the authors' own initialisation gives: quantiles at 0, 10, 50, 90 and 100 %, in steps.

    Where it differs from layer to layer, `low` and `high` are the ends.
    """

    low: Five
    high: Five
    origin: str


def _one(five: Five, origin: str) -> Start:
    return Start(five, five, origin)


@cache
def mamba(states: int) -> Start:
    """Mamba-1's, which has a state for every A from 1 on: with more of them the shortest half-life is shorter."""
    steps = np.exp(np.linspace(math.log(0.001), math.log(0.1), 4001))
    half_lives = math.log(2) / np.outer(steps, np.arange(1, states + 1))
    return _one(five_numbers(half_lives), f"state-spaces/mamba: A = 1..{states}, dt log-uniform in [0.001, 0.1]")


MAMBA2 = _one((0.433, 1.3, 9.8, 68.0, 693.0), "state-spaces/mamba: A ~ U(1, 16), dt log-uniform in [0.001, 0.1]")
DELTA_NET = _one((0.433, 1.36, 11.3, 93.3, 1e7), "fla: A ~ U(0, 16), dt log-uniform in [0.001, 0.1]")
KDA = _one(MAMBA2.low, "fla: A ~ U(1, 16), dt log-uniform in [0.001, 0.1]")
BOUNDED_KDA = _one((1.46, 2.27, 13.9, 87.5, 139.0), "fla: A_log = 0, dt log-uniform in [0.001, 0.1]")
GLA = _one((16.0,) * 5, "fla: a bias of 0")
# A ramp over the channels, whose curve goes from the first layer's to the last one's.
RWKV4 = Start(
    (0.0345, 0.0609, 0.747, 20.8, 103.0),
    (0.0345, 0.158, 13.9, 95.0, 103.0),
    "RWKV-LM: a ramp from -5 to 3 over the channels",
)
RWKV6 = Start(
    (1.88, 2.69, 12.9, 103.0, 280.0),
    (1.88, 4.87, 80.1, 266.0, 280.0),
    "RWKV-LM: a ramp from -6 to -1 over the channels",
)
RWKV7 = Start(
    (6.26, 9.0, 48.6, 376.0, 761.0),
    (6.26, 13.6, 191.0, 709.0, 761.0),
    "RWKV-LM: a ramp from -6.5 to -1.5 over the channels",
)
GRIFFIN = _one((1.64, 1.85, 3.43, 16.5, 173.0), "recurrentgemma: radius squared uniform in [0.9², 0.999²], gates at ½")
LRU = _one((6.58, 7.38, 13.7, 65.8, 693.0), "the paper of LRU: radius squared uniform in [0.9², 0.999²]")
S4D = _one((13.9, 22.0, 139.0, 876.0, 1386.0), "state-spaces/s4: Re λ = -½, step log-uniform in [0.001, 0.1]")
S5 = _one(S4D.low, "lindermanlab/S5: Re λ = -½, step log-uniform in [0.001, 0.1]")
MLSTM = _one((14.3, 20.0, 64.0, 212.0, 280.0), "NX-AI/xlstm: a ramp from 3 to 6 over the heads")
