"""Watching a PyTorch run: it is not changed, what is watched is found, and what cannot be reported is said."""

from __future__ import annotations

import copy
import pickle
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


class Bare(torch.nn.LSTM):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return super().forward(x)[0]


class Odd(torch.nn.LSTM):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return super().forward(x)[0][-1]


class OddCell(torch.nn.GRUCell):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        h = super().forward(x)
        return h, h


class Looped(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.GRUCell(3, 4)

    def forward(self, x: Any) -> Any:
        h = None
        for one in x:
            h = self.cell(one, h)
        return h


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
    assert "weight gradients differ from PyTorch's" in watch.trace(tolerance=1e-12).notes[0]


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
        (
            lambda: torch.nn.GRU(2, 2),
            lambda watch: watch.model(torch.ones(3, 1, 2)),
            r"no gradient reached a recurrent layer: call loss\.backward\(\) inside",
        ),
        (
            lambda: torch.nn.GRU(2, 2).requires_grad_(False),
            lambda watch: watch.model(torch.ones(3, 1, 2)),
            r"no gradient reached gru, because its weights are frozen and its input needs none.*requires_grad_\(\)",
        ),
        (
            lambda: torch.nn.GRU(2, 2),
            lambda watch: torch.no_grad()(watch.model)(torch.ones(3, 1, 2)),
            r"because the forward pass ran under torch\.no_grad\(\)",
        ),
        (
            lambda: Odd(2, 3),
            lambda watch: watch.model(torch.ones(3, 1, 2)),
            r"a call of odd could not be watched: .* returned a tensor of shape \(1, 3\) and no state",
        ),
        (
            lambda: OddCell(2, 3),
            lambda watch: watch.model(torch.ones(1, 2)),
            "a call of oddcell could not be watched: .* its forward returned tuple, not what GRUCell returns",
        ),
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
        (model["two"](torch.randn(6, 2, 3))[0].sum() + hidden.sum()).backward()
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


def test_a_subclass_that_returns_its_output_alone() -> None:
    torch.manual_seed(0)
    bare, layer = Bare(3, 4).double(), torch.nn.LSTM(3, 4).double()
    layer.load_state_dict(bare.state_dict())
    x = torch.randn(6, 2, 3).double()
    traces = []
    for module in (bare, layer):
        with rnngraph.torch.watch(module) as watch:
            output = module(x)
            (output if module is bare else output[0]).square().sum().backward()
        traces.append(watch.trace(tolerance=1e-12))
    for one, other in zip(traces[0].states, traces[1].states, strict=True):
        np.testing.assert_allclose(one.grad.value, other.grad.value, rtol=1e-12)


def test_calls_are_counted_whether_a_gradient_reached_them_or_not() -> None:
    layer = torch.nn.GRU(3, 4)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.randn(2, 1, 3))
        with torch.no_grad():
            layer(torch.randn(3, 1, 3))
        layer(torch.randn(4, 1, 3))[0].sum().backward()
        layer(torch.randn(5, 1, 3))[0].sum().backward()
    with pytest.raises(InputError, match=r"called 2 times .*trace\(call=2\) to trace\(call=3\)"):
        watch.trace()
    assert [watch.trace(call=call).timesteps for call in (2, 3, -1)] == [4, 5, 5]
    with pytest.raises(InputError, match="no gradient reached call 1 of gru; pick one that it reached: 2, 3"):
        watch.trace(call=1)
    with pytest.raises(InputError, match="call is 4; gru was called 4 times, 0 to 3"):
        watch.trace(call=4)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # PyTorch's own, while it compiles
def test_a_model_that_was_compiled_before_the_watch() -> None:
    compiled = torch.compile(Looped(), backend="eager")
    x = torch.randn(5, 2, 3)
    compiled(x).sum().backward()
    with rnngraph.torch.watch(compiled) as watch:
        compiled(x).sum().backward()
    with pytest.raises(InputError, match=r"torch\.compile compiled before .* torch\.compiler\.reset\(\) before"):
        watch.trace()
    torch.compiler.reset()
    with rnngraph.torch.watch(compiled) as watch:
        compiled(x).sum().backward()
    assert watch.trace().timesteps == 5
    compiled(x)  # what was compiled inside may go on calling the hooks
    assert watch.trace().timesteps == 5


@pytest.mark.parametrize("steps", [None, "scores"])
def test_a_model_can_be_saved_and_copied_inside_the_block(tmp_path: Any, steps: str | None) -> None:
    model = Model()
    with rnngraph.torch.watch(model, steps=steps) as watch:
        torch.save(model, tmp_path / "model.pt")
        pickled = pickle.loads(pickle.dumps(model))
        deep, shallow = copy.deepcopy(model), copy.copy(model.encoder)
        expected = run(model)
        number = len(calls_of(watch))
        for other in (pickled, deep):
            run(other)
        shallow(torch.ones(1, 2, 4))
        assert len(calls_of(watch)) == number
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    for other in (loaded, pickled, deep):
        assert all(torch.equal(one, two) for one, two in zip(run(other), expected, strict=True))
    assert len(calls_of(watch)) == number


def calls_of(watch: Any) -> list[Any]:
    return list(watch._hooks.values if watch._recorder is None else watch._recorder.calls)


def test_a_saved_model_needs_no_rnngraph(tmp_path: Any) -> None:
    layer = torch.nn.GRU(2, 3)
    with rnngraph.torch.watch(layer):
        torch.save(layer, tmp_path / "model.pt")
    code = (
        "import sys, torch; sys.modules['rnngraph'] = None; "
        f"layer = torch.load({str(tmp_path / 'model.pt')!r}, weights_only=False); layer(torch.ones(2, 1, 2))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_input_of_nan_is_not_called_equal() -> None:
    layer = torch.nn.RNN(2, 3)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.full((4, 1, 2), float("nan")))[0].sum().backward()
    assert "could not be compared" in watch.trace().notes[0]
    assert "e+00" not in watch.trace().notes[0]


def test_the_model_itself_is_named_where_there_is_no_module_in_it() -> None:
    with pytest.raises(InputError, match="no module 'nope'; it has only itself, a LSTM"):
        rnngraph.torch.watch(torch.nn.LSTM(4, 6), steps="nope")


def test_an_option_that_does_not_exist_is_named() -> None:
    layer = torch.nn.GRU(2, 3)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.ones(3, 1, 2))[0].sum().backward()
    with pytest.raises(InputError, match="a trace has no option 'lagz'; it takes layer, call"):
        watch.trace(lagz=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"call": "a"}, "call is 'a'; pass a whole number"),
        ({"call": 0.0}, "call is 0.0; pass a whole number"),
        ({"call": False}, "call is False; pass a whole number"),
        ({"labels": 5}, "labels is 5; pass a list"),
        ({"tolerance": "x"}, "tolerance is 'x'; pass a number of at least 0"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"tolerance": -1.0}, r"tolerance is -1\.0"),
    ],
)
def test_an_option_of_another_kind_is_named(options: dict[str, Any], message: str) -> None:
    layer = torch.nn.GRU(2, 3)
    with rnngraph.torch.watch(layer) as watch:
        layer(torch.ones(3, 1, 2))[0].sum().backward()
    with pytest.raises(InputError, match=message):
        watch.trace(**options)
    assert watch.trace(tolerance=np.float64(1e-3)).timesteps == 3


@pytest.mark.parametrize("steps", [None, "0"])
def test_a_transform_of_torch_func_is_named(steps: str | None) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3) if steps else torch.nn.GRU(2, 3))

    def loss(weights: Any, x: Any) -> Any:
        returned = torch.func.functional_call(model, weights, (x,))
        return (returned if steps else returned[0]).sum()

    with rnngraph.torch.watch(model, steps=steps) as watch:
        found = torch.func.grad(loss)(dict(model.named_parameters()), torch.ones(3, 1, 2))
    assert all(gradient.shape == dict(model.named_parameters())[name].shape for name, gradient in found.items())
    with pytest.raises(InputError, match=r"a call of 0 was made under a transform of torch\.func"):
        watch.trace()
