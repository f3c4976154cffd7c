"""What is said of a loop: a scaler's factor, a step that it skips, a graph that is walked twice, other passes."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.diagnosis.chosen_loss import seen
from rnngraph.errors import InputError
from rnngraph.trace.model import Trace
from tests.sources.torch.stepwise import Stepwise, data, truth
from tests.sources.torch.test_loops_that_disturb import found
from tests.sources.torch.truth import Trail

torch = pytest.importorskip("torch")
nn = torch.nn


def scaled(loss: Any, factor: float, *, further: bool = False) -> None:
    """Walk a loss back as a scaler does; with `further`, after something more was done to it."""
    loss = torch.amp.GradScaler("cpu", init_scale=factor).scale(loss)
    (loss / 2 + loss / 2 if further else loss).backward()


def logs(trace: Trace) -> list[Any]:
    several: tuple[Any, ...] = (*trace.lags, *trace.input_lags, *trace.updates)
    return [one.log for one in several]


def norms(trace: Trace) -> list[Any]:
    wholes: tuple[Any, ...] = (*trace.states, *trace.parameters)
    steps: tuple[Any, ...] = (*trace.parameters, *trace.inputs)
    return [*(one.grad.value for one in wholes), *(one.steps.value for one in steps)]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("further", [False, True])
def test_the_numbers_are_those_of_the_loss_itself(fused: bool, further: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.LSTM(4, 5)) if fused else Stepwise()

    def loss() -> Any:
        trail = Trail()
        if fused:
            return model(data().float())[0].square().sum()
        model(data().float(), trail)
        return trail.total()

    with rnngraph.torch.watch(model) as watch:
        scaled(loss(), 65536.0, further=further)
    with rnngraph.torch.watch(model) as plain:
        loss().backward()
    trace, expected = watch.trace(), plain.trace()
    np.testing.assert_allclose(trace.loss, expected.loss, rtol=1e-6)
    for a, b in zip(norms(trace), norms(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for a, b in zip(logs(trace), logs(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    state = trace.states[0].name
    torch.testing.assert_close(watch.state(state, 2)[1], plain.state(state, 2)[1], rtol=1e-5, atol=1e-9)
    for one, other in zip(*(some.row(5).get(state, ()) for some in (watch, plain)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)
    assert any("walked back times 65536" in note for note in trace.notes)


def test_a_step_that_the_scaler_skips_is_shown_without_its_factor() -> None:
    model = Stepwise()

    def loss() -> Any:
        trail = Trail()
        with torch.autocast("cpu", torch.float16):
            model(data().float(), trail)
            return trail.total().float()

    with rnngraph.torch.watch(model) as watch:
        scaled(loss(), 2.0**24)
    assert not torch.isfinite(model.cell.weight_hh.grad).all()
    with rnngraph.torch.watch(model) as plain:
        loss().backward()
    state = watch.state("cell.h", 2)[1]  # before the trace, and as after it
    torch.testing.assert_close(state, plain.state("cell.h", 2)[1])
    np.testing.assert_allclose(found(watch), found(plain), rtol=1e-6)
    assert torch.equal(watch.state("cell.h", 2)[1], state)
    trace = watch.trace()
    assert any("times 1.67772e+07 the gradient overflows, and a scaler skips such a step" in one for one in trace.notes)
    assert "non_finite" not in {one.rule for one in rnngraph.diagnose(trace).findings}


def test_a_gradient_that_is_not_finite_without_the_factor_is_no_overflow() -> None:
    model, trail = Stepwise(), Trail()
    with rnngraph.torch.watch(model) as watch:
        h = model(data().float(), trail)
        scaled(trail.total() + (h * 0).sqrt().sum(), 64.0)
    trace = watch.trace()
    assert any("walked back times 64" in one for one in trace.notes)
    assert not any("the gradient overflows" in one for one in trace.notes)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("how", ["plain", "hooks", "checkpoint"])
def test_data_that_the_next_batch_is_written_over(fused: bool, how: str) -> None:
    from torch.utils.checkpoint import checkpoint

    if how == "hooks" and not fused and torch.__version__ < "2.8":
        pytest.skip("what such hooks hide cannot be asked of older PyTorch")

    torch.manual_seed(0)
    model, x = nn.GRU(4, 5) if fused else Stepwise(), data().float()
    kept = torch.autograd.graph.saved_tensors_hooks(lambda one: one, lambda one: one)
    for refilled in (False, True):
        with rnngraph.torch.watch(model) as watch:
            with kept if how == "hooks" else contextlib.nullcontext():
                run = model if fused else lambda x: model(x, Trail())
                found = checkpoint(run, x, use_reentrant=False) if how == "checkpoint" else run(x)
            (found[0] if fused else found).square().sum().backward()
        if refilled:
            x.normal_()
            said = r"changed in place after it.*call watch\.trace\(\) before"
            with pytest.raises(InputError, match=f"what gru was given was {said}" if fused else said):
                watch.trace()
        assert refilled or watch.trace().states


@pytest.mark.parametrize("kept", [False, True])
def test_a_graph_that_is_walked_twice(kept: bool) -> None:
    model, trail = Stepwise().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        h = model(data(), trail)
        trail.losses[0].backward(retain_graph=kept)
        h.sum().backward()
    said = [one for one in watch.trace().notes if "which PyTorch refuses where nothing is watched" in one]
    assert len(said) == (not kept)


def test_the_last_pass_may_train_a_head_alone() -> None:
    model, trail = Stepwise().double(), Trail()
    model.value = nn.Linear(5, 1).double()
    with rnngraph.torch.watch(model) as watch:
        h = model(data(), trail)
        expected = truth(trail)
        trail.total().backward()
        model.value(h.detach()).sum().backward()
    with pytest.raises(InputError, match=r"Another of the 2 passes back is looked at by watch\(model, backward=-2\)"):
        watch.trace()
    np.testing.assert_allclose(found(watch, backward=-2), expected, rtol=1e-11)


def test_a_transform_hides_its_graph() -> None:
    model = nn.GRU(4, 5)
    weights = {name: one.detach() for name, one in model.named_parameters()}
    with rnngraph.torch.watch(model) as watch:
        torch.func.grad(lambda some: torch.func.functional_call(model, some, (data().float(),))[0].sum())(weights)
    with pytest.raises(InputError, match=r"that can be seen: it ran under .* a transform of torch\.func"):
        watch.trace()


def test_weights_that_were_learned_within_are_no_state() -> None:
    model, inner, outer = Stepwise().double(), Trail(), Trail()
    weights = dict(model.named_parameters())
    with rnngraph.torch.watch(model) as watch:
        model(data(), inner)
        slopes = torch.autograd.grad(inner.total(), list(weights.values()), create_graph=True)
        fast = {name: one - 0.1 * slope for (name, one), slope in zip(weights.items(), slopes, strict=True)}
        torch.func.functional_call(model, fast, (data(2), outer))
        outer.total().backward()
    trace = watch.trace()
    assert [one.name for one in trace.recurrences] == ["cell", "cell#2"]
    np.testing.assert_allclose(trace.states[1].grad.value, truth(outer), rtol=1e-11)


def test_the_first_pass_is_shown_without_the_windows_that_go_on_from_it() -> None:
    model = Stepwise().double()
    with rnngraph.torch.watch(model, backward="first") as watch:
        h, firsts = None, []
        for seed in range(3):
            trail = Trail()
            h = model(data(seed), trail, h)
            firsts.append(truth(trail))
            trail.total().backward(retain_graph=True)
    np.testing.assert_allclose(found(watch), firsts[0], rtol=1e-11)


def test_what_runs_after_a_pass_costs_no_pass_that_was_asked_for() -> None:
    model, expected = Stepwise().double(), []
    with rnngraph.torch.watch(model, backward=-3) as watch:
        for seed in range(3):
            trail = Trail()
            model(data(seed), trail)
            expected.append(truth(trail))
            trail.total().backward()
            model(data(9), Trail())  # an evaluation
    for place in (-3, -2, -1):
        np.testing.assert_allclose(found(watch, backward=place), expected[place], rtol=1e-11)


def test_a_first_state_that_no_graph_shows_is_not_measured_and_not_zero() -> None:
    torch.manual_seed(0)
    cell, layer, xs = nn.LSTMCell(3, 4).double(), nn.LSTM(3, 4).double(), torch.randn(5, 2, 3, dtype=torch.float64)
    layer.load_state_dict({f"{name}_l0": one for name, one in cell.state_dict().items()})
    with rnngraph.torch.watch(cell) as watch:
        h = c = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
        for x in xs:
            h, c = cell(x, (h, c))
        h.pow(2).sum().backward()
    trace = watch.trace()
    assert all(np.isnan(one.log[:, :, 0]).all() and np.isfinite(one.log[:, :, 1:]).all() for one in trace.lags)
    one = seen(trace)
    assert one is not None
    assert all(walk.steps.tolist() == [4, 3, 2, 1, 0] for walk in one.walks)
    with rnngraph.torch.watch(layer) as watch:  # the inside of a fused layer is walked to its first state
        h0, c0 = (torch.zeros(1, 2, 4, dtype=torch.float64, requires_grad=True) for _ in "hc")
        layer(xs, (h0, c0))[0][-1].pow(2).sum().backward()
    for lag, first in zip(watch.trace().lags, (h0, c0), strict=True):
        np.testing.assert_allclose(np.exp(lag.log[:, 0, 0]), first.grad[0].norm(dim=1).numpy(), rtol=1e-12)


def test_the_loss_of_every_step_walked_back_alone() -> None:
    model, trail = Stepwise().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(data(), trail)
        expected = truth(trail)
        for loss in trail.losses.values():
            loss.backward(retain_graph=True)
    np.testing.assert_allclose(found(watch), expected, rtol=1e-11)
