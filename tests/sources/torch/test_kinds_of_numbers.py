"""Weights of 16 bits, judged and drawn by what such numbers can tell, also when saved; and states that are complex."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import rnngraph
from rnngraph.trace.precision import is_kind, precision_of

torch = pytest.importorskip("torch")
truth = pytest.importorskip("tests.sources.torch.truth")
nn = torch.nn


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_precision_is_that_of_pytorch(kind: str) -> None:
    about = torch.finfo(getattr(torch, kind))
    assert precision_of(kind) == (about.eps, about.max)
    assert is_kind(kind)


def test_a_kind_that_there_is_not() -> None:
    assert not is_kind("float33")
    assert precision_of("int64") == precision_of("float64")


@pytest.mark.parametrize(("kind", "rounded"), [("bfloat16", True), ("float16", True), ("float32", False)])
def test_what_is_left_is_held_to_the_weights(kind: str, rounded: bool, tmp_path: Path) -> None:
    """The loss has 32 bits in every case: its gradient adds up in the weights' type."""
    torch.manual_seed(0)
    dtype, layer = getattr(torch, kind), nn.RNN(3, 8, bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(0.7 * torch.eye(8))  # 0.7^23: float32 tells it from nothing, 16 bits do not
        layer.weight_ih_l0.mul_(0.1)
    layer.to(dtype)
    x = 0.1 * torch.randn(25, 4, 3)
    with rnngraph.torch.watch(layer) as watch:
        layer(x.to(dtype))[0][-1].float().sum().backward()
    path = tmp_path / "run.npz"
    watch.trace().save(path)
    trace = rnngraph.Trace.load(path)
    assert trace.dtype == kind
    found: Any = next(one for one in rnngraph.diagnose(trace).findings if "decades" in one.evidence)
    assert found.evidence["decades"] == pytest.approx(23 * math.log10(0.7), abs=0.02)
    assert found.evidence.get("extinct_in") == (kind if rounded else None)
    rnngraph.render(trace, tmp_path / "run.svg")
    assert kind in (tmp_path / "run.svg").read_text(encoding="utf-8")


class Turned(nn.Module):  # type: ignore[misc, name-defined]
    """A complex state that a matrix turns; its real part goes through a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(0.8 * torch.linalg.qr(torch.randn(5, 5, dtype=torch.complex128))[0])
        self.read = nn.Parameter(torch.randn(3, 5, dtype=torch.complex128))

    def forward(self, x: Any, h: Any) -> Any:
        z = h @ self.turn + x.to(torch.complex128) @ self.read
        return torch.complex(z.real.relu(), z.imag)


class Spinning(nn.Module):  # type: ignore[misc, name-defined]
    """A linear recurrent unit: units that decay and turn by themselves (Orvieto et al., 2023), or a cell."""

    def __init__(self, cell: Any = None) -> None:
        super().__init__()
        self.cell, self.decay, self.angle = cell, nn.Parameter(-torch.rand(5)), nn.Parameter(3 * torch.rand(5))
        self.read = nn.Parameter(torch.randn(3, 5, dtype=torch.complex128))

    def forward(self, x: Any, trail: Any) -> Any:
        h, factor = torch.zeros(x.shape[1], 5, dtype=torch.complex128), torch.exp(torch.complex(self.decay, self.angle))
        for one in x:
            h = factor * h + one.to(torch.complex128) @ self.read if self.cell is None else self.cell(one, h)
            trail.add(h=h)
        for t, out in enumerate(torch.stack(trail.states["h"])):
            trail.losses[t] = out.real.square().sum() + out.abs().sum()
        return trail.total()


@pytest.mark.parametrize("cell", [None, Turned])
def test_complex_states(cell: Any) -> None:
    torch.manual_seed(0)
    model, x, trail = Spinning(cell and cell()), torch.randn(7, 2, 3, dtype=torch.float64), truth.Trail()
    with rnngraph.torch.watch(model) as watch:
        model.double()(x, trail).backward()
    trace = watch.trace(lags=rnngraph.LagOptions(losses="all", samples="all"))
    (state,) = trace.states
    assert trace.dtype == "float64"
    assert truth.certified(trace)
    truth.check(trace, state.name, trail, "h")
    if cell is not None:
        turn = next(one for one in trace.parameters if one.name == "cell.turn")
        assert (turn.spectral_radius, turn.largest_singular_value) == pytest.approx((0.8, 0.8))
        assert turn.norm == pytest.approx(0.8 * math.sqrt(5))
