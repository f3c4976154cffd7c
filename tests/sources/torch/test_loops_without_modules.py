"""Loops whose steps call no module and multiply with no weight, or with one that is made of others: gated averages,
scans, linear attention, orthogonal networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rnngraph
from rnngraph.errors import InputError
from tests.sources.torch.truth import Trail, certified, check

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D = 3, 7, 4


class Forget(nn.Module):  # type: ignore[misc, name-defined]
    """A gated average; the step's products are stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(D, 2 * D)

    def forward(self, x: Any, trail: Trail) -> Any:
        keep, new = self.gates(x).chunk(2, -1)
        h, found = None, []
        for f, z in zip(keep.sigmoid(), new.tanh(), strict=True):
            h = z * (1 - f) if h is None else f * h + z * (1 - f)
            found.append(h)
        for one in found:
            trail.add(h=one)
        return torch.stack(found)


class Scan(nn.Module):  # type: ignore[misc, name-defined]
    """A selective scan: a state of more axes, read by a product after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.take, self.decay = nn.Linear(D, 2), nn.Parameter(torch.rand(D, 2))

    def forward(self, x: Any, trail: Trail) -> Any:
        b = self.take(x)
        step = torch.exp(-self.decay * b.square()[..., None, :])
        fed = x[..., None] * b[..., None, :]
        h, found = torch.zeros(N, D, 2, dtype=x.dtype), []
        for t in range(T):
            h = step[t] * h + fed[t]
            trail.add(h=h)
            found.append((h @ b[t][..., None])[..., 0])
        return torch.stack(found)


class LinearAttention(nn.Module):  # type: ignore[misc, name-defined]
    """What is read stands before the state is renewed, and is written into a tensor that was there."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(D, D), nn.Linear(D, D)

    def forward(self, x: Any, trail: Trail) -> Any:
        k, v, out = self.key(x).exp(), self.value(x), torch.zeros_like(x)
        over, under = torch.zeros(N, D, dtype=x.dtype), torch.zeros(N, D, dtype=x.dtype)
        for t in range(T):
            key, value = k[t], v[t]  # read before and after what is written, and no states
            out[t] = (over + key * value) / (under + key)
            over, under = 0.9 * over + key * value, 0.9 * under + key
            trail.add(under=under, over=over)  # the last made first
        return out


class Unread(nn.Module):  # type: ignore[misc, name-defined]
    """What is made last in a step, and would be named first, is not read after the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(D, D)

    def forward(self, x: Any, trail: Trail) -> Any:
        h = kept = torch.zeros(N, D, dtype=x.dtype)
        found = []
        for one in self.into(x):
            h = (one + kept + 0.3 * h).tanh()
            kept = 0.5 * kept + h
            found.append(2 * h)
            trail.add(h=h, kept=kept)
        return torch.stack(found)


class Stack(nn.Module):  # type: ignore[misc, name-defined]
    """Some of a kind on one another, and a loss a step."""

    def __init__(self, kind: Any, layers: int) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList([kind() for _ in range(layers)]), nn.Linear(D, 2)

    def forward(self, x: Any, trails: list[Trail]) -> Any:
        for layer, trail in zip(self.layers, trails, strict=True):
            x = layer(x, trail)
        losses = {t: self.head(one).square().sum() for t, one in enumerate(x)}
        for trail in trails:
            trail.losses = losses
        return sum(losses.values())


class Kept(nn.Module):  # type: ignore[misc, name-defined]
    """A loop of one weight that is made of parameters, of which the last step is read."""

    def __init__(self, make: Callable[[Any], Any], every: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.make, self.every = make, every
        self.free, self.read, self.head = nn.Parameter(torch.randn(D, D) / 2), nn.Linear(D, D), nn.Linear(D, 2)

    def forward(self, x: Any, trail: Trail) -> Any:
        h, weight = x.new_zeros(N, D), self.make(self.free)
        for one in x:
            h = (h @ (self.make(self.free) if self.every else weight) + self.read(one)).tanh()
            trail.add(h=h)
        trail.losses[T - 1] = self.head(h).square().sum()
        return trail.total()


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda free: torch.linalg.solve(torch.eye(D).to(free) + free - free.T, torch.eye(D).to(free) - free + free.T),
        lambda free: free.relu() * torch.tensor([1, 1, 1, -1]),
        lambda free: free @ free.T,
        lambda free: free * torch.eye(D),
    ],
)
def test_a_weight_may_be_made_of_parameters(make: Callable[[Any], Any], every: bool) -> None:
    model, trail = Kept(make, every).double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D).double(), trail).backward(retain_graph=True)
    trace = watch.trace()
    assert [(one.name, one.timesteps) for one in trace.recurrences] == [("free", T)]
    check(trace, "free.h", trail, "h")
    assert rnngraph.diagnose(trace).at_input


@pytest.mark.parametrize(("kind", "layers"), [(Forget, 2), (Scan, 2), (LinearAttention, 1), (Unread, 2)])
def test_what_is_put_side_by_side(kind: Any, layers: int) -> None:
    torch.manual_seed(0)
    model, trails = Stack(kind, layers).double(), [Trail() for _ in range(layers)]
    with rnngraph.torch.watch(model) as watch:
        model(nn.Parameter(torch.randn(T, N, D).double()), trails).backward()  # as words are, which weights look up
    trace = watch.trace()
    # The state that is read one step later begins with plain zeros, and nothing reads the last.
    steps = T - 1 if kind is LinearAttention else T
    assert [(one.name, one.timesteps) for one in trace.recurrences] == [(f"layers.{k}", steps) for k in range(layers)]
    assert "a loop without modules" in str(watch)
    assert certified(trace)
    assert len({one.clock for one in trace.recurrences}) == 1
    for one, trail in zip(trace.recurrences, trails, strict=True):
        trail.losses = {t: trail.losses[t + T - steps] for t in range(steps)}
        for k, key in enumerate(trail.states):
            trail.states[key] = trail.states[key][:steps]
            check(trace, f"{one.name}.h{k + 1 if k else ''}", trail, key)


def test_layers_that_read_a_state_before_they_renew_it() -> None:
    model, trails = Stack(LinearAttention, 2).double(), [Trail(), Trail()]
    with rnngraph.torch.watch(model) as watch:
        model(nn.Parameter(torch.randn(T, N, D).double()), trails).backward()
    assert [(one.name, one.timesteps) for one in watch.trace().recurrences] == [
        ("layers.0", T - 1),
        ("layers.1", T - 1),
    ]


def test_layers_side_by_side_are_no_loop() -> None:
    class Deep(nn.Module):  # type: ignore[misc, name-defined]
        """What every layer gives is weighed, as of a language model's layers."""

        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.ParameterList([nn.Parameter(torch.randn(D, D)) for _ in range(5)])

        def forward(self, x: Any) -> Any:
            found = []
            for weight in self.weights:
                x = (x @ weight).tanh()
                found.append(x)
            return torch.stack(found).mean(0)

    model = Deep()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(N, D)).square().sum().backward()
    with pytest.raises(InputError, match="no recurrence was found in Deep"):
        watch.trace()


def test_several_loops_of_one_module_have_names_of_their_own() -> None:
    class Twice(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.gates = nn.Linear(D, D)

        def forward(self, x: Any) -> Any:
            for _ in range(2):
                h, found = self.gates(x[0]), []
                for one in x:
                    h = (0.8 * h + one).tanh()
                    found.append(h)
                x = torch.stack(found)
            return x

    model = Twice()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D)).square().sum().backward()
    assert [one.name for one in watch.trace().recurrences] == ["twice", "twice#2"]


def test_losses_that_a_loop_sums() -> None:
    class Fast(nn.Module):  # type: ignore[misc, name-defined]
        """A matrix a sample is written to; what it gives back is never stacked, as its loss is added at once."""

        def __init__(self) -> None:
            super().__init__()
            self.key, self.value, self.head = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, 2)

        def forward(self, x: Any, trail: Trail) -> Any:
            kept, loss = torch.zeros(N, D, D, dtype=x.dtype), 0
            for t, one in enumerate(x):
                key, value = self.key(one).tanh(), self.value(one)
                kept = 0.9 * kept + (value - (kept @ key[:, :, None])[:, :, 0])[:, :, None] * key[:, None]
                trail.add(h=kept)
                trail.losses[t] = self.head((kept @ one[:, :, None])[:, :, 0]).square().sum()
                loss = loss + trail.losses[t]
            return loss

    torch.manual_seed(0)
    model, trail = Fast().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D).double(), trail).backward()
    trace = watch.trace()
    check(trace, trace.states[0].name, trail, "h")
    assert certified(trace)
