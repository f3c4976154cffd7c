"""Random numbers of a time are drawn again, and those of the run stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

random_numbers = pytest.importorskip("rnngraph.sources.torch.capture.random_numbers")


def fails_within(state: Any, device: Any, look: Callable[[], None]) -> None:
    with random_numbers.drawn_from(state, device):
        look()
        raise KeyError


def test_on_the_cpu() -> None:
    state, first = torch.get_rng_state(), torch.rand(3)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found: list[Any] = []
    with pytest.raises(KeyError):
        fails_within(state, torch.device("cpu"), lambda: found.append(torch.rand(3)))
    assert torch.equal(found[0], first)
    assert torch.equal(torch.get_rng_state(), before)


class Stand:
    """A generator of a GPU: whoever sets its state has cuDNN draw anew; whoever lends it another's has not."""

    def __init__(self, device: Any = None) -> None:
        self.drawn: list[Any] = []
        self.anew = False

    def set_state(self, state: Any) -> None:
        self.drawn[:] = [state]
        self.anew = True

    def graphsafe_get_state(self) -> Stand:
        lent = Stand()
        lent.drawn = self.drawn
        return lent

    def graphsafe_set_state(self, other: Stand) -> None:
        self.drawn = other.drawn


def test_on_a_gpu_the_generator_of_the_run_is_never_set(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Stand()
    own.drawn.append("now")
    monkeypatch.setattr(torch, "Generator", Stand)
    monkeypatch.setattr(torch.cuda, "default_generators", (own,))
    found: list[Any] = []

    def draw() -> None:
        found.extend(own.drawn)
        own.drawn.append("further")

    with pytest.raises(KeyError):
        fails_within("then", torch.device("cuda", 0), draw)
    assert found == ["then"]
    assert (own.drawn, own.anew) == (["now"], False)
