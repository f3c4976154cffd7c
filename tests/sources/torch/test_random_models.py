"""Models drawn at random, every number against plain autograd: states changed on their way, cuts, what a loss reads."""

from __future__ import annotations

from typing import Any

import pytest

import rnngraph
from tests.sources.torch.truth import Trail, certified, check

torch = pytest.importorskip("torch")
random_models = pytest.importorskip("tests.sources.torch.random_models")
SEEDS = (*range(40), 165, 172)  # attention over what a mask kept; steps that no loss reaches before a cut


@pytest.mark.parametrize("seed", SEEDS)
def test_every_state_and_every_loss(seed: int) -> None:
    torch.manual_seed(seed)
    model = random_models.Model(seed).double()
    x = torch.randn(random_models.T, random_models.N, random_models.D, dtype=torch.float64)
    trail = Trail()
    with rnngraph.torch.watch(model) as watch:
        model(x, trail).backward()
    trace = watch.trace(lags=rnngraph.LagOptions(losses="all", samples="all"))
    if trace.lags[0].joint:
        trail.losses = {int(trace.lags[0].losses[-1]): trail.total()}
    assert trace.lags[0].joint == (model.reads in ("all at once", "attention"))
    assert certified(trace)
    assert len(trace.states) == sum(1 + (name == "lstm") for name in model.cell_names)
    for state in trace.states:
        _, number, kind = state.name.split(".")
        check(trace, state.name, trail, f"{number}.{int(kind == 'c')}")


@pytest.mark.parametrize("seed", [14, 31])  # what is fed back
def test_the_same_under_autocast(seed: int) -> None:
    torch.manual_seed(seed)
    model, x, trail = random_models.Model(seed), torch.randn(random_models.T, random_models.N, random_models.D), Trail()
    with rnngraph.torch.watch(model) as watch:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(x, trail)
        loss.backward()
    trace = watch.trace(lags=rnngraph.LagOptions(losses="all", samples="all"))
    assert certified(trace)
    assert trace.lags[0].losses.tolist() == list(range(random_models.T))
    for state in trace.states:
        check(trace, state.name, trail, f"{state.name.split('.')[1]}.{int(state.name.endswith('c'))}", rtol=0.03)


def test_weights_that_autocast_casts_once_for_all_steps_are_no_states() -> None:
    class Loop(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.words, self.begin = torch.nn.Embedding(9, 4), torch.nn.Parameter(torch.zeros(5))  # weights, all of it
            self.read, self.turn = torch.nn.Linear(4, 5), torch.nn.Linear(5, 5)

        def forward(self, words: Any) -> Any:
            h = self.begin.expand(3, 5)
            for one in self.words(words):
                h = (self.read(one) + self.turn(h)).tanh()
            return h

    torch.manual_seed(0)
    model = Loop()
    with rnngraph.torch.watch(model) as watch, torch.autocast("cpu", torch.bfloat16):
        model(torch.randint(9, (6, 3))).float().square().sum().backward()
    (state,) = watch.trace().states
    assert (state.name, watch.trace().lags[0].log.shape[0]) == ("turn.h", 3)
