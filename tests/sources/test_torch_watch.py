"""Watching a PyTorch run: it is not changed, what is watched is found, and what cannot be reported is said."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError

torch = pytest.importorskip("torch")


class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Embedding, a stacked LSTM with dropout, scores."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(11, 4)
        self.encoder = torch.nn.LSTM(4, 6, 2, batch_first=True, dropout=0.3, bidirectional=True)
        self.scores = torch.nn.Linear(12, 11)

    def forward(self, tokens: Any) -> Any:
        return self.scores(self.encoder(self.embedding(tokens))[0])


def run(model: Any, seed: int = 0) -> list[Any]:
    """One forward and backward; gives the gradients."""
    torch.manual_seed(seed)
    tokens = torch.randint(0, 11, (3, 8))
    torch.nn.functional.cross_entropy(model(tokens).transpose(1, 2), tokens).backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    return gradients


def hooks_of(model: Any) -> int:
    modules = sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())
    return modules + sum(len(one._backward_hooks or ()) for one in model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_run_is_the_same_to_the_bit(dtype: str) -> None:
    model = Model().to(getattr(torch, dtype))
    plain = run(model)
    with rnngraph.torch.watch(model) as watch:
        watched = run(model)
        state = torch.get_rng_state()
    run_again = run(model)
    assert all(torch.equal(one, other) for one, other in zip(plain, watched, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(plain, run_again, strict=True))
    assert torch.equal(state, torch.get_rng_state())  # drawing the masks again used no randomness of the run
    assert watch.trace().states[0].name == "encoder.h"


def test_hooks_are_removed_also_after_an_exception() -> None:
    model = Model()
    seen = []

    def stopped() -> None:
        with rnngraph.torch.watch(model):
            run(model)
            seen.append(hooks_of(model))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert seen[0] > 0
    assert hooks_of(model) == 0


def test_a_compiled_model_is_looked_through() -> None:
    model = Model()
    model.encoder.dropout = 0.0
    compiled = torch.compile(model, backend="eager")
    plain = run(compiled)
    with rnngraph.torch.watch(compiled) as watch:
        watched = run(compiled)
    assert all(torch.equal(one, other) for one, other in zip(plain, watched, strict=True))
    assert len(watch.trace().states) == 8


def test_a_distributed_model_is_looked_through(tmp_path: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        model = torch.nn.parallel.DistributedDataParallel(Model())
        with rnngraph.torch.watch(model) as watch:
            run(model)
        assert watch.trace().states[0].name == "encoder.h"
        every = rnngraph.torch.watch(model).every(1, tmp_path / "traces", ranks="all")
        with every:
            run(model)
        assert [path.name for path in every.files] == ["step_00000000_rank0.npz"]
    finally:
        torch.distributed.destroy_process_group()


def test_weights_are_those_of_the_call_although_an_optimiser_steps() -> None:
    layer = torch.nn.GRU(3, 4).double()
    optimiser = torch.optim.SGD(layer.parameters(), lr=10.0)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.randn(5, 2, 3).double())[0].square().sum().backward()
        optimiser.step()
    watch.trace(tolerance=1e-12)  # would differ with the weights of now


def test_two_backward_passes_add_up_as_grad_does() -> None:
    layer = torch.nn.GRU(3, 4).double()
    x = torch.randn(5, 2, 3).double()
    with rnngraph.torch.watch(layer) as once:
        output = layer(x)[0]
        (output.sum() + output[-1].square().sum()).backward()
    with rnngraph.torch.watch(layer) as twice:
        output = layer(x)[0]
        output.sum().backward(retain_graph=True)
        output[-1].square().sum().backward()
    one, two = once.trace(tolerance=1e-12), twice.trace(tolerance=1e-12)
    np.testing.assert_allclose(one.states[0].grad.value, two.states[0].grad.value, rtol=1e-12)


def test_frozen_weights_are_traced_and_the_others_compared() -> None:
    layer = torch.nn.LSTM(3, 4).double()
    layer.weight_hh_l0.requires_grad_(False)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.randn(5, 2, 3).double())[0].square().sum().backward()
    assert "weight gradients from PyTorch's" in watch.trace(tolerance=1e-12).notes[0]


def test_a_loss_term_on_the_weights_is_noticed() -> None:
    layer = torch.nn.RNN(3, 4)
    with rnngraph.torch.watch(layer) as watch:
        output, _ = layer(torch.randn(5, 2, 3))
        (output.sum() + 100 * layer.weight_hh_l0.square().sum()).backward()
    with pytest.raises(InputError, match=r"differ by .* weight gradients, most in rnn.Wh .*not reported"):
        watch.trace()
    assert watch.trace(tolerance=float("inf")).states


@pytest.mark.parametrize(
    ("kind", "names"), [("RNN", "Wx Wh b"), ("LSTM", "Wx Wh b Wr"), ("GRU", "Wx Wh b bh"), ("GRUCell", "Wx Wh b bh")]
)
def test_every_weight_is_compared(kind: str, names: str) -> None:
    layer = getattr(torch.nn, kind)(3, 4, **({"proj_size": 2} if kind == "LSTM" else {}))
    layer.double()
    for name in names.split():
        with rnngraph.torch.watch(layer) as watch:
            returned = layer(torch.randn(5, 3, dtype=torch.float64))
            (returned if kind == "GRUCell" else returned[0]).square().sum().backward()
        assert watch._recorder is not None
        grads = watch._recorder.weight_grads[kind.lower()]
        torch_name = {"Wx": "weight_ih", "Wh": "weight_hh", "b": "bias_ih", "bh": "bias_hh", "Wr": "weight_hr"}[name]
        grads[next(key for key in grads if key.startswith(torch_name))][0] += 1.0
        with pytest.raises(InputError, match=rf"most in {kind.lower()}\.{name} "):
            watch.trace(tolerance=1e-9)


def test_a_run_never_fails_because_it_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnngraph.sources.torch import capture as torch_capture

    monkeypatch.setattr(torch_capture, "Layout", None)
    layer = torch.nn.GRU(2, 3)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.randn(4, 1, 2))[0].sum().backward()
    assert layer.weight_hh_l0.grad is not None
    with pytest.raises(InputError, match="the run went on, but a call of gru could not be watched: TypeError"):
        watch.trace()


def test_overflow_is_traced_and_not_refused() -> None:
    layer = torch.nn.RNN(2, 3, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_hh_l0.copy_(3.0 * torch.eye(3))
    with rnngraph.torch.watch(layer) as watch:
        output, _ = layer(torch.rand(120, 1, 2))
        output[-1].square().sum().backward()
    trace = watch.trace()
    assert trace.states[0].nonfinite.sum() > 0


@pytest.mark.parametrize(
    ("model", "action", "message"),
    [
        (lambda: torch.nn.Linear(2, 2), lambda watch: None, r"Linear holds no nn\.RNN"),
        (lambda: "model", lambda watch: None, r"watch got a str; pass a torch\.nn\.Module"),
        (lambda: torch.nn.GRU(2, 2), lambda watch: None, "no recurrent layer was called inside the watch"),
        (lambda: torch.nn.GRU(2, 2), lambda watch: watch.model(torch.ones(3, 1, 2)), "no gradient reached"),
    ],
)
def test_one_clear_sentence(model: Any, action: Any, message: str) -> None:
    def watched() -> None:
        with rnngraph.torch.watch(model()) as watch:
            action(watch)
        watch.trace()

    with pytest.raises(InputError, match=message):
        watched()


def test_several_layers() -> None:
    model = torch.nn.ModuleDict({"one": torch.nn.GRU(2, 3), "two": torch.nn.RNN(3, 4), "three": torch.nn.RNN(3, 4)})
    with rnngraph.torch.watch(model) as watch:
        hidden, last = model["one"](torch.randn(6, 2, 2))
        model["two"](hidden)[0].sum().backward(retain_graph=True)
    trace = watch.trace()  # layers of the same batch and steps come together
    assert [state.name for state in trace.states] == ["one.h", "two.h"]
    assert "walked one by one" in trace.notes[-1]
    with rnngraph.torch.watch(model) as watch:
        hidden, last = model["one"](torch.randn(6, 2, 2))
        model["three"](last)[0].sum().backward()
    with pytest.raises(InputError, match=r"differ in batch or steps: one \(2 x 6 steps\), three \(2 x 1 steps\)"):
        watch.trace()
    assert [state.name for state in watch.trace("one").states] == ["one.h"]
    with pytest.raises(InputError, match="no watched layer with a gradient is called 'two'; there is one, three"):
        watch.trace("two")


def test_labels_and_options_of_record() -> None:
    layer = torch.nn.RNN(2, 3)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.randn(3, 1, 2))[0].sum().backward()
    trace = watch.trace(labels=["a", "b", "c"], source="here")
    assert (trace.labels, trace.source) == (("a", "b", "c"), "here")


def test_importing_rnngraph_does_not_import_torch() -> None:
    code = "import sys, rnngraph; rnngraph.torch; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(rnngraph.errors.MissingToolError, match=r"pip install 'rnngraph\[torch\]'"):
        rnngraph.torch.watch(object())
