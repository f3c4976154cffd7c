"""Loops drawn at random: the run is what it is without the watch, and the trace is plain autograd's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.truth import certified

torch = pytest.importorskip("torch")
random_loops = pytest.importorskip("tests.sources.torch.random_loops")


def same(one: Any, other: Any) -> bool:
    return one is other if one is None or other is None else torch.equal(one, other)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_a_loop(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.fx.traceback.format_stack", list)  # half of the time is PyTorch writing where it was
    torch.manual_seed(seed)
    plain = random_loops.Loop(seed)
    plain.run()
    torch.manual_seed(seed)
    loop = random_loops.Loop(seed)
    with rnngraph.torch.watch(loop.model, only=loop.way["only"] or None) as watch:
        loop.run()
    trace = watch.trace()
    assert all(same(a, b) for a, b in zip(plain.seen, loop.seen, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), loop.model.parameters(), strict=True))
    assert certified(trace)
    found = trace.states[0].grad.value
    np.testing.assert_allclose(found, loop.expected[-1], rtol=1e-9)
