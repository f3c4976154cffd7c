"""The forms of other libraries: their rules by central differences, and under many losses at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block.backward import Inner
from rnngraph.measure.lag_options import LagOptions
from rnngraph.nn.cells import form as form_of
from rnngraph.sources.stack import Stack, walk

N, T, D, H, P = 2, 5, 3, 4, 2


def stack_of(form: str) -> Stack:
    generator = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return generator.normal(size=shape) * 0.6

    if form == "projected":
        return Stack(
            "lstm",
            form_of("lstm", having="Wr"),
            (({"Wx": draw(D, 4 * H), "Wh": draw(P, 4 * H), "b": draw(4 * H), "Wr": draw(H, P)},),),
        )
    return Stack(
        "gru", form_of("gru", lacking="bh"), (({"Wx": draw(D, 3 * H), "Wh": draw(H, 3 * H), "b": draw(3 * H)},),)
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("form", ["projected", "reset_before"])
def test_every_form(form: str, masked: bool) -> None:
    tape = rnngraph.Tape()
    x = tape.input(np.random.default_rng(4).normal(size=(N, T, D)))
    mask = np.arange(T) < np.array([T, 3])[:, None]
    hidden = walk(stack_of(form), x, mask=mask if masked else None)
    loss = (hidden * hidden).sum()
    assert rnngraph.check(loss).passed
    trace = rnngraph.record(loss, lags=LagOptions(losses="all", samples="all"))
    lag = next(one for one in trace.lags if one.state.endswith(".h"))
    output = hidden.value
    for place, s in enumerate(lag.losses):
        # The loss of step s alone, walked back by itself.
        start = np.zeros_like(output)
        start[:, s] = 2 * output[:, s]
        norms = np.zeros((N, T))

        def lend(inner: Inner, norms: np.ndarray[Any, Any] = norms) -> None:
            norms[:, inner.steps] = np.linalg.norm(inner.total["h"], axis=2).T

        for _ in sweep(tape, {hidden.id: start}, lend=lend):
            pass
        with np.errstate(divide="ignore"):
            expected = np.log(norms[:, : s + 1])
        for row, sample in enumerate(lag.samples):
            if not masked or mask[sample, s]:
                np.testing.assert_allclose(lag.log[row, place, 1 : s + 2], expected[sample], rtol=1e-9, atol=1e-9)
