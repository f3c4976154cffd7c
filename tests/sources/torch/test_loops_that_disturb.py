"""What loops do beside a forward and a backward pass: it changes no number, and the watch changes nothing of it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.stepwise import D, H, N, Own, Stepwise, T, data, truth
from tests.sources.torch.truth import Trail, certified, check

torch = pytest.importorskip("torch")
nn = torch.nn


def found(watch: Any, **options: Any) -> Any:
    return watch.trace(**options).states[0].grad.value


def changed_where_it_stands(model: Any) -> None:
    """Write into the weights, and then give them other tensors: the graph looks at the old ones."""
    model.load_state_dict({name: value * 0.5 for name, value in model.state_dict().items()})
    for one in model.parameters():
        one.data = one.data + 1


def assigned(model: Any) -> None:
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)


def retyped(model: Any) -> None:
    model.to(torch.float32).to(torch.float64)


@pytest.mark.parametrize("change", [changed_where_it_stands, assigned, retyped])
def test_weights_that_are_others_afterwards(change: Callable[[Any], None]) -> None:
    model, trail = Stepwise(Own()).double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(data(), trail)
        expected = truth(trail)
        trail.total().backward()
        weight = model.cell.linear.weight.grad.clone()
        change(model)
    now = [one.detach().clone() for one in model.parameters()]
    trace = watch.trace()
    np.testing.assert_allclose(trace.states[0].grad.value, expected, rtol=1e-11)
    named = next(one for one in trace.parameters if one.name == "cell.linear.weight")
    np.testing.assert_allclose(named.grad.value, float(weight.norm()), rtol=1e-11)
    assert named.steps.value.min() > 0
    assert all(torch.equal(a, b) for a, b in zip(now, model.parameters(), strict=True))


@pytest.mark.parametrize("normed", ["batch", "spectral"])
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_a_checkpoint_counts_as_often_as_without(normed: str, reentrant: bool, kept: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    def run(watched: bool) -> list[Any]:
        model = Stepwise(Own())
        model.norm = nn.BatchNorm1d(H) if normed == "batch" else nn.Identity()
        if normed == "spectral":
            nn.utils.parametrizations.spectral_norm(model.cell.linear, "weight")
        model.double()

        def step(x: Any, h: Any) -> Any:
            return nn.functional.dropout(model.norm(model.cell(x, h)), 0.2)

        model.step = lambda x, h: checkpoint(step, x, h, use_reentrant=reentrant, preserve_rng_state=kept)
        trail = Trail()
        with rnngraph.torch.watch(model) if watched else contextlib.nullcontext() as watch:
            model(data(), trail, torch.zeros(N, H).double().requires_grad_())
            trail.total().backward()
        if watch is not None:
            watch.trace()
        return [one.detach().clone() for one in (*model.buffers(), *(p.grad for p in model.parameters()))]

    torch.manual_seed(3)
    plain, random = run(False), torch.get_rng_state()
    torch.manual_seed(3)
    watched = run(True)
    assert torch.equal(random, torch.get_rng_state())
    for one, other in zip(plain, watched, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)


def test_a_reentrant_checkpoint_of_data_alone_learns_nothing_as_without() -> None:
    from torch.utils.checkpoint import checkpoint

    model, trail = Stepwise().double(), Trail()
    model.step = lambda x, h: checkpoint(model.cell, x, h, use_reentrant=True)
    with rnngraph.torch.watch(model), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model(data(), trail)
        trail.total().backward()
    assert any("None of the inputs have requires_grad=True" in str(one.message) for one in said)
    assert model.cell.weight_hh.grad is None
    assert model.head.weight.grad is not None


def test_a_penalty_on_the_weights_is_not_the_layers() -> None:
    rnn, x = nn.LSTM(D, H, 2, bidirectional=True).double(), data()
    with rnngraph.torch.watch(rnn) as watch:
        (rnn(x)[0].square().sum() + sum(one.square().sum() for one in rnn.parameters())).backward()
    assert certified(watch.trace())


def test_a_hook_on_a_weight_is_the_users() -> None:
    rnn, seen = nn.GRU(D, H).double(), list[float]()

    def halve(gradient: Any) -> Any:
        seen.append(float(gradient.norm()))
        return gradient * 0.5

    rnn.weight_hh_l0.register_hook(halve)
    with rnngraph.torch.watch(rnn) as watch:
        rnn(data())[0].square().sum().backward()
    assert certified(watch.trace())
    assert len(seen) == 1


def test_a_question_under_a_function_mode_counts_once() -> None:
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return function(*args, **(kwargs or {}))

    model, trail = Stepwise().double(), Trail()
    with rnngraph.torch.watch(model) as watch, Mode():
        model(data(), trail)
        torch.autograd.grad(trail.total(), list(model.parameters()))
    check(watch.trace(), "cell.h", trail, "h")


@pytest.mark.parametrize("form", ["weight_norm", "orthogonal", "spectral_norm"])
@pytest.mark.parametrize("cached", [False, True])
def test_the_linear_layer_of_a_step_may_be_parametrized(form: str, cached: bool) -> None:
    model, trail = Stepwise(Own()).double(), Trail()
    getattr(nn.utils.parametrizations, form)(model.cell.linear, "weight")
    with (
        rnngraph.torch.watch(model) as watch,
        nn.utils.parametrize.cached() if cached else contextlib.nullcontext(),
    ):
        model(data(), trail)
        trail.total().backward()
    check(watch.trace(), "cell.h", trail, "h")


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_windows_of_an_autocast_each(kind: Any) -> None:
    torch.manual_seed(0)
    cell, state, losses = kind(D, H), None, []
    with rnngraph.torch.watch(cell) as watch:
        for seed in range(3):
            with torch.autocast("cpu", torch.bfloat16):
                for one in data(seed).float():
                    state = cell(one, state)
                    losses.append((state[0] if isinstance(state, tuple) else state).float().square().sum())
        sum(losses).backward()
    trace = watch.trace()
    assert trace.timesteps == 3 * T
    assert [one.kind for one in trace.states] == (["h", "c"] if kind is nn.LSTMCell else ["h"])


def test_a_kernel_that_autocast_rounds_is_held_to_that() -> None:
    torch.manual_seed(0)
    rnn = nn.GRU(D, H, 2)
    with rnngraph.torch.watch(rnn) as watch, torch.autocast("cpu", torch.bfloat16):
        rnn(data().float())[0].float().square().sum().backward()
    assert certified(watch.trace())


def test_a_hook_that_knows_no_none_and_clips() -> None:
    cell, h, losses = nn.LSTMCell(D, H).double(), None, []
    with rnngraph.torch.watch(cell) as watch:
        for one in data():
            h = cell(one, h)
            h[0].register_hook(lambda g: g.clamp(-0.02, 0.02))
            losses.append(h[0].sum())
        sum(losses).backward()
    notes = watch.trace().notes
    assert any(one.startswith("uncertain: ") and "a hook that clips a gradient on its way" in one for one in notes)


def test_hooks_on_every_module_stand_between_the_steps() -> None:
    handle = nn.modules.module.register_module_full_backward_hook(lambda module, given, taken: None)
    try:
        model, trail = Stepwise().double(), Trail()
        with rnngraph.torch.watch(model) as watch:
            model(data().requires_grad_(), trail)
            trail.total().backward()
        check(watch.trace(), "cell.h", trail, "h")
    finally:
        handle.remove()


@pytest.mark.parametrize("path", ["", "cell"])
def test_a_forward_that_is_set_on_the_object(path: str) -> None:
    """As libraries do that bring weights to their device, around what the class has."""
    model, trail = Stepwise().double(), Trail()
    module, own = model.get_submodule(path), model.get_submodule(path).forward
    module.forward = around = lambda *args: own(*args)
    with rnngraph.torch.watch(model) as watch:
        model(data(), trail)
        trail.total().backward(retain_graph=True)
    assert vars(module)["forward"] is around
    check(watch.trace(), "cell.h", trail, "h")


def test_a_scripting_of_the_model_goes_on() -> None:
    """What PyTorch records for a script it compares with a second run, as TensorBoard's graph does."""
    model = nn.Sequential(nn.GRU(D, H))
    with rnngraph.torch.watch(model) as watch:
        with warnings.catch_warnings(action="ignore"):
            torch.jit.trace(model[0], torch.randn(T, N, D))
        model(torch.randn(T, N, D))[0].sum().backward()
    assert watch.trace().timesteps == T
