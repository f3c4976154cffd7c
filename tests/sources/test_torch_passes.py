"""Several backward passes, hooks of the user's that change gradients, and calls that no gradient reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError

torch = pytest.importorskip("torch")


class Lay(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Embedding, an LSTM, scores; keeps what autograd gives of the LSTM's output."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm, self.out = torch.nn.Embedding(10, 4), torch.nn.LSTM(4, 8), torch.nn.Linear(8, 3)
        self.double()

    def forward(self) -> tuple[Any, Any]:
        embedded = self.embedding(torch.arange(7)[:, None])
        return embedded, self.lstm(embedded)[0]


def expected_norms(model: Lay, loss: Any) -> Any:
    """Cut the LSTM apart into calls of one step, and take the gradient of every state from autograd."""
    x, states, state = model.embedding(torch.arange(7)[:, None]), [], None
    for one in x:
        _, state = model.lstm(one[None], state)
        states.append(state[0])
    grads = torch.autograd.grad(loss(torch.cat(states)), states)
    return [float(one.norm()) for one in grads]


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("several", ["none", "before", "after"])
def test_a_gradient_taken_beside_backward_is_not_added(frozen: bool, several: str) -> None:
    model = Lay()
    model.lstm.requires_grad_(not frozen)
    with rnngraph.torch.watch(model) as watch:
        embedded, output = model()
        loss = model.out(output[-1]).square().sum()
        if several == "before":
            torch.autograd.grad(loss, embedded, retain_graph=True)
        loss.backward(retain_graph=True)
        if several == "after":
            torch.autograd.grad(loss, embedded)
    for call in (None, 0):
        norms = expected_norms(model, lambda output: model.out(output[-1]).square().sum())
        trace = watch.trace(call=call, tolerance=1e-9)
        np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-9)
        assert any("as of torch.autograd.grad, is left out" in note for note in trace.notes) == (several != "none")


def test_two_losses_add_up_as_the_gradients_of_the_weights_do() -> None:
    model = Lay()
    with rnngraph.torch.watch(model) as watch:
        _, output = model()
        model.out(output[-1]).square().sum().backward(retain_graph=True)
        model.out(output[3]).sum().backward()
    norms = expected_norms(model, lambda output: model.out(output[-1]).square().sum() + model.out(output[3]).sum())
    np.testing.assert_allclose(watch.trace(tolerance=1e-9).states[0].grad.value, norms, rtol=1e-9)


def test_several_passes_that_nothing_tells_apart_are_refused() -> None:
    model = Lay().requires_grad_(False)
    x = torch.randn(5, 2, 4).double().requires_grad_()
    with rnngraph.torch.watch(model) as watch:
        loss = model.lstm(x)[0].sum()
        for _ in range(2):
            torch.autograd.grad(loss, x, retain_graph=True)
    with pytest.raises(InputError, match="more than one backward pass went through lstm and none of them reached"):
        watch.trace()


def test_passes_of_other_layers_do_not_matter() -> None:
    model = torch.nn.ModuleDict({"frozen": torch.nn.GRU(3, 4).requires_grad_(False), "own": torch.nn.GRU(3, 4)})
    model.double()
    x = torch.randn(5, 2, 3).double().requires_grad_()
    with rnngraph.torch.watch(model) as watch:
        model["own"](x.detach())[0].sum().backward()  # the only pass that reaches a weight
        loss = model["frozen"](x)[0].square().sum()
        torch.autograd.grad(loss, x)
    assert watch.trace("frozen").states[0].grad.value[-1] > 0
    with rnngraph.torch.watch(model) as watch:
        model["own"](x.detach())[0].sum().backward()
        loss = model["frozen"](x)[0].square().sum()
        for _ in range(2):
            torch.autograd.grad(loss, x, retain_graph=True)
    assert watch.trace("own").lags
    with pytest.raises(InputError, match="more than one backward pass went through frozen"):
        watch.trace("frozen")


def test_a_pass_beside_backward_is_not_added_where_hooks_see_the_steps() -> None:
    model = torch.nn.ModuleDict({"cell": torch.nn.Linear(4, 4)}).double()
    with rnngraph.torch.watch(model, steps="cell") as watch:
        first = h = torch.randn(2, 4).double().requires_grad_()
        states = []
        for _ in range(5):
            h = model["cell"](h)
            h.register_hook(lambda gradient: gradient * 0.5)
            states.append(h)
        torch.autograd.grad(h.sum(), first, retain_graph=True)
        h.sum().backward()
    # The last h gets ones, halved by its hook; every step back multiplies with the weight and halves again.
    gradient, norms = torch.full((2, 4), 0.5).double(), list[float]()
    for _ in range(5):
        norms.insert(0, float(gradient.norm()))
        gradient = 0.5 * gradient @ model["cell"].weight.detach()
    np.testing.assert_allclose(watch.trace().states[0].grad.value, norms, rtol=1e-10)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_hook_that_scales_the_output_is_seen(frozen: bool) -> None:
    model = Lay()
    model.lstm.requires_grad_(not frozen)
    with rnngraph.torch.watch(model) as watch:
        _, output = model()
        output.register_hook(lambda gradient: gradient * 0.1)
        output[-1].square().sum().backward()
    norms = expected_norms(model, lambda output: 0.1 * output[-1].square().sum())
    np.testing.assert_allclose(watch.trace(tolerance=1e-9).states[0].grad.value, norms, rtol=1e-9)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_hook_on_the_states_of_a_cell_leaves_no_lags(in_place: bool) -> None:
    cell, norms = torch.nn.GRUCell(3, 4).double(), list[float]()

    def halve(gradient: Any) -> Any:
        halved = gradient.mul_(0.5) if in_place else gradient * 0.5
        norms.insert(0, float(halved.norm()))
        return None if in_place else halved

    with rnngraph.torch.watch(cell) as watch:
        h = torch.zeros(2, 4).double()
        for one in torch.randn(5, 2, 3).double():
            h = cell(one, h)
            h.register_hook(halve)
        h.square().sum().backward()
    trace = watch.trace()
    np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-10)
    with pytest.raises(InputError, match="because a hook changes the gradient of a state between the calls"):
        rnngraph.diagnose(trace)


def test_a_hook_that_changes_nothing_takes_no_lags_away() -> None:
    cell = torch.nn.GRUCell(3, 4).double()
    with rnngraph.torch.watch(cell) as watch:
        h = torch.zeros(2, 4).double()
        for one in torch.randn(5, 2, 3).double():
            h = cell(one, h)
            h.register_hook(lambda gradient: gradient.clamp(-1e6, 1e6))
        h.square().sum().backward()
    assert rnngraph.diagnose(watch.trace(tolerance=1e-10)).horizon == 4


def test_clipped_weights_are_left_out_of_the_comparison() -> None:
    model = Lay()
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: gradient.clamp(-1e-4, 1e-4))
    with rnngraph.torch.watch(model) as watch:
        model()[1][-1].square().sum().backward()
    trace = watch.trace(tolerance=1e-9)
    norms = expected_norms(model, lambda output: output[-1].square().sum())
    np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-9)
    assert any("weight_hh_l0, weight_ih_l0 were not compared: hooks are on them" in note for note in trace.notes)
    with rnngraph.torch.watch(model.lstm) as watch:
        model.lstm.weight_hh_l0.register_hook(lambda gradient: 2 * gradient)  # inside, where nothing tells of it
        model()[1][-1].square().sum().backward()
    assert watch.trace().lags


def test_calls_that_no_gradient_reached_keep_their_place() -> None:
    cell = torch.nn.GRUCell(3, 4).double()
    with rnngraph.torch.watch(cell) as watch:
        h, states = torch.zeros(2, 4).double(), []
        for t, one in enumerate(torch.randn(8, 2, 3).double()):
            h = cell(one, h)
            h.retain_grad()
            states.append(h)
            if t in (1, 3):
                h = h.detach()
        (states[1].square().sum() + states[7].sum()).backward()
    trace = watch.trace(tolerance=1e-10)
    norms = [0.0 if one.grad is None else float(one.grad.norm()) for one in states]
    np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-10)
    assert np.flatnonzero(trace.states[0].cut).tolist() == [2, 4]
    assert rnngraph.diagnose(trace)


def test_chunks_that_no_gradient_reached_keep_their_place() -> None:
    layer, x = torch.nn.LSTM(3, 4).double(), torch.randn(9, 2, 3).double()
    with rnngraph.torch.watch(layer) as watch:
        state, losses = None, []
        for start in (0, 3, 6):
            output, state = layer(x[start : start + 3], state)
            losses.append(output[-1].square().sum())
            state = tuple(one.detach() for one in state)
        (losses[0] + losses[2]).backward()
    trace = watch.trace(tolerance=1e-10)
    assert trace.timesteps == 9
    grad = next(one for one in trace.states if one.kind == "h").grad.value
    assert (grad[3:6] == 0).all()
    np.testing.assert_allclose(grad[8], 2 * float(output[-1].detach().norm()), rtol=1e-10)
