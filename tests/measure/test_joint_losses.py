"""Which losses read many timesteps at once, and what the diagnosis says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.node import CONSTANT
from rnngraph.autodiff.tensor import where
from rnngraph.measure.record import JOINT
from rnngraph.nn.cells import CELLS
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.unroll import Layer, unroll
from rnngraph.sources.tape.record import open_recording

RANDOM = np.random.default_rng(0)
MIX, TOKENS = RANDOM.normal(size=(160, 5)), RANDOM.integers(0, 5, (4, 20))


def hidden(layer: Any = None) -> Any:
    return (layer or nn.RNN(3, 8))(rg.Tape().input(np.random.default_rng(0).normal(size=(4, 20, 3))))


def log_softmax_loss(scores: Any) -> Any:
    grown = scores.exp()
    return -(grown[:, 0] / grown.sum(axis=1)).log().sum()


def attended(h: Any) -> Any:
    weight = (h @ MIX[:8, :1]).exp()
    return (h * (weight / weight.sum(axis=1, keepdims=True))).sum(axis=1)


def words_and_calm(weight: float, *, split: bool = False) -> Any:
    """A loss at every step, and a penalty on the mean activity of a sample."""
    h = hidden()
    words = nn.temporal_softmax_loss(nn.Linear(8, 5)(h), TOKENS)
    first = (h[:, 0] ** 2).sum() if split else 0.0
    return 0.5 * (first + words - (h.mean(axis=1) ** 2).sum() * -weight) / 2.0


@pytest.mark.parametrize(
    "loss",
    [
        lambda: words_and_calm(1e4),
        lambda: log_softmax_loss(nn.Linear(8, 5)(hidden().mean(axis=1))),
        lambda: hidden(nn.LSTM(3, 8, num_layers=2)).sum(axis=1).tanh().sum(),
        lambda: log_softmax_loss(hidden().reshape(4, 160) @ MIX),
        lambda: log_softmax_loss(nn.Linear(8, 5)(attended(hidden()))),
    ],
    ids=["calm alone", "mean", "sum", "all", "attention"],
)
def test_a_loss_over_many_steps(loss: Callable[[], Any]) -> None:
    assert open_recording(loss()).joint


@pytest.mark.parametrize(
    "loss",
    [
        lambda: nn.temporal_softmax_loss(nn.Linear(8, 5)(hidden(nn.LSTM(3, 8))), TOKENS),
        lambda: nn.temporal_softmax_loss(nn.Linear(8, 5)(hidden(nn.LSTM(3, 8, detail="op"))), TOKENS),
        lambda: log_softmax_loss(nn.Linear(8, 5)(hidden()[:, 19])),
        lambda: log_softmax_loss(nn.Linear(16, 5)(hidden(nn.GRU(3, 8, bidirectional=True))[:, 19])),
        lambda: ((hidden() - 1.0) ** 2).mean(),
        lambda: (hidden().mean(axis=1) * MIX[:4, 0][:, None]).sum(),
        lambda: words_and_calm(1e-2),
        lambda: words_and_calm(1e-2, split=True),
    ],
    ids=["every", "op", "last", "both ways", "squares", "linear", "side term", "side term of a sum"],
)
def test_a_loss_at_every_step_or_at_one(loss: Callable[[], Any]) -> None:
    assert not open_recording(loss()).joint


@pytest.mark.parametrize(("weight", "joint"), [(1.0, False), (2.0, False), (10.0, True)])
def test_a_state_that_is_itself_a_sum_is_one_term(weight: float, joint: bool) -> None:
    # A residual step: what its two parts get on all ways is more than what the loss gives its last state.
    draw = np.random.default_rng(0)
    tape, recurrent = rg.Tape(), draw.normal(size=(4, 4)) * 0.5
    h, states = tape.input(np.zeros((3, 4))), []
    for t in range(12):
        with tape.scope(t=t):
            h = h + (h @ recurrent + draw.normal(size=(3, 4))).tanh() * 0.3
        states.append(h)
    tape.state("cell.h", states)
    pooled = (sum(states[1:], states[0]) * 0.25).tanh().sum()
    assert open_recording(pooled * weight + states[-1].sum()).joint is joint


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("other", "joint"), [(0, True), (4, True), (-1, False)])
def test_a_state_that_is_read_by_itself_beside_the_output(other: int, joint: bool, seed: int) -> None:
    random = np.random.default_rng(seed)  # of a product of two states one may be next to nothing, for some units
    tape, weights = rg.Tape(), {"Wx": random.normal(size=(3, 4)), "Wh": random.normal(size=(4, 4)), "b": np.zeros(4)}
    start = tape.tensor(tape.append(CONSTANT, (), np.zeros((2, 4)), requires=True))
    tensors = {key: tape.parameter(Parameter(f"rnn.{key}", value)) for key, value in weights.items()}
    run = unroll(Layer("rnn", CELLS["tanh"], tensors, {"h": start}), tape.input(random.normal(size=(2, 9, 3))))
    last = run.state("h", 8)
    loss = (last * run.output[:, other]).tanh().sum() if other >= 0 else (last * last).sum() + run.output.tanh().sum()
    assert open_recording(loss).joint is joint


def absolute(x: Any) -> Any:
    return (x.relu() + (-x).relu()).mean()


def hinge(x: Any) -> Any:
    return (x + 1.0).relu().mean()


def written_out(x: Any) -> Any:
    """Give a cross entropy as two terms, of which the linear one is the larger."""
    return (x.exp().sum(axis=x.ndim - 1).log() - 3.0 * x[(slice(None),) * (x.ndim - 1) + (1,)]).sum()


def critic(x: Any) -> Any:
    return x.mean()


def maximum(h: Any) -> Any:
    best = h.value == h.value.max(axis=1, keepdims=True)
    return where(best, h, np.zeros_like(h.value)).sum(axis=1)


POOLS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda h: h.mean(axis=1), "maximum": maximum, "all": lambda h: h.reshape(4, 160), "no": lambda h: h,
}  # fmt: skip
IN_NUMPY: dict[Any, Callable[[Any], Any]] = {
    absolute: lambda x: np.mean(np.abs(x)),
    hinge: lambda x: np.maximum(x + 1.0, 0).mean(),
    written_out: lambda x: np.sum(np.log(np.exp(x).sum(axis=-1)) - 3.0 * x[..., 1]),
    critic: np.mean,
    maximum: lambda h: np.max(h, axis=1),
}


def by_hand(x: Any, Wx: Any, Wh: Any, pool: Callable[[Any], Any], loss: Callable[[Any], Any]) -> Any:
    h, states = np.zeros((4, 8)), []
    for t in range(20):
        h = np.tanh(x[:, t] @ Wx + h @ Wh)
        states.append(h)
    pooled = pool(np.stack(states, axis=1))
    return loss(pooled @ MIX[: pooled.shape[-1], :3])


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("loss", [absolute, hinge, written_out, critic])
def test_a_loss_that_is_linear_in_the_states_or_has_a_linear_half(loss: Callable[[Any], Any], pool: str) -> None:
    given = [np.random.default_rng(5).normal(size=shape) * 0.4 for shape in ((4, 20, 3), (3, 8), (8, 8))]
    pools, pooled = IN_NUMPY.get(POOLS[pool], POOLS[pool]), POOLS[pool](hidden())
    ours = loss(pooled @ MIX[: pooled.shape[-1], :3])
    numpy = rg.trace_function(lambda x, Wx, Wh: by_hand(x, Wx, Wh, pools, IN_NUMPY[loss]), *given)
    assert open_recording(ours).joint is (pool != "no")
    assert rg.record(numpy, lags=True).lags[0].joint is (pool != "no")


def test_scores_that_one_call_sums_up_are_a_loss_a_step() -> None:
    given = [np.random.default_rng(5).normal(size=shape) * 0.4 for shape in ((4, 20, 3), (3, 8), (8, 8))]
    marks = np.random.default_rng(6).normal(size=(4, 20, 3))
    traced = rg.trace_function(
        lambda x, Wx, Wh: by_hand(x, Wx, Wh, POOLS["no"], lambda scores: np.vdot(scores, marks)), *given
    )
    assert not rg.record(traced, lags=True).lags[0].joint


def test_the_largest_half_that_responds_decides() -> None:
    # Labels are counted at every step, and two terms beside them say something: the larger is one of every step.
    h = hidden()
    labels, words, calm = h[:, :, :1].sum(), (h**2).sum(), (h.mean(axis=1) ** 2).sum()
    assert not open_recording(labels + words + calm * 1.0).joint
    assert not open_recording(labels + calm * 1e-2).joint  # a side term decides nothing
    assert open_recording(labels * 0.1 + calm).joint


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_a_linear_loss_is_asked_by_its_states_and_not_by_its_weights(size: float) -> None:
    given = [np.random.default_rng(5).normal(size=shape) * 0.4 for shape in ((4, 20, 3), (3, 8), (8, 8))]

    def forward(x: Any, Wx: Any, Wh: Any, W: Any) -> Any:
        return by_hand(x, Wx, Wh, POOLS["mean"], lambda scores: (scores * W).sum())

    assert rg.record(rg.trace_function(forward, *given, np.full(3, size)), lags=True).lags[0].joint


def test_a_linear_loss_of_a_part_that_is_empty() -> None:
    given = [np.random.default_rng(5).normal(size=shape) * 0.4 for shape in ((4, 20, 3), (3, 8), (8, 8))]
    traced = rg.trace_function(
        lambda x, Wx, Wh: by_hand(x, Wx, Wh, POOLS["mean"], lambda y: np.concatenate([y, y[:0]]).sum()), *given
    )
    assert rg.record(traced, lags=True).lags[0].joint


def test_a_linear_loss_of_states_that_are_made_of_far_ones() -> None:
    tape = rg.Tape()
    random = np.random.default_rng(0)
    h = [tape.input(random.normal(size=(3, 4)), name=f"h{k}") for k in range(15)]
    for t in range(20):
        with tape.scope(t=t):
            h.append((h[-1] @ (MIX[:4, :4] * 0.4) + h[-15] @ (MIX[4:8, :4] * 0.4)).tanh())
    tape.state("cell.h", h[15:])
    assert not open_recording(sum(h[16:], h[15]).sum()).joint


def test_neighbours_alone_are_no_joint_loss() -> None:
    h = hidden()
    assert not open_recording(absolute(h[:, 1:] - h[:, :-1] + 5.0)).joint


def test_the_diagnosis_says_so() -> None:
    trace = rg.record(log_softmax_loss(nn.Linear(8, 5)(hidden().mean(axis=1))), lags=True)
    assert trace.notes == (JOINT,)
    diagnosis = rg.diagnose(trace)
    assert diagnosis.notes == (JOINT,)
    assert "Note: the loss reads many timesteps at once" in str(diagnosis)
    assert not rg.record(log_softmax_loss(nn.Linear(8, 5)(hidden()[:, 19])), lags=True).notes
