"""A running batch: gates against what the library's own kernels were given, credit against closed forms, Jacobians."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.render.report.decay.decay_report import summary_of

torch = pytest.importorskip("torch")

HALF_LIFE = 6.0  # steps
STEPS, HEADS = 24, 3


class Scan(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A scalar-gated recurrence by head, written out step by step; the gate's input is in the last columns."""

    def __init__(self, *, gated: float = 0.0) -> None:
        super().__init__()
        self.A_log = torch.nn.Parameter(torch.zeros(HEADS, dtype=torch.float64))
        step = math.log(2) / HALF_LIFE
        self.dt_bias = torch.nn.Parameter(torch.full((HEADS,), math.log(math.expm1(step)), dtype=torch.float64))
        self.in_proj = torch.nn.Linear(HEADS, 2 * HEADS, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.in_proj.weight.copy_(torch.cat([torch.eye(HEADS), gated * torch.ones(HEADS, HEADS)]))

    def forward(self, hidden_states: Any) -> Any:
        u, a = self.in_proj(hidden_states).chunk(2, dim=-1)
        decay = torch.exp(-self.A_log.exp() * torch.nn.functional.softplus(a + self.dt_bias))
        state, out = torch.zeros_like(u[:, 0]), []
        for t in range(u.shape[1]):
            state = decay[:, t] * state + u[:, t]
            out.append(state)
        return torch.stack(out, dim=1)


CONFIG = {"model_type": "mamba2"}


def live(module: Any, batch: Any, **options: Any) -> Any:
    """Give the only layer."""
    (layer,) = rg.decay(module, config=options.pop("config", CONFIG), batch=batch, **options).layers
    return layer


def batch(samples: int = 2) -> Any:
    return torch.randn(samples, STEPS, HEADS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_with_a_constant_gate_the_credit_halves_as_the_weights_say() -> None:
    layer = live(torch.nn.Sequential(Scan()), batch())
    assert layer.name == "0"
    np.testing.assert_allclose(layer.live.half_lives, [HALF_LIFE] * HEADS, rtol=1e-12)
    credit = summary_of(layer)
    assert credit is not None
    lags = np.arange(1, STEPS)
    np.testing.assert_allclose(credit.curve.median[: STEPS - 1], -lags * math.log(2) / HALF_LIFE, atol=1e-9)
    assert credit.half_life == pytest.approx(HALF_LIFE)
    assert (credit.reach, credit.whole) == (STEPS - 1, True)


def test_the_gate_on_a_batch_is_the_mean_rate() -> None:
    x = batch()
    layer = live(Scan(gated=1.0), x)
    sums = x.sum(dim=-1).numpy() + math.log(math.expm1(math.log(2) / HALF_LIFE))
    np.testing.assert_allclose(layer.live.half_lives, [math.log(2) / np.log1p(np.exp(sums)).mean()] * HEADS, rtol=1e-12)
    np.testing.assert_allclose(layer.half_lives, [HALF_LIFE] * HEADS, rtol=1e-12)


def test_the_credit_is_that_of_the_layer_and_its_own_losses() -> None:
    """The gradient that reaches the output is masked to a step and pulled back: as with the whole Jacobian."""
    torch.manual_seed(0)
    scan, head = Scan(gated=0.5), torch.nn.Linear(HEADS, 4, dtype=torch.float64)
    x = batch()
    lags = live(torch.nn.Sequential(scan, head), x, loss="every").live.credit
    jacobian = torch.autograd.functional.jacobian(scan, x)  # (N, T, H, N, T, H)
    reaching = head(scan(x)) @ head.weight
    for row, step in enumerate(lags.losses):
        pulled = torch.einsum("nh,nhmtd->mtd", reaching[:, step], jacobian[:, step])
        norms = pulled.norm(dim=-1).detach().numpy()[:, : step + 1]
        np.testing.assert_allclose(np.exp(lags.log[:, row, 1 : step + 2]), norms, rtol=1e-9)
        assert np.isnan(lags.log[:, row, step + 2 :]).all()


def test_nothing_is_left_on_the_model() -> None:
    model = torch.nn.Sequential(Scan())
    with torch.no_grad():
        live(model, batch())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(not one._forward_hooks and not one._forward_pre_hooks for one in model.modules())


def test_frozen_weights_carry_credit_too() -> None:
    scan = Scan()
    scan.requires_grad_(False)
    head = torch.nn.Linear(HEADS, 1, dtype=torch.float64)
    credit = summary_of(live(torch.nn.Sequential(scan, head), batch()))
    assert credit is not None
    assert credit.half_life == pytest.approx(HALF_LIFE)


def test_a_layer_with_time_first_is_turned() -> None:
    layer = torch.nn.GRU(3, 4)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            value.zero_()
            if name == "weight_ih_l0":
                value[8:] = 1.0
    found = live(layer, torch.ones(STEPS, 2, 3), config=None)
    lags = found.live.credit
    assert lags.log.shape[0] == 2
    credit = summary_of(found)
    assert credit is not None
    assert credit.half_life == pytest.approx(1.0, rel=1e-4)  # gates of ½
    np.testing.assert_allclose(found.live.half_lives, [1.0] * 4)


@pytest.mark.parametrize(
    ("module", "given", "options", "words"),
    [
        (Scan(), batch(), {"loss": "last"}, "the loss is 'last'"),
        ({"m.A_log": np.zeros(2), "m.dt_bias": np.zeros(2)}, batch(), {}, "a batch needs a torch.nn.Module"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(module: Any, given: Any, options: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rg.decay(module, config=CONFIG, batch=given, **options)


class Channels(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Kimi's: a projection of its own, a bias a channel and an A a head."""

    def __init__(self) -> None:
        super().__init__()
        self.A_log = torch.nn.Parameter(torch.linspace(-1, 1, HEADS, dtype=torch.float64).reshape(1, 1, HEADS, 1))
        self.dt_bias = torch.nn.Parameter(torch.linspace(-3, 0, 2 * HEADS, dtype=torch.float64))
        self.f_b_proj = torch.nn.Linear(HEADS, 2 * HEADS, bias=False, dtype=torch.float64)

    def rates(self, x: Any) -> Any:
        step = torch.nn.functional.softplus(self.f_b_proj(x) + self.dt_bias)
        return (step.unflatten(-1, (HEADS, 2)) * self.A_log.exp()).flatten(-2)

    def forward(self, x: Any) -> Any:
        kept = torch.exp(-self.rates(x))
        state, out = torch.zeros_like(kept[:, 0]), []
        for t in range(x.shape[1]):
            state = kept[:, t] * state + x[:, t, :1]
            out.append(state)
        return torch.stack(out, dim=1)


class Normalised(Channels):
    """GLA's: the logarithm of a sigmoid, over 16."""

    def __init__(self) -> None:
        super().__init__()
        del self.A_log, self.dt_bias, self.f_b_proj
        self.gk_proj = torch.nn.Sequential(
            torch.nn.Linear(HEADS, 2, bias=False, dtype=torch.float64), torch.nn.Linear(2, 4, dtype=torch.float64)
        )

    def rates(self, x: Any) -> Any:
        return -torch.nn.functional.logsigmoid(self.gk_proj(x)) / 16


class Ring(Channels):
    """Griffin's: a gate of its input, block by block."""

    def __init__(self) -> None:
        super().__init__()
        del self.A_log, self.dt_bias, self.f_b_proj
        self.recurrent_param = torch.nn.Parameter(torch.linspace(-4, 0, HEADS, dtype=torch.float64))
        self.recurrent_gate_weight = torch.nn.Parameter(torch.randn(HEADS, 1, 1, dtype=torch.float64))
        self.recurrent_gate_bias = torch.nn.Parameter(torch.randn(HEADS, 1, dtype=torch.float64))

    def rates(self, x: Any) -> Any:
        gate = torch.sigmoid(x * self.recurrent_gate_weight.flatten() + self.recurrent_gate_bias.flatten())
        return 8 * gate * torch.nn.functional.softplus(self.recurrent_param)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Channels, {"model_type": "kimi_linear"}),
        (Normalised, {"model_type": "gla"}),
        (Ring, {"model_type": "recurrent_gemma"}),
    ],
)
def test_the_gates_of_other_families_are_what_the_module_computes(kind: Any, config: dict[str, str]) -> None:
    torch.manual_seed(0)
    module, x = kind(), batch()
    layer = live(torch.nn.Sequential(module), x, config=config)
    half_lives = math.log(2) / module.rates(x).mean(dim=(0, 1)).detach().numpy()
    np.testing.assert_allclose(layer.live.half_lives.ravel(), half_lives, rtol=1e-9)
    assert np.abs(layer.live.half_lives / layer.half_lives - 1).max() > 0.01


def test_what_every_step_keeps_alike_is_the_same_on_a_batch() -> None:
    class Steady(Channels):
        def __init__(self) -> None:
            super().__init__()
            del self.A_log, self.dt_bias, self.f_b_proj
            self.nu_log = torch.nn.Parameter(torch.linspace(-3, 0, HEADS, dtype=torch.float64))

        def rates(self, x: Any) -> Any:
            return self.nu_log.exp() + 0 * x

    layer = live(torch.nn.Sequential(Steady()), batch(), config=None)
    np.testing.assert_array_equal(layer.live.half_lives, layer.half_lives)
    np.testing.assert_allclose(layer.half_lives, math.log(2) / np.exp(np.linspace(-3, 0, HEADS)))


def test_a_layer_that_is_called_twice_says_whose_credit_it_is() -> None:
    scan = Scan()

    class Twice(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.scan = scan

        def forward(self, x: Any) -> Any:
            return self.scan(self.scan(x))

    layer = live(Twice(), batch())
    assert "the layer was called 2 times; the credit is that of the first call" in layer.live.notes


@pytest.fixture
def quiet() -> Iterator[None]:
    pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


TOKENS = torch.randint(0, 20, (2, 12), generator=torch.Generator().manual_seed(0))
DELTA = {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "layer_types": ["linear_attention"]}
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "Mamba": ("mamba", {"state_size": 4}, "mamba_selective_scan"),
    "Jamba": (
        "jamba",
        {"mamba_d_state": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 1, "intermediate_size": 16,
         "num_attention_heads": 2, "num_key_value_heads": 2},
        "mamba_selective_scan",
    ),
    "Mamba2": (
        "mamba2",
        {"num_heads": 8, "head_dim": 8, "state_size": 4, "n_groups": 1, "chunk_size": 8},
        "mamba2_chunk_scan",
    ),
    "Qwen3Next": (
        "qwen3_next",
        {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "num_experts": 2, "num_experts_per_tok": 1,
         "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8, "num_attention_heads": 2,
         "num_key_value_heads": 2, "head_dim": 16, **DELTA},
        "torch_chunk_gated_delta_rule",
    ),
}  # fmt: skip


def rates_of(name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Compute the mean rates from what a kernel was given."""
    softplus = torch.nn.functional.softplus
    if name == "mamba_selective_scan":
        step = softplus(arguments[1] + keywords["delta_bias"].detach()[:, None])  # (N, D, T)
        return torch.einsum("ndt,ds->ds", step, -arguments[2]) / step.shape[0] / step.shape[2]
    if name == "mamba2_chunk_scan":
        return (softplus(arguments[1] + keywords["dt_bias"]) * -arguments[2]).mean(dim=(0, 1))
    return -keywords["g"].mean(dim=(0, 1))


@pytest.mark.parametrize("name", MODELS)
def test_the_gates_are_what_the_kernel_was_given(name: str, quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    package, options, kernel = MODELS[name]
    module = import_module(f"transformers.models.{package}.modeling_{package}")
    configuration = import_module(f"transformers.models.{package}.configuration_{package}")
    torch.manual_seed(0)
    config = getattr(configuration, f"{name}Config")(
        hidden_size=32, num_hidden_layers=1, vocab_size=20, pad_token_id=0, **options
    )
    model = getattr(module, f"{name}ForCausalLM")(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if weight.ndim > 1 and weight.shape[0] != 20 and "bias" not in key and "A_log" not in key:
                weight.mul_(8)  # so that the gates differ from what they are at zero input
    seen: list[Any] = []
    run = getattr(module, kernel)

    def spy(*arguments: Any, **keywords: Any) -> Any:
        seen.append(rates_of(kernel, arguments, keywords))
        return run(*arguments, **keywords)

    monkeypatch.setattr(module, kernel, spy)
    layer = live(model, {"input_ids": TOKENS, "labels": TOKENS, "use_cache": False}, config=None)
    half_lives = math.log(2) / seen[0].detach().double().numpy()
    np.testing.assert_allclose(layer.live.half_lives, half_lives, rtol=1e-4)
    assert np.abs(layer.live.half_lives / layer.half_lives - 1).max() > 0.01
    credit = summary_of(layer)
    assert credit is not None
    assert credit.sums.longest == TOKENS.shape[1] - 2  # the last token has no loss


def by_hand(module: Any, x: Any, tag: str, states: Any, keeps: int) -> tuple[list[float], list[Any]]:
    """Walk one direction of one layer step by step, and give ln 2 over the mean of -ln of the gate that keeps."""
    lstm = isinstance(module, torch.nn.LSTM)
    cell = (torch.nn.LSTMCell if lstm else torch.nn.GRUCell)(x.shape[2], module.hidden_size, dtype=torch.float64)
    cell.load_state_dict({f"{name}": getattr(module, f"{name}{tag}") for name in cell.state_dict()})
    rates, found = [], []
    for t in reversed(range(x.shape[1])) if tag.endswith("reverse") else range(x.shape[1]):
        h = states[0] if lstm else states
        sums = cell.weight_ih @ x[:, t].T + cell.weight_hh @ h.T + (cell.bias_ih + cell.bias_hh)[:, None]
        kept = sums[keeps * module.hidden_size : (keeps + 1) * module.hidden_size]
        rates.append(torch.nn.functional.softplus(-kept).T)
        states = cell(x[:, t], states)
        found.append(states[0] if lstm else states)
    return list((math.log(2) / torch.stack(rates).mean(dim=(0, 1))).detach().numpy()), found


def on_batch(layer: Any) -> Any:
    return layer.live.half_lives


def test_packed_sequences_show_no_gates() -> None:
    class Packed(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.gru = torch.nn.GRU(3, 4, batch_first=True, dtype=torch.float64)

        def forward(self, x: Any) -> Any:
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, [STEPS, 5], batch_first=True)
            return torch.nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)[0]

    layer = live(Packed(), batch(), config=None)
    assert layer.live.half_lives is None


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_gates_of_a_fused_layer_start_from_the_states_that_it_is_given(kind: str) -> None:
    torch.manual_seed(3)
    start = torch.randn(2, 2, 4, dtype=torch.float64)  # of the two layers

    class Given(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(3, 4, 2, batch_first=True, dtype=torch.float64)

        def forward(self, x: Any) -> Any:
            return self.rnn(x, (start, 2 * start) if kind == "LSTM" else start)[0]

    model, below = Given(), batch()
    for layer, name in zip(rg.decay(model, batch=below).layers, ("_l0", "_l1"), strict=True):
        first = start[int(name[-1])]
        expected, states = by_hand(model.rnn, below, name, (first, 2 * first) if kind == "LSTM" else first, 1)
        np.testing.assert_allclose(on_batch(layer), expected, rtol=1e-9)
        below = torch.stack(states, 1).detach()


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_gates_of_a_fused_layer_are_those_of_its_cells(kind: str) -> None:
    torch.manual_seed(1)
    module = getattr(torch.nn, kind)(3, 4, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
    x = 2 * batch()
    layers = {layer.name: layer for layer in rg.decay(torch.nn.Sequential(module), batch=x).layers}
    zero = torch.zeros(2, 4, dtype=torch.float64)
    start = (zero, zero) if kind == "LSTM" else zero
    outputs = []
    for tag in ("_l0", "_l0_reverse"):
        expected, states = by_hand(module, x, tag, start, 1)
        outputs.append(torch.stack(states[::-1] if tag.endswith("reverse") else states, 1))
        np.testing.assert_allclose(on_batch(layers[f"0{tag}"]), expected, rtol=1e-9)
    above = torch.cat(outputs, -1).detach()
    for tag in ("_l1", "_l1_reverse"):
        expected, _ = by_hand(module, above, tag, start, 1)
        np.testing.assert_allclose(on_batch(layers[f"0{tag}"]), expected, rtol=1e-9)


def test_the_gates_of_a_cell_in_a_loop_are_seen() -> None:
    class Loop(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.GRUCell(3, 4, dtype=torch.float64)

        def forward(self, x: Any) -> Any:
            h = x.new_zeros(len(x), 4)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return h

    torch.manual_seed(2)
    model, x = Loop(), batch()
    module = torch.nn.GRU(3, 4, dtype=torch.float64)
    module.load_state_dict({f"{name}_l0": value for name, value in model.cell.state_dict().items()})
    expected, _ = by_hand(module, x, "_l0", torch.zeros(2, 4, dtype=torch.float64), 1)
    np.testing.assert_allclose(live(model, x, config=None).live.half_lives, expected, rtol=1e-9)


def test_dropped_units_between_layers_are_said() -> None:
    module = torch.nn.LSTM(3, 4, 2, batch_first=True, dropout=0.5, dtype=torch.float64)
    layers = rg.decay(module, batch=batch()).layers
    assert on_batch(layers[0]) is not None
    assert on_batch(layers[1]) is None
    assert "units are dropped" in str(layers[1].live)
