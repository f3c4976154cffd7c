"""Cells whose step is one node, as PyTorch's are on a GPU: the same trace as of the cells on a CPU, operation by
operation. The node stands in for the one of a GPU; its names and what it keeps are PyTorch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.truth import Trail, check

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 7, 4, 5


class ThnnFusedLstmCell(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """i, f, g, o are kept behind their functions, and c."""

    @staticmethod
    def forward(ctx: Any, gates: Any, before: Any) -> Any:
        i, f, g, o = gates.chunk(4, dim=1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * before + i * g
        ctx.before, ctx._saved_result1, ctx._saved_result2 = (
            before,
            c.clone().requires_grad_(),
            torch.cat([i, f, g, o], dim=1),
        )
        return o * c.tanh(), c

    @staticmethod
    def backward(ctx: Any, h: Any, c: Any) -> Any:
        i, f, g, o = ctx._saved_result2.chunk(4, dim=1)
        squashed = ctx._saved_result1.tanh()
        c = c + h * o * (1 - squashed**2)
        slopes = c * g * i * (1 - i), c * ctx.before * f * (1 - f), c * i * (1 - g**2), h * squashed * o * (1 - o)
        return torch.cat(slopes, dim=1), c * f


class ThnnFusedGruCell(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """r, z, n are kept behind their functions, h before, and the part of n that r gates."""

    @staticmethod
    def forward(ctx: Any, x: Any, h: Any, before: Any) -> Any:
        (xr, xz, xn), (hr, hz, hn) = x.chunk(3, dim=1), h.chunk(3, dim=1)
        r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
        n = (xn + r * hn).tanh()
        ctx._saved_result1 = torch.cat([r, z, n, before, hn], dim=1)
        return n + z * (before - n)

    @staticmethod
    def backward(ctx: Any, h: Any) -> Any:
        r, z, n, before, hn = ctx._saved_result1.chunk(5, dim=1)
        to_n = h * (1 - z) * (1 - n**2)
        to_r, to_z = to_n * hn * r * (1 - r), h * (before - n) * z * (1 - z)
        return torch.cat([to_r, to_z, to_n], dim=1), torch.cat([to_r, to_z, to_n * r], dim=1), h * z


def lstm_cell(x: Any, state: Any, w: Any, u: Any, b: Any, bu: Any) -> Any:
    return ThnnFusedLstmCell.apply(nn.functional.linear(x, w, b) + nn.functional.linear(state[0], u, bu), state[1])


def gru_cell(x: Any, h: Any, w: Any, u: Any, b: Any, bu: Any) -> Any:
    return ThnnFusedGruCell.apply(nn.functional.linear(x, w, b), nn.functional.linear(h, u, bu), h)


class Model(nn.Module):  # type: ignore[misc, name-defined]
    """A cell in a loop, a mask that keeps old states where it is asked for, and a head."""

    def __init__(self, kind: str, *, masked: bool = False) -> None:
        super().__init__()
        self.cell, self.head, self.masked = getattr(nn, kind)(D, H), nn.Linear(H, 2), masked

    def forward(self, x: Any, trail: Trail) -> Any:
        state: Any = None
        for t, one in enumerate(x):
            new = self.cell(one, state)
            parts = new if isinstance(new, tuple) else (new,)
            trail.add(**dict(zip("hc", parts, strict=False)))
            if self.masked and state is not None:
                keep = (torch.arange(N) + t)[:, None] % 3 > 0
                olds = state if isinstance(state, tuple) else (state,)
                parts = tuple(torch.where(keep, a, b) for a, b in zip(parts, olds, strict=True))
            state = parts if isinstance(new, tuple) else parts[0]
            trail.losses[t] = self.head(nn.functional.dropout(parts[0], 0.2)).square().sum() * (t > 1)
        return trail.total()


def watched(kind: str, *, masked: bool, dtype: Any = torch.float64) -> tuple[Any, Any, Trail]:
    torch.manual_seed(0)
    model = Model(kind, masked=masked).to(dtype)
    x, trail = torch.randn(T, N, D, dtype=dtype), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(x, trail).backward()
    return watch.trace(lags=rnngraph.LagOptions(losses="all", samples="all")), watch, trail


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell"])
def test_the_same_as_operation_by_operation(kind: str, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, other, trail = watched(kind, masked=masked)
    monkeypatch.setattr(torch._VF, "lstm_cell", lstm_cell)
    monkeypatch.setattr(torch._VF, "gru_cell", gru_cell)
    found, watch, _ = watched(kind, masked=masked)
    for one, two in zip(found.states, expected.states, strict=True):
        assert one.name == two.name
        for name in ("grad", "immediate", "carried"):
            np.testing.assert_allclose(getattr(one, name).value, getattr(two, name).value, rtol=1e-10, err_msg=name)
        check(found, one.name, trail, one.name.removeprefix("cell."))
    assert [one.cell for one in found.recurrences] == [one.cell for one in expected.recurrences]
    assert [one.gate for one in found.gates] == [*{"LSTMCell": "ifog", "GRUCell": "rzn"}[kind]]
    for ours, theirs in zip(found.gates, expected.gates, strict=True):
        np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-12)
        np.testing.assert_allclose(ours.log_mean, theirs.log_mean, rtol=1e-12)
        np.testing.assert_array_equal(ours.saturated, theirs.saturated)
    for one in found.states:
        for t in range(T):
            np.testing.assert_allclose(watch.state(one.name, t)[1], other.state(one.name, t)[1], atol=1e-14)
        for ours, theirs in zip(watch.row(3)[one.name], other.row(3)[one.name], strict=True):
            assert (ours is None) == (theirs is None)
            np.testing.assert_allclose(
                torch.zeros(1) if ours is None else ours, 0 if theirs is None else theirs, atol=1e-14
            )
