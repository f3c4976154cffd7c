"""A fixture a family: tensors that were made from wanted half-lives by inverting the gate, number by number.

The half-lives are the truth. No formula of the package is used: the inverses are written out with `math`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LN2 = math.log(2)
HALF_LIVES = (0.5, 3.0, 40.0, 1000.0)  # steps


def inverse_softplus(value: float) -> float:
    """Solve ln(1 + eˣ) = value."""
    return math.log(math.expm1(value)) if value < 30 else value


def logit(share: float) -> float:
    """Solve 1 / (1 + e⁻ˣ) = share."""
    return math.log(share / (1 - share))


@dataclass(frozen=True, slots=True)
class Fixture:
    """A state dict below the layer `net.`, what the configuration says, and the half-lives that it must be read as."""

    tensors: Mapping[str, Any]
    truth: Any
    config: Mapping[str, Any] = field(default_factory=dict)


def _each(inverse: Callable[[float], float], half_lives: Any = HALF_LIVES) -> Any:
    return np.vectorize(inverse, otypes=[float])(LN2 / np.asarray(half_lives))


def mamba() -> Fixture:
    """A of 1 and 4 in every channel: the second state is four times as fast."""
    return Fixture(
        {"A_log": np.log([[1.0, 4.0]] * 4), "dt_proj.bias": _each(inverse_softplus)},
        [[half, half / 4] for half in HALF_LIVES],
    )


def scalar(model_type: str) -> Fixture:
    """A of 2 in every head."""
    return Fixture(
        {"A_log": np.full(4, math.log(2)), "dt_bias": _each(lambda rate: inverse_softplus(rate / 2))},
        HALF_LIVES,
        {"model_type": model_type},
    )


def kda() -> Fixture:
    """Two heads of two channels, the second head's A three times as large."""
    bias = [inverse_softplus(LN2 / half / a) for half, a in zip(HALF_LIVES, (1, 1, 3, 3), strict=True)]
    return Fixture(
        {"A_log": np.log([1.0, 3.0]).reshape(1, 1, 2, 1), "dt_bias": np.array(bias)},
        [HALF_LIVES[:2], HALF_LIVES[2:]],
        {"model_type": "kimi_linear"},
    )


def bounded() -> Fixture:
    """A bound of -4; the second head's bias is multiplied by 2."""
    bias = [logit(LN2 / half / 4) / a for half, a in zip(HALF_LIVES, (1, 1, 2, 2), strict=True)]
    return Fixture(
        {"A_log": np.log([1.0, 2.0]), "dt_bias": np.array(bias)},
        [HALF_LIVES[:2], HALF_LIVES[2:]],
        {"text_config": {"linear_lower_bound": -4.0}},
    )


def gla() -> Fixture:
    """A normaliser of 8 in the configuration."""
    return Fixture(
        {"gk_proj.1.bias": _each(lambda rate: -inverse_softplus(8 * rate))}, HALF_LIVES, {"gate_logit_normalizer": 8}
    )


def rwkv7() -> Fixture:
    """No decay of RWKV-7 is shorter than 1.14 steps."""
    half_lives = (1.2, 3.0, 40.0, 1000.0)
    return Fixture({"att.w0": _each(lambda rate: logit(rate / math.exp(-0.5)), half_lives)[None, None]}, half_lives)


def griffin() -> Fixture:
    """Gates of ¼ and ½, in two blocks of two channels."""
    gates = (0.25, 0.25, 0.5, 0.5)
    parameter = [inverse_softplus(LN2 / half / 8 / gate) for half, gate in zip(HALF_LIVES, gates, strict=True)]
    bias = np.array([logit(gate) for gate in gates]).reshape(2, 2)
    return Fixture({"recurrent_param": np.array(parameter), "recurrent_gate_bias": bias}, HALF_LIVES)


def s4d() -> Fixture:
    """Steps of ¼ and ½; the real part makes up for them."""
    real = [[math.log(LN2 / half / 0.25) for half in HALF_LIVES], [math.log(LN2 / half / 0.5) for half in HALF_LIVES]]
    return Fixture({"log_A_real": np.array(real), "log_dt": np.log([0.25, 0.5])}, [HALF_LIVES, HALF_LIVES])


def s5() -> Fixture:
    """A step of 0.1 for every state."""
    return Fixture({"Lambda_re": _each(lambda rate: -rate / 0.1), "log_step": np.log(np.full((4, 1), 0.1))}, HALF_LIVES)


def capped() -> Fixture:
    """A soft cap of 12 between the bias and the gate."""

    def bias(rate: float) -> float:
        return 12 * math.atanh(-inverse_softplus(rate) / 12)

    return Fixture({"fgate_preact.bias": _each(bias)}, HALF_LIVES, {"gate_soft_cap": 12.0})


def gated(count: int) -> Fixture:
    """The second of an LSTM's four gates or a GRU's three, in two biases; the others must not matter."""
    bias = np.random.default_rng(0).normal(size=(2, count * 4))
    bias[1, 4:8] = _each(lambda rate: -inverse_softplus(rate)) - bias[0, 4:8]
    weight = np.zeros((count * 4, 4))
    return Fixture({"bias_ih_l0": bias[0], "bias_hh_l0": bias[1], "weight_hh_l0": weight}, HALF_LIVES)


FIXTURES: dict[str, Fixture] = {
    "mamba-1": mamba(),
    "mamba-2": scalar("mamba2"),
    "gated-deltanet": scalar("qwen3_next"),
    "kda": kda(),
    "kda-bounded": bounded(),
    "gla": gla(),
    "rwkv-4": Fixture({"time_decay": _each(math.log), "time_first": np.zeros(4)}, HALF_LIVES),
    "rwkv-5/6": Fixture({"time_decay": _each(math.log)[None, None]}, HALF_LIVES),
    "rwkv-7": rwkv7(),
    "rg-lru": griffin(),
    "lru": Fixture({"nu_log": _each(math.log), "theta_log": np.zeros(4)}, HALF_LIVES),
    "s4d": s4d(),
    "s5": s5(),
    "mlstm": Fixture({"fgate.bias": _each(lambda rate: -inverse_softplus(rate))}, HALF_LIVES),
    "lstm": gated(4),
    "gru": gated(3),
}
OTHER_FORMS: dict[str, tuple[str, Fixture]] = {
    "zamba": (
        "mamba-1",
        Fixture(
            {"A_log": np.log([[[1.0, 4.0]] * 2] * 2), "dt_proj_bias": _each(inverse_softplus).reshape(2, 2)},
            [[[half, half / 4] for half in HALF_LIVES[row : row + 2]] for row in (0, 2)],
        ),
    ),
    "kda with a flat A_log": (
        "kda",
        Fixture({**kda().tensors, "A_log": np.log([1.0, 3.0])}, kda().truth, kda().config),
    ),
    "rwkv-5 by head": (
        "rwkv-5/6",
        Fixture({"time_decay": _each(math.log).reshape(2, 2)}, [HALF_LIVES[:2], HALF_LIVES[2:]]),
    ),
    "rwkv-7 of fla": ("rwkv-7", Fixture({"w_lora.lora.2.bias": rwkv7().tensors["att.w0"].ravel()}, rwkv7().truth)),
    "griffin by its authors": (
        "rg-lru",
        Fixture(
            {"a_param": griffin().tensors["recurrent_param"], "a_gate.b": griffin().tensors["recurrent_gate_bias"]},
            HALF_LIVES,
        ),
    ),
    "mlstm with a cap": ("mlstm", capped()),
    "mlstm with a fused gate": (
        "mlstm",
        Fixture(
            {"ifgate_preact.bias": np.concatenate([np.zeros(4), capped().tensors["fgate_preact.bias"]])},
            HALF_LIVES,
            {"gate_soft_cap": 12.0},
        ),
    ),
    "lstm with a projection": (
        "lstm",
        Fixture({**gated(4).tensors, "weight_hh_l0": np.zeros((16, 3)), "weight_hr_l0": np.zeros((3, 4))}, HALF_LIVES),
    ),
}
