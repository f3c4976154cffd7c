"""Models drawn at random, every number against plain autograd: states changed on their way, cuts, what a loss reads."""

from __future__ import annotations

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
