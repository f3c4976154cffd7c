"""Layers whose gates have weights of their own, and two directions: which weight is wrong is said by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.gradcheck.mistakes import explains, mistakes
from tests.check.hand_written import rnn_backward, rnn_forward, sigmoid
from tests.draws import draw

N, T, D, H = 3, 5, 2, 4


class Gru:
    """A layer as one writes it by hand, with one mistake."""

    def __init__(self, mistake: str = "") -> None:
        self.mistake = mistake
        for k, gate in enumerate("zrn"):
            setattr(self, f"W{gate}", draw(D, H, seed=k))
            setattr(self, f"U{gate}", draw(H, H, seed=k))
            setattr(self, f"b{gate}", draw(H, seed=k))

    def forward(self, x: Any) -> Any:
        w, h, self.cache, out = vars(self), np.zeros((len(x), H)), [], []
        for t in range(x.shape[1]):
            z, r = (sigmoid(x[:, t] @ w[f"W{one}"] + h @ w[f"U{one}"] + w[f"b{one}"]) for one in "zr")
            n = np.tanh(x[:, t] @ w["Wn"] + (r * h) @ w["Un"] + w["bn"])
            self.cache.append((x[:, t], h, z, r, n))
            h = z * h + (1 - z) * n
            out.append(h)
        return np.stack(out, axis=1)

    def backward(self, dout: Any) -> Any:
        w: dict[str, Any] = vars(self)
        for gate in "zrn":
            w |= {f"d{name}{gate}": np.zeros_like(w[f"{name}{gate}"]) for name in "WUb"}
        dx, carried = np.zeros((N, T, D)), np.zeros((N, H))
        for t in reversed(range(T)):
            x, h, z, r, n = self.cache[t]
            total = dout[:, t] + carried
            dn = total * (1 - z) * (1 - n * n)
            drh = dn @ w["Un"].T
            dz = total * (n - h if self.mistake == "update" else h - n) * z * (1 - z)
            dr = drh * (1 if self.mistake == "reset" else h) * r * (1 - r)
            carried = drh * r + dz @ w["Uz"].T + total * z
            carried = carried if self.mistake == "way" else carried + dr @ w["Ur"].T
            for gate, da, seen in (("z", dz, h), ("r", dr, h), ("n", dn, r * h)):
                w[f"dW{gate}"] += x.T @ da
                w[f"dU{gate}"] += seen.T @ da
                w[f"db{gate}"] += da.sum() if self.mistake + gate == "sumr" else da.sum(axis=0)
                dx[:, t] += da @ w[f"W{gate}"].T
        return dx


def where(mistake: str) -> tuple[str, ...]:
    report = rg.check(Gru(mistake), draw(N, T, D, scale=1.0))
    assert report.differs == bool(mistake), str(report)
    return report.where


@pytest.mark.parametrize(
    ("mistake", "says"),
    [("reset", "what comes back to sigmoid of Ur, Wr, br through 'multiply' with the hidden state lacks its factor."),
     ("update", "the slope of sigmoid of Uz, Wz, bz has the wrong sign."),
     ("way", "what is carried from step t+1 to t through Ur is not added."),
     ("sum", "br: every element of it is the sum of all: it is summed over the units too, and not over the batch")],
)  # fmt: skip
def test_the_weight_is_named(mistake: str, says: str) -> None:
    assert any(says in sentence for sentence in where(mistake))


def test_the_right_one_passes() -> None:
    assert where("") == ()


def both_forward(x: Any, Wx: Any, Wh: Any, b: Any, Wxb: Any, Whb: Any, bb: Any) -> Any:
    start = np.zeros((len(x), H))
    ahead, one = rnn_forward(x, start, Wx, Wh, b)
    back, other = rnn_forward(x[:, ::-1], start, Wxb, Whb, bb)
    return np.concatenate([ahead, back[:, ::-1]], axis=2), (one, other)


def both_backward(dout: Any, cache: Any, *, cut: bool = False) -> Any:
    one, other = cache
    dx, _, *ahead = rnn_backward(dout[:, :, :H], one)
    flipped = dout[:, ::-1, H:]
    if cut:  # each step alone
        (x, h, Wx, Wh), parts = other, []
        for t in range(T):
            parts.append(rnn_backward(flipped[:, t : t + 1], (x[:, t : t + 1], h[t : t + 2], Wx, Wh)))
        dback, back = (
            np.concatenate([part[0] for part in parts], axis=1),
            [sum(some) for some in zip(*parts, strict=True)][2:],
        )
    else:
        dback, _, *back = rnn_backward(flipped, other)
    return dx + dback[:, ::-1], *ahead, *back


def test_the_direction_is_named() -> None:
    given = draw(N, T, D), *[draw(*shape, seed=k) for k in (0, 1) for shape in ((D, H), (H, H), (H,))]
    assert rg.check(both_forward, both_backward, *given).passed
    report = rg.check(both_forward, lambda dout, cache: both_backward(dout, cache, cut=True), *given)
    assert "x, Wxb, Whb, bb: what is carried from step t+1 to t along Whb is not added." in report.where


def from_the_end(x: Any, h: Any, U: Any) -> Any:
    out, states = np.zeros_like(x), [h]
    for t in reversed(range(T)):
        h = np.tanh(x[:, t] + h @ U) + 0.5 * h
        states.append(h)
        out[:, t] = h
    return out, (x, states, U)


def from_the_end_backward(dout: Any, cache: Any, *, kept: float = 0.5) -> Any:
    x, states, U = cache
    dx, d_u, carried = np.zeros_like(x), np.zeros_like(U), np.zeros_like(states[0])
    for t in range(T):
        before = states[T - 1 - t]
        total = dout[:, t] + carried
        dx[:, t] = total * (1 - np.tanh(x[:, t] + before @ U) ** 2)
        d_u += before.T @ dx[:, t]
        carried = dx[:, t] @ U.T + kept * total
    return dx, carried, d_u


def test_a_way_is_named_from_the_last_step_to_the_first_too() -> None:
    given = draw(N, T, H), draw(N, H), draw(H, H)
    assert rg.check(from_the_end, from_the_end_backward, *given).passed
    report = rg.check(from_the_end, lambda dout, cache: from_the_end_backward(dout, cache, kept=0.0), *given)
    assert report.where == ("x, h, U: what is carried from step t+1 to t through 'multiply' with 0.5 is not added.",)


@pytest.mark.parametrize(
    ("claimed", "words"),
    [(1e6 * (draw(6, seed=1) + draw(6, seed=2)), []), (1e-17 * draw(6, seed=2), []),
     (3 * draw(6, seed=1), ["it is 3 times the right one"])],
)  # fmt: skip
def test_a_large_gradient_of_no_pattern_is_no_factor_and_a_tiny_one_not_clipped(claimed: Any, words: list[str]) -> None:
    right = draw(6, seed=1)
    assert [one for one, made in mistakes(claimed, right, (), None) if explains(made, claimed, right)] == words
