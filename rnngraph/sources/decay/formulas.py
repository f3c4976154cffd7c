"""The rates of the families as functions of their tensors, in nats a step at zero input.

In: float64 arrays by role, and the numbers that the configuration gave. Out: rates. A gate's bias may have a leading
axis of steps: the same functions serve a real batch. Each formula's source stands in the table of families.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from rnngraph.trace.magnitudes import Floats

Arrays: TypeAlias = Mapping[str, Floats]
Numbers: TypeAlias = Mapping[str, float]

GRIFFIN = 8.0  # the constant c of the paper's equation for the gate
RWKV7 = float(np.exp(-0.5))


def softplus(x: Floats) -> Floats:
    """Compute ln(1 + eˣ) without overflow."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Floats) -> Floats:
    """Compute 1 / (1 + e⁻ˣ) without overflow."""
    return np.exp(-np.logaddexp(0.0, -x))


def state_space(values: Arrays, numbers: Numbers) -> Floats:
    """Mamba-1: e^A_log · softplus(bias), (channels, states), or (heads, channels, states)."""
    rates = np.exp(values["A"])
    return rates * softplus(values["b"]).reshape(-1, *rates.shape[:-1], 1)


def scalar_gate(values: Arrays, numbers: Numbers) -> Floats:
    """Mamba-2 and Gated DeltaNet: e^A_log · Δ with Δ = softplus(bias) held to its limits, (heads,)."""
    step = np.clip(softplus(values["b"]), numbers.get("dt_min", 0.0), numbers.get("dt_max", np.inf))
    return np.exp(values["A"]) * step


def channel_gate(values: Arrays, numbers: Numbers) -> Floats:
    """Kimi delta attention: e^A_log · softplus(bias), (heads, channels)."""
    return np.exp(_by_head(values["A"])) * softplus(_channels(values))


def bounded_gate(values: Arrays, numbers: Numbers) -> Floats:
    """Kimi delta attention with a bounded gate: −bound · σ(e^A_log · bias), (heads, channels)."""
    return -numbers["lower_bound"] * sigmoid(np.exp(_by_head(values["A"])) * _channels(values))


def _by_head(heads: Floats) -> Floats:
    return heads.reshape(-1, 1)


def _channels(values: Arrays) -> Floats:
    bias = values["b"]
    return bias.reshape(*bias.shape[:-1], values["A"].size, -1)


def normalised_gate(values: Arrays, numbers: Numbers) -> Floats:
    """Gated linear attention: −ln σ(bias) over a constant."""
    return softplus(-values["b"]) / numbers["gate_logit_normalizer"]


def double_exponential(values: Arrays, numbers: Numbers) -> Floats:
    """RWKV-4 to 6 and LRU: the decay is exp(−eʷ)."""
    return np.exp(values["w"])


def bounded_exponential(values: Arrays, numbers: Numbers) -> Floats:
    """RWKV-7: the decay is exp(−e^−½ · σ(w))."""
    return RWKV7 * sigmoid(values["w"])


def gated_ring(values: Arrays, numbers: Numbers) -> Floats:
    """RG-LRU: 8 · σ(bias of the gate) · softplus(parameter), channel by channel."""
    return GRIFFIN * sigmoid(values["b"].reshape(-1, values["a"].size)) * softplus(values["a"])


def diagonal(values: Arrays, numbers: Numbers) -> Floats:
    """S4D: e^log_A_real · e^log_dt with a zero-order hold, (channels, states)."""
    return np.exp(values["A"]) * np.exp(values["dt"])[:, None]


def discretised(values: Arrays, numbers: Numbers) -> Floats:
    """S5: −Re λ · e^log_step with a zero-order hold."""
    return -values["A"] * np.exp(values["dt"]).reshape(-1)


def forget_gate(values: Arrays, numbers: Numbers) -> Floats:
    """mLSTM: −ln σ(bias), in the large model of cap · tanh(bias / cap); a fused bias has the forget gate behind."""
    if "plain" in values:
        return softplus(-values["plain"])
    bias, cap = values.get("capped"), numbers["gate_soft_cap"]
    if bias is None:
        bias = values["fused"][..., values["fused"].shape[-1] // 2 :]
    return softplus(-cap * np.tanh(bias / cap))


def lstm_gate(values: Arrays, numbers: Numbers) -> Floats:
    """LSTM: −ln σ(bias of f), PyTorch's order i f g o."""
    return softplus(-_part(values, 1, 4))


def gru_gate(values: Arrays, numbers: Numbers) -> Floats:
    """GRU: −ln σ(bias of z), PyTorch's order r z n, z being what is kept."""
    return softplus(-_part(values, 1, 3))


def _part(values: Arrays, index: int, count: int) -> Floats:
    total = values["bi"] + values["bh"]
    size = total.shape[-1] // count
    return total[..., index * size : (index + 1) * size]
