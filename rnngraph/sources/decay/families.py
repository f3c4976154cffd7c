"""The table of families, and what a row of it holds. A new one is a row here and a fixture in its test.

Formulas and names were read in the authors' code, which `starts` names. Where two rows fit the same tensors, the
configuration decides between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from rnngraph.sources.decay import formulas, gates, named, starts
from rnngraph.sources.decay.config import Config
from rnngraph.sources.decay.formulas import Arrays, Numbers
from rnngraph.trace.magnitudes import Floats

TAG = "{tag}"  # stands for a layer's number and direction in PyTorch's names, such as _l0_reverse
Written: TypeAlias = tuple[str, str]  # a tensor's name beside its siblings, and its shape (see `fits`)


@dataclass(frozen=True, slots=True)
class Form:
    """Tensors that stand beside one another: those that the formula takes, by role, and others that must be there.

    The first tensor tells where the layer is. A name that could be anything's is looked for in modules called `inside`.
    """

    tensors: Mapping[str, Written]
    beside: tuple[Written, ...] = ()
    inside: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a running layer computes its gate: a hook on `module` (a path below the layer, empty for the layer itself).

    `take` gives what stands in the formula in the place of the tensor of `role`, (batch, time, features); None where it
    cannot be told.
    """

    module: str
    take: Callable[[gates.Running], Any]
    role: str = "b"


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its tensors, its formula, what the configuration must say, and the published start.

    `says` tells whether the configuration names this family: True, False, or None where it is silent. `start` is a
    function of the number of states where it depends on it. `steady` families have the same rate at every step, so that
    a batch adds nothing.
    """

    name: str
    formula: str  # for a reader
    forms: tuple[Form, ...]
    rate: Callable[[Arrays, Numbers], Floats]
    start: starts.Start | Callable[[int], starts.Start] | None
    says: Callable[[Config], bool | None] = lambda config: None  # no configuration names it
    numbers: Callable[[Config], Numbers] = lambda config: {}
    gates: tuple[Gate, ...] = ()
    steady: bool = False


_HEADS = {"A": ("A_log", "H"), "b": ("dt_bias", "H")}
_CHANNELS = (
    Form({"A": ("A_log", "1 1 H 1"), "b": ("dt_bias", "H*K")}),
    Form({"A": ("A_log", "H"), "b": ("dt_bias", "H*K")}),
)
_STATES = (Gate("", gates.of_states, role="bh"),)
_CHANNEL_GATES = tuple(Gate(name, gates.with_dt_bias) for name in ("f_b_proj", "f_proj", "f_proj.1"))


def _biases(gates: int) -> dict[str, tuple[str, str]]:
    return {"bh": ("bias_hh{tag}", f"{gates}H"), "bi": ("bias_ih{tag}", f"{gates}H")}


FAMILIES: tuple[Family, ...] = (
    Family(
        "mamba-1", "e^A_log · softplus(dt bias)",
        (
            Form({"A": ("A_log", "D N"), "b": ("dt_proj.bias", "D")}),
            Form({"A": ("A_log", "G D N"), "b": ("dt_proj_bias", "G D")}),  # Zamba, whose heads have weights each
        ),
        formulas.state_space, starts.mamba, named.model_types("mamba", "falcon_mamba", "jamba", "zamba"),
        gates=(Gate("dt_layernorm", gates.of_low_rank), Gate("x_proj", gates.of_low_rank)),
    ),
    Family(
        "mamba-2", "e^A_log · softplus(dt_bias)", (Form(_HEADS),), formulas.scalar_gate, starts.MAMBA2,
        named.says_mamba2, named.time_step, gates=(Gate("in_proj", gates.with_bias_of_the_last),),
    ),
    Family(
        "gated-deltanet", "e^A_log · softplus(dt_bias)", (Form(_HEADS),), formulas.scalar_gate, starts.DELTA_NET,
        named.model_types(
            "gated_deltanet", "gated_deltaproduct", "qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe",
            "qwen3_5_moe_text", "qwen4_exp", "qwen4_exp_text", "lara_mini", "olmo_hybrid",
        ),
        gates=(
            Gate("a_proj", gates.with_dt_bias), Gate("in_proj_a", gates.with_dt_bias),
            Gate("in_proj_ba", gates.of_groups),
        ),
    ),
    Family(
        "kda", "e^A_log · softplus(dt_bias)", _CHANNELS, formulas.channel_gate, starts.KDA, named.says_unbounded,
        gates=_CHANNEL_GATES,
    ),
    Family(
        "kda-bounded", "bound · σ(e^A_log · dt_bias)", _CHANNELS, formulas.bounded_gate, starts.BOUNDED_KDA,
        named.says_bounded, named.number("lower_bound", *named.BOUNDS, default=-5.0), gates=_CHANNEL_GATES,
    ),
    Family(
        "gla", "softplus(-bias) / 16", (Form({"b": ("gk_proj.1.bias", "D")}),), formulas.normalised_gate, starts.GLA,
        named.model_types("gla"), named.number("gate_logit_normalizer", default=16.0),
        gates=(Gate("gk_proj", gates.of_output),),
    ),
    Family(
        "rwkv-4", "e^time_decay", (Form({"w": ("time_decay", "C")}),), formulas.double_exponential, starts.RWKV4,
        named.model_types("rwkv"), steady=True,
    ),
    Family(
        "rwkv-5/6", "e^time_decay",
        (
            Form({"w": ("time_decay", "1 1 C")}),
            Form({"w": ("time_decay", "H S")}),
            Form({"w": ("time_decay", "H")}, beside=(("time_faaaa", "H"),)),
        ),
        formulas.double_exponential, starts.RWKV6, named.model_types("rwkv5", "rwkv6"),
    ),
    Family(
        "rwkv-7", "e^-½ · σ(w0)",
        (
            Form({"w": ("w0", "C")}, inside="att"), Form({"w": ("w0", "1 1 C")}, inside="att"),
            Form({"w": ("w_lora.lora.2.bias", "C")}),
        ),
        formulas.bounded_exponential, starts.RWKV7, named.model_types("rwkv7"),
        gates=(Gate("w_lora", gates.of_output, role="w"),),
    ),
    Family(
        "rg-lru", "8 · σ(gate bias) · softplus(parameter)",
        (
            Form({"b": ("recurrent_gate_bias", "H B"), "a": ("recurrent_param", "H*B")}),
            Form({"b": ("a_gate.b", "H B"), "a": ("a_param", "H*B")}),
        ),
        formulas.gated_ring, starts.GRIFFIN, named.model_types("recurrent_gemma"),
        gates=(Gate("", gates.of_blocks),),
    ),
    Family(
        "lru", "e^nu_log", (Form({"w": ("nu_log", "N")}),), formulas.double_exponential, starts.LRU, steady=True,
    ),
    Family(
        "s4d", "e^log_A_real · e^log_dt", (Form({"A": ("log_A_real", "H N"), "dt": ("log_dt", "H")}),),
        formulas.diagonal, starts.S4D, steady=True,
    ),
    Family(
        "s5", "-Lambda_re · e^log_step",
        (
            Form({"A": ("Lambda_re", "P"), "dt": ("log_step", "P")}),
            Form({"A": ("Lambda_re", "P"), "dt": ("log_step", "P 1")}),
        ),
        formulas.discretised, starts.S5, steady=True,
    ),
    Family(
        "mlstm", "softplus(-bias), where the large model has -cap · tanh(bias / cap)",
        (
            Form({"plain": ("fgate.bias", "H")}), Form({"capped": ("fgate_preact.bias", "H")}),
            Form({"fused": ("ifgate_preact.bias", "2H")}),
        ),
        formulas.forget_gate, starts.MLSTM, named.model_types("xlstm"), named.number("gate_soft_cap", default=15.0),
        gates=(
            Gate("fgate", gates.of_output, role="plain"), Gate("fgate_preact", gates.of_output, role="capped"),
            Gate("ifgate_preact", gates.of_output, role="fused"),
        ),
    ),
    Family(
        "lstm", "softplus(-bias of f)",
        (
            Form(_biases(4), beside=(("weight_hh{tag}", "4H H"),)),
            Form(_biases(4), beside=(("weight_hh{tag}", "4H P"), ("weight_hr{tag}", "P H"))),
        ),
        formulas.lstm_gate, None, gates=_STATES,
    ),
    Family(
        "gru", "softplus(-bias of z)", (Form(_biases(3), beside=(("weight_hh{tag}", "3H H"),)),),
        formulas.gru_gate, None, gates=_STATES,
    ),
)  # fmt: skip
