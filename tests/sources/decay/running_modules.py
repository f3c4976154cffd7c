"""Small modules of the installed `transformers` and of PyTorch, and what their state does after an impulse.

A row runs a layer on an impulse and zeros, and gives the state in true scale: natural logarithms of its absolute
values, (heads or channels, ...). Nothing here knows a formula of the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import torch

WIDTH = 32
HYBRID = {
    "mamba_d_state": 4, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8,
    "num_attention_heads": 2, "num_key_value_heads": 2,
}  # fmt: skip
DELTA = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "layer_types": ["linear_attention"],
}  # fmt: skip
KIMI = {"linear_num_heads": 4, "linear_head_dim": 8, "layer_types": ["linear_attention"]}


@dataclass(frozen=True, slots=True)
class Running:
    """A layer, the family that it must be read as, and how its state is had: `state(layer, config, steps)`."""

    family: str
    package: str  # of transformers.models, or nothing for PyTorch itself
    config: str
    layer: str
    options: dict[str, Any] = field(default_factory=dict)
    state: Callable[[Any, Any, int], Any] | None = None

    @property
    def name(self) -> str:
        """Name the row."""
        return f"{self.family}-{self.package or 'torch'}"


def impulse(steps: int, width: int = WIDTH) -> torch.Tensor:
    """Make an impulse at the first step and zeros behind it, (1, steps, width)."""
    x = torch.zeros(1, steps, width)
    x[0, 0] = torch.randn(width, generator=torch.Generator().manual_seed(1))
    return x


def cached(layer: Any, config: Any, steps: int) -> Any:
    """Run a layer that leaves its state in a cache."""
    cache = import_module("transformers").DynamicCache(config=config)
    layer(impulse(steps), cache=cache)
    return cache.get_recurrent_state(0, 0)[0]


def logarithm(state: Any) -> Any:
    """Take the natural logarithm of absolute values in float64."""
    return np.log(np.abs(state.detach().double().numpy()))


def griffin(layer: Any, config: Any, steps: int) -> Any:
    """Run an RG-LRU, which keeps its state itself."""
    layer.recurrent_states = None
    layer(impulse(steps, config.lru_width), torch.arange(steps)[None])
    return logarithm(layer.recurrent_states[0])


def rwkv(layer: Any, config: Any, steps: int) -> Any:
    """Run RWKV-4's attention, whose numerator has a scale of its own."""
    state = [torch.zeros(1, WIDTH, 1) for _ in range(5)]
    state[4] -= 1e30
    _, state = layer(impulse(steps), state=state, use_cache=True)
    return logarithm(state[2][0, :, 0]) + state[4][0, :, 0].double().numpy()


def mlstm(layer: Any, config: Any, steps: int) -> Any:
    """Run an mLSTM, whose matrix has a scale of its own."""
    _, (matrix, _, scale) = layer(impulse(steps), None)
    return logarithm(matrix[0]) + scale[0].double().numpy().reshape(-1, 1, 1)


def lstm(layer: Any, config: Any, steps: int) -> Any:
    """Run an LSTM with no way back but its cell; the candidate at zero input is 0."""
    _, (_, cell) = layer(impulse(steps, layer.input_size))
    return logarithm(cell[0, 0])


def gru(layer: Any, config: Any, steps: int) -> Any:
    """Run a GRU likewise."""
    return logarithm(layer(impulse(steps, layer.input_size))[1][0, 0])


ROWS = (
    Running("mamba-1", "mamba", "MambaConfig", "MambaMixer", {"state_size": 4}),
    Running(
        "mamba-1", "jamba", "JambaConfig", "JambaMambaMixer",
        {"mamba_d_state": 4, "attn_layer_period": 2, "attn_layer_offset": 1},
    ),
    Running(
        "mamba-2", "mamba2", "Mamba2Config", "Mamba2Mixer",
        {"num_heads": 8, "head_dim": 8, "state_size": 4, "n_groups": 1, "chunk_size": 8},
    ),
    Running(
        "mamba-2", "zamba2", "Zamba2Config", "Zamba2MambaMixer",
        {
            "mamba_d_state": 4, "n_mamba_heads": 8, "mamba_headdim": 8, "mamba_ngroups": 1, "mamba_expand": 2,
            "chunk_size": 8, "num_attention_heads": 2, "layers_block_type": ["mamba"], "time_step_min": 0.3,
        },
    ),
    Running(
        "mamba-2", "nemotron_h", "NemotronHConfig", "NemotronHMamba2Mixer",
        {
            "ssm_state_size": 4, "mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 1, "chunk_size": 8,
            "layers_block_type": ["mamba"], "time_step_min": 0.3,
        },
    ),
    Running("mamba-2", "bamba", "BambaConfig", "BambaMixer", {**HYBRID, "time_step_limit": (0.0, 0.5)}),
    Running(
        "mamba-2", "granitemoehybrid", "GraniteMoeHybridConfig", "GraniteMoeHybridMambaLayer",
        {**HYBRID, "layer_types": ["mamba"]},
    ),
    Running("gated-deltanet", "qwen3_next", "Qwen3NextConfig", "Qwen3NextGatedDeltaNet", DELTA),
    Running("gated-deltanet", "qwen3_5", "Qwen3_5TextConfig", "Qwen3_5GatedDeltaNet", DELTA),
    Running("kda", "kimi_linear", "KimiLinearConfig", "KimiLinearDeltaAttention", {**KIMI, "num_attention_heads": 2}),
    Running("kda-bounded", "bailing_hybrid", "BailingHybridConfig", "BailingHybridDeltaAttention", KIMI),
    Running("kda-bounded", "glm5_next", "Glm5NextTextConfig", "Glm5NextTextLinearAttention", KIMI),
    Running(
        "rg-lru", "recurrent_gemma", "RecurrentGemmaConfig", "RecurrentGemmaRglru",
        {"lru_width": 24, "num_attention_heads": 4}, griffin,
    ),
    Running("rwkv-4", "rwkv", "RwkvConfig", "RwkvSelfAttention", {"attention_hidden_size": WIDTH}, rwkv),
    Running(
        "mlstm", "xlstm", "xLSTMConfig", "xLSTMLayer",
        {"num_heads": 4, "num_blocks": 1, "autocast_kernel_dtype": "float32", "gate_soft_cap": 1.5}, mlstm,
    ),
    Running("lstm", "", "", "LSTM", {}, lstm),
    Running("gru", "", "", "GRU", {}, gru),
)  # fmt: skip


def built(row: Running) -> tuple[Any, Any]:
    """Make the layer with weights at random and decays that are neither short nor long; give it and its config."""
    torch.manual_seed(0)
    if not row.package:
        layer = getattr(torch.nn, row.layer)(3, 8, batch_first=True).double()
        layer.forward = _double(layer.forward)
        config = None
    else:
        models = f"transformers.models.{row.package}"
        config = getattr(import_module(f"{models}.configuration_{row.package}"), row.config)(
            hidden_size=WIDTH, num_hidden_layers=1, vocab_size=8, **row.options
        )
        layer = _of_transformers(import_module(f"{models}.modeling_{row.package}"), row, config)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            _fill(name, value)
            if row.family == "kda-bounded" and name.endswith("dt_bias"):
                value.uniform_(-3.0, -1.5)  # as slow as the others
    return layer.eval(), config


def _of_transformers(module: Any, row: Running, config: Any) -> Any:
    if row.package == "xlstm":
        return module.xLSTMModel(config).blocks[0].mlstm_layer
    if row.package == "recurrent_gemma":
        return getattr(module, row.layer)(config)
    return getattr(module, row.layer)(config, 0)


def _double(forward: Any) -> Any:
    return lambda x: forward(x.double())


def _fill(name: str, value: torch.Tensor) -> None:
    last = name.rpartition(".")[2]
    if last == "A_log":
        value.copy_(torch.empty_like(value).uniform_(0.3, 1.5).log())
    elif last == "dt_bias" or name.endswith("dt_proj.bias"):
        value.copy_(torch.empty_like(value).uniform_(0.2, 0.9).expm1().log())
    elif last == "time_decay":
        value.uniform_(-2.5, 0.0)
    elif last == "recurrent_param":
        value.uniform_(-4.0, -1.0)
    elif last == "recurrent_gate_bias" or "fgate" in name:
        value.uniform_(-1.0, 1.0) if value.ndim < 2 or "gate_bias" in name else value.normal_(std=0.3)
    elif last.startswith("bias_"):
        _without_candidate(value)
    elif last.startswith("weight_hh"):
        value.zero_()  # the state comes back through its own decay alone
    elif "conv1d.bias" in name:
        value.zero_()  # a bias behind the convolution is an input that never ends
    elif value.ndim > 1 and "conv" not in name and "norm" not in name:
        value.normal_(std=0.3)


def _without_candidate(bias: torch.Tensor) -> None:
    """Draw the biases of PyTorch's cells, the candidate's 0: an LSTM of 8 units has 32, a GRU 24."""
    bias.normal_()
    bias[16:24] = 0.0
