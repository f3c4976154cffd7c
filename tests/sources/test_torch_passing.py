"""How a state goes from call to call: as it is, changed on the way, recomputed, or with weights that are made anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError

torch = pytest.importorskip("torch")
checkpoint = pytest.importorskip("torch.utils.checkpoint").checkpoint


class Halved(torch.autograd.Function):  # type: ignore[misc, name-defined]
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return 0.5 * gradient


def watched(cell: Any, way: Any, steps: int = 8) -> tuple[Any, list[float]]:
    """Walk a cell with `way` between the steps; gives the watch and autograd's own norms of every state."""
    states = []
    with rnngraph.torch.watch(cell) as watch:
        h = torch.zeros(3, 5).double()
        for one in torch.randn(steps, 3, 4).double():
            h = cell(one, way(h))
            h.retain_grad()
            states.append(h)
        h.square().sum().backward()
    return watch, [0.0 if one.grad is None else float(one.grad.norm()) for one in states]


@pytest.mark.parametrize("way", [lambda h: 0.5 * h + 0.5 * h.detach(), Halved.apply, lambda h: h + (h - h.detach())])
def test_a_gradient_that_is_scaled_between_the_steps_is_seen_through_hooks(way: Any) -> None:
    watch, norms = watched(torch.nn.GRUCell(4, 5).double(), way)
    trace = watch.trace()
    np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-10)
    with pytest.raises(InputError, match=r"because an operation between the calls \(.*\) keeps the value .* changes"):
        rnngraph.diagnose(trace)


@pytest.mark.parametrize(
    "way",
    [
        lambda h: h,
        lambda h: h[:],
        lambda h: h.view(1, 3, 5).squeeze(0),
        lambda h: h * torch.ones(3, 1).double(),  # the mask of a sequence that did not end
        lambda h: torch.where(torch.ones(3, 1).bool(), h, 0 * h),
        lambda h: torch.cat([h[:1], h[1:]]),
    ],
)
def test_a_gradient_that_arrives_as_it_was_sent_is_walked(way: Any) -> None:
    watch, norms = watched(torch.nn.GRUCell(4, 5).double(), way)
    trace = watch.trace(tolerance=1e-10)
    np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-10)
    assert rnngraph.diagnose(trace).horizon == 7
    assert not trace.states[0].cut.any()


def test_a_state_that_is_detached_in_part_is_no_sequence() -> None:
    cell = torch.nn.LSTMCell(4, 5).double()
    with rnngraph.torch.watch(cell) as watch:
        h = c = torch.zeros(3, 5).double()
        for one in torch.randn(5, 3, 4).double():
            h, c = cell(one, (h, c.detach()))
        h.sum().backward()
    with pytest.raises(InputError, match="one was detached and one was not"):
        rnngraph.diagnose(watch.trace())


def test_a_new_leaf_of_the_same_value_cuts_the_sequence() -> None:
    watch, _ = watched(torch.nn.GRUCell(4, 5).double(), lambda h: h.detach().requires_grad_())
    assert watch.trace().timesteps == 1  # no gradient reached the earlier calls
    cell, loss = torch.nn.GRUCell(4, 5).double(), torch.zeros(())
    with rnngraph.torch.watch(cell) as watch:
        h = torch.zeros(3, 5).double()
        for one in torch.randn(4, 3, 4).double():
            h = cell(one, h.detach().requires_grad_())
            loss = loss + h.sum()
        loss.backward()
    assert watch.trace(tolerance=1e-10).states[0].cut.tolist() == [False, True, True, True]


def run(module: Any, x: Any, call: Any, length: int) -> None:
    state, loss = torch.zeros(*((1, 2, 4) if isinstance(module, torch.nn.GRU) else (2, 4))).double(), torch.zeros(())
    for start in range(0, len(x), length):
        part = x[start : start + length]
        if isinstance(module, torch.nn.GRU):
            output, state = call(module, part, state)
            loss = loss + output[0].square().sum()
        else:

            def several(part: Any, h: Any) -> Any:
                for one in part:
                    h = module(one, h)
                return h

            state = call(several, part, state)
            loss = loss + state.square().sum()
    loss.backward()


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", ["GRU", "GRUCell"])
@pytest.mark.parametrize("length", [1, 3])
def test_checkpointed_calls_stand_in_the_order_of_time(kind: str, length: int, reentrant: bool) -> None:
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(3, 4).double()
    x = torch.randn(9, 2, 3).double().requires_grad_()
    with rnngraph.torch.watch(module) as watch:
        run(module, x, lambda function, *given: function(*given), length)
    expected = watch.trace(tolerance=1e-10)
    with rnngraph.torch.watch(module) as watch:
        run(module, x, lambda function, *given: checkpoint(function, *given, use_reentrant=reentrant), length)
    trace = watch.trace(tolerance=1e-10)
    assert trace.timesteps == 9
    np.testing.assert_allclose(trace.states[0].grad.value, expected.states[0].grad.value, rtol=1e-9)
    np.testing.assert_allclose(trace.states[0].activation, expected.states[0].activation, rtol=1e-12)
    np.testing.assert_allclose(trace.lags[0].log, expected.lags[0].log, rtol=1e-7)
    if kind == "GRU" and length == 3:
        np.testing.assert_allclose(
            watch.trace(call=0).states[0].activation, expected.states[0].activation[:3], rtol=1e-12
        )


def test_feedback_is_seen_through_checkpoints() -> None:
    cell, out = torch.nn.GRUCell(3, 3), torch.nn.Linear(3, 3)
    with rnngraph.torch.watch(torch.nn.ModuleList([cell, out])) as watch:
        h = y = torch.rand(2, 3, requires_grad=True)
        for _ in range(5):
            h = checkpoint(cell, y, h, use_reentrant=True)
            y = out(h)
        y.sum().backward()
    assert any("fed back" in note for note in watch.trace().notes)


def test_a_recomputed_run_whose_forward_was_not_watched_is_refused() -> None:
    cell = torch.nn.GRUCell(3, 4)
    x = torch.randn(4, 2, 3, requires_grad=True)
    h = torch.zeros(2, 4)
    for one in x:
        h = checkpoint(cell, one, h, use_reentrant=True)
    with rnngraph.torch.watch(cell) as watch:
        h.sum().backward()
    with pytest.raises(InputError, match=r"by torch\.utils\.checkpoint, .* use_reentrant=False"):
        watch.trace()


@pytest.mark.parametrize("reentrant", [True, False])
def test_any_module_under_a_checkpoint(reentrant: bool) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())
    holder = torch.nn.ModuleDict({"cell": model})
    with rnngraph.torch.watch(holder, steps="cell") as watch:
        h = torch.randn(2, 4, requires_grad=True)
        for _ in range(5):
            h = checkpoint(model, h, use_reentrant=reentrant)
        h.sum().backward()
    if reentrant:
        with pytest.raises(InputError, match=r"last step first, .* use_reentrant=False"):
            watch.trace()
    else:
        assert watch.trace().timesteps == 5


def normed(cell: Any) -> Any:
    return torch.nn.utils.parametrizations.weight_norm(cell, "weight_hh")


def spectral(cell: Any) -> Any:
    return torch.nn.utils.parametrizations.spectral_norm(cell, "weight_hh")


def pruned(cell: Any) -> Any:
    from torch.nn.utils import prune

    return prune.l1_unstructured(cell, "weight_hh", amount=0.3)


@pytest.mark.parametrize("made", [normed, pruned])
def test_weights_that_are_made_anew_at_every_call(made: Any) -> None:
    watch, norms = watched(made(torch.nn.GRUCell(4, 5).double()), lambda h: h)
    trace = watch.trace(tolerance=1e-10)
    np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-10)
    assert rnngraph.diagnose(trace).horizon == 7


def test_weights_that_do_change_are_named_as_the_reason() -> None:
    torch.manual_seed(0)
    cell = spectral(torch.nn.GRUCell(4, 5).double())  # another power iteration at every call in train mode
    watch, norms = watched(cell, lambda h: h)
    trace = watch.trace()
    np.testing.assert_allclose(trace.states[0].grad.value, norms, rtol=1e-10)
    with pytest.raises(InputError, match="seen only through hooks, because its weights changed between calls"):
        rnngraph.diagnose(trace)


def test_spectral_normalisation_takes_no_step_of_its_own() -> None:
    def trained() -> Any:
        torch.manual_seed(0)
        cell = spectral(torch.nn.GRUCell(4, 5))
        return cell, torch.randn(3, 4)

    cell, x = trained()
    plain = [cell(x).detach() for _ in range(3)]
    cell, x = trained()
    with rnngraph.torch.watch(cell):
        seen = [cell(x).detach() for _ in range(3)]
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))
