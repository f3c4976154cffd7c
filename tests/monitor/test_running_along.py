"""Whatever the loop looks like, the right steps are measured at the right weights, and nothing of the run changes."""

from __future__ import annotations

import gc
import random
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from tests.monitor.loops import LOOPS, Loop, Model, hooks_on, plain, truncated

torch = pytest.importorskip("torch")
nn = torch.nn
EVERY = 5


def size(weight: Any) -> float:
    return float(weight.detach().double().norm())


def run(loop: Loop, steps: int, **options: Any) -> tuple[list[Any], list[float], list[float], Any]:
    """Train; give all that is left behind, the losses, the size of a weight before each step, and the monitor."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (the state of others)
    random.seed(0)
    model, sizes, monitor = Model(), [], None
    if options:
        monitor = rg.torch.monitor(model, **options)
    losses = loop(model, steps, lambda: sizes.append(size(model.cell.weight_hh)))
    if monitor is not None:
        monitor.close()
    gradients = [one.grad.clone() for one in model.parameters() if one.grad is not None]
    left = [*(one.detach().clone() for one in model.parameters()), *gradients, torch.get_rng_state()]
    chance = torch.tensor([float(np.random.random()), random.random()])  # noqa: NPY002
    return [*left, chance], losses, sizes, monitor


@pytest.mark.parametrize("name", LOOPS)
def test_every_nth_step_is_measured_and_nothing_changes(name: str, tmp_path: Path) -> None:
    steps = 11 if name == "plain" else 6
    left, losses, sizes, _ = run(LOOPS[name], steps)
    seen, same_losses, _, monitor = run(LOOPS[name], steps, every=EVERY, folder=tmp_path, keep=21)
    assert all(torch.equal(a, b) for a, b in zip(left, seen, strict=True))
    assert losses == same_losses
    assert len(losses) == steps
    assert monitor.notes == []
    traces = [rg.Trace.load(path) for path in sorted(tmp_path.iterdir())]
    assert [one.training_step for one in traces] == list(range(0, steps, EVERY))
    for one in traces:
        step = one.training_step or 0
        assert one.training_loss == pytest.approx(losses[step], rel=1e-6)
        weight = next(p for p in one.parameters if p.name == "cell.Wh")
        assert weight.norm == pytest.approx(sizes[step], rel=1e-12)  # the weights have not changed yet
        assert sizes[step] != pytest.approx(sizes[step - 1], rel=1e-9)
        assert [r.name for r in one.recurrences] == ["rnn", "rnn_l1", "cell"]
        assert not any(note.startswith("uncertain") for note in one.notes)


def test_the_gradients_are_those_of_the_measured_step(tmp_path: Path) -> None:
    """Against plain autograd, which is asked in the same step of a run of its own."""
    truth = {}

    def trained(folder: Path | None) -> None:
        torch.manual_seed(0)
        cell = nn.GRUCell(3, 4).double()
        optimiser = torch.optim.Adam(cell.parameters(), lr=0.05)
        monitor = rg.torch.monitor(cell, 3, folder) if folder else None
        for step in range(7):
            states, x = [], torch.randn(6, 2, 3).double()
            h: Any = None
            for one in x:
                h = cell(one, h)
                states.append(h)
            loss = states[-1].square().sum()
            if folder is None:
                truth[step] = [float(g.norm()) for g in torch.autograd.grad(loss, states, retain_graph=True)]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if monitor:
            monitor.close()

    trained(None)
    trained(tmp_path)
    traces = [rg.Trace.load(path) for path in sorted(tmp_path.iterdir())]
    assert [one.training_step for one in traces] == [0, 3, 6]
    for one in traces:
        np.testing.assert_allclose(one.states[0].grad.value, truth[one.training_step or 0], rtol=1e-10)


def test_nothing_is_hooked_between_measurements(tmp_path: Path) -> None:
    def hooked() -> bool:
        return (
            vars(nn.LSTM)["forward"] is not forward
            or torch.autograd.backward is not backward
            or torch.autograd.grad is not grad
            or torch.amp.GradScaler.scale is not scale
        )

    forward, backward, grad = vars(nn.LSTM)["forward"], torch.autograd.backward, torch.autograd.grad
    scale, before, found = torch.amp.GradScaler.scale, hooks_on(), []
    torch.manual_seed(0)
    model = Model()
    with rg.torch.monitor(model, every=4, folder=tmp_path):
        plain(model, 10, lambda: found.append(hooked()))
        assert hooks_on() == before + 1
        assert not any(one._backward_hooks for one in model.parameters())
    assert found == [step % 4 == 0 for step in range(10)]
    assert not hooked()
    assert hooks_on() == before


def test_no_graph_is_held_and_nothing_is_left(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Model()
    gc.disable()  # everything goes by reference counts
    try:
        alive: list[Any] = []
        with rg.torch.monitor(model, every=1, folder=tmp_path) as monitor:
            optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(5):
                output = model(torch.randn(5, 2, 3))[0]
                marker = torch.zeros(1)
                alive.append(weakref.ref(marker))
                output.register_hook(lambda g, marker=marker: None)  # lives as long as the graph
                output.square().mean().backward()
                optimiser.step()
                optimiser.zero_grad()
                del output, marker
                assert [one() is not None for one in alive] == [False] * len(alive)
        gone = weakref.ref(monitor)
        del monitor
        assert gone() is None
    finally:
        gc.enable()


def test_an_evaluation_is_not_kept() -> None:
    """Its graph would stay until the next step, batch after batch."""
    torch.manual_seed(0)
    model, alive = Model(), []
    with rg.torch.monitor(model, every=1, log=lambda values, step: None):
        plain(model, 2, lambda: None)
        model.eval()
        for _ in range(3):
            output = model(torch.randn(5, 2, 3))[0]
            marker = torch.zeros(1)
            alive.append(weakref.ref(marker))
            output.register_hook(lambda g, marker=marker: None)
            del output, marker
        gc.collect()
        assert [one() is not None for one in alive] == [False] * 3
        model.train()


def test_two_models_at_once_in_any_order(tmp_path: Path) -> None:
    forward, backward = vars(nn.LSTM)["forward"], torch.autograd.backward
    one, other = Model(), Model()
    first = rg.torch.monitor(one, 2, tmp_path / "one")
    second = rg.torch.monitor(other, 2, tmp_path / "other")
    third = rg.torch.monitor(one, 3, tmp_path / "again")
    plain(one, 3, lambda: None)
    first.close()
    plain(other, 3, lambda: None)
    second.close()
    third.close()
    assert [len(m.files) for m in (first, second, third)] == [2, 2, 1]
    assert all(m.notes == [] for m in (first, second, third))
    assert vars(nn.LSTM)["forward"] is forward
    assert torch.autograd.backward is backward


def test_watches_may_end_in_any_order_also_of_compiled_models() -> None:
    forward = vars(nn.LSTM)["forward"]
    compiled = torch.compile(Model(), backend="eager")
    stance = torch._dynamo.eval_frame._stance.stance
    first, second = rg.torch.watch(compiled), rg.torch.watch(compiled)
    first.__enter__()
    second.__enter__()
    compiled(torch.randn(5, 2, 3))[0].square().mean().backward()
    first.__exit__(None, None, None)
    assert vars(nn.LSTM)["forward"] is not forward
    assert torch._dynamo.eval_frame._stance.stance == "force_eager"
    second.__exit__(None, None, None)
    assert vars(nn.LSTM)["forward"] is forward
    assert torch._dynamo.eval_frame._stance.stance == stance
    assert first.trace(lags=False).states[0].grad.value[0] == second.trace(lags=False).states[0].grad.value[0]


def test_the_optimizer_that_trains_the_recurrence_may_come_second(tmp_path: Path) -> None:
    """As in a GAN, where each optimizer has a pass of its own."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"critic": nn.Linear(3, 1), "rnn": nn.GRU(2, 3)})
    optimisers = [torch.optim.SGD(model[name].parameters(), lr=0.1) for name in ("critic", "rnn")]
    with rg.torch.monitor(model, 2, tmp_path) as monitor:
        for _ in range(5):
            x = torch.randn(6, 2, 2)
            model["critic"](torch.randn(2, 3)).square().mean().backward()
            optimisers[0].step()
            model["critic"](model["rnn"](x)[0]).square().mean().backward()
            optimisers[1].step()
    assert [path.name for path in monitor.files] == [f"step-{step:09d}.npz" for step in (0, 2, 4)]
    assert repr(monitor) == f"<Monitor of {type(model).__name__} at step 4, 3 traces in {tmp_path}>"
    assert monitor.notes == []


def test_an_optimizer_that_takes_the_place_of_another(tmp_path: Path) -> None:
    model = Model()
    with rg.torch.monitor(model, 2, tmp_path) as monitor:
        plain(model, 4, lambda: None)
        truncated(model, 5, lambda: None)
    assert monitor.step == 8
    assert len(monitor.files) == 5


def test_a_training_that_goes_on(tmp_path: Path) -> None:
    model = Model()
    with rg.torch.monitor(model, 10, tmp_path):
        plain(model, 35, lambda: None)
    with rg.torch.monitor(model, 10, tmp_path, start=25) as monitor:
        plain(model, 20, lambda: None)
    assert [rg.Trace.load(path).training_step for path in monitor.files] == [0, 10, 20, 30, 40]
    assert monitor.step == 44


def test_a_loss_that_is_no_scalar_is_not_known(tmp_path: Path) -> None:
    model = nn.GRU(2, 3)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    with rg.torch.monitor(model, 1, tmp_path) as monitor:
        output = model(torch.randn(5, 2, 2))[0]
        output.backward(torch.ones_like(output))
        optimiser.step()
    loss = rg.Trace.load(monitor.files[0]).training_loss
    assert loss is not None
    assert np.isnan(loss)


def test_a_closed_monitor(tmp_path: Path) -> None:
    model = Model()
    monitor = rg.torch.monitor(model, 1, tmp_path)
    plain(model, 2, lambda: None)
    monitor.close()
    monitor.close()
    plain(model, 2, lambda: None)
    assert len(monitor.files) == 2
    with pytest.raises(InputError, match="this monitor is closed"), monitor:
        pass
