"""Losses that read many steps at once, by attention or pooling, beside those that are sums over steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from tests import programs
from tests.sources.torch.unrolled import unroll

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional
N, T, D, H = 4, 50, 3, 8


class Squares(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """A loss of one's own, in one kernel that can be differentiated once."""

    @staticmethod
    def forward(ctx: Any, scores: Any) -> Any:
        ctx.save_for_backward(scores)
        return scores.square().sum()

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Any) -> Any:
        return 2 * gradient * ctx.saved_tensors[0]


class Read(nn.Module):  # type: ignore[misc, name-defined]
    """A layer, or a cell in a loop, and a way to read its states."""

    def __init__(self, how: str, *, cell: bool) -> None:
        super().__init__()
        self.how, self.cell, self.weight = how, cell, 1e-3
        self.core: Any = nn.RNNCell(D, H) if cell else nn.RNN(D, H)
        self.ask, self.norm = nn.Linear(H, 1), nn.BatchNorm1d(H)
        self.head = nn.Linear(2 * H if how == "first and last" else H, 3)

    def states(self, x: Any) -> Any:
        if not self.cell:
            return self.core(x)[0]
        h, found = torch.zeros(N, H).to(x), []
        for one in x:
            h = self.core(one, h)
            found.append(h)
        return torch.stack(found)

    def loss(self, hidden: Any, targets: Any) -> Any:
        if self.how == "mean":
            hidden = hidden.mean(0)
        elif self.how == "maximum":
            hidden = hidden.amax(0)
        elif self.how == "attention":
            hidden = (self.ask(hidden).softmax(0) * hidden).sum(0)
        elif self.how == "attention in one kernel":
            by_sample = hidden.transpose(0, 1)[:, None]
            query = self.ask.weight.expand(N, 1, 1, H)
            hidden = F.scaled_dot_product_attention(query, by_sample, by_sample)[:, 0, 0]
        elif self.how == "attention in one kernel, blind at first":
            by_sample, seen = hidden.transpose(0, 1), torch.ones(T, T, dtype=torch.bool).tril(-1)
            hidden = F.scaled_dot_product_attention(by_sample, by_sample, by_sample, seen).mean(1)
        elif self.how == "first and last":
            hidden = torch.cat([hidden[0], hidden[-1]], -1)
        elif self.how == "last":
            hidden = hidden[-1]
        elif self.how == "normalised":
            hidden = self.norm(hidden.flatten(0, 1)).view(hidden.shape)
        if self.how == "contrasted":  # two views of two samples are compared, each as one thing
            one, other = F.normalize(hidden.mean(0), dim=-1).split(N // 2)
            return F.cross_entropy(one @ other.T / 0.1, torch.arange(N // 2))
        if self.how.endswith("written out"):  # its larger half is linear, and tells nothing
            scores = self.head(hidden if self.how.startswith("words") else hidden.mean(0, keepdim=True))
            labels = targets[: len(scores), :, None]
            return (scores.logsumexp(-1) - 3 * scores.gather(-1, labels)[..., 0]).sum()
        if self.how == "absolute, of neighbours":
            return (hidden[1:] - 2 * hidden[:-1] - 9).abs().mean()
        if self.how.startswith("absolute"):  # without a second derivative, as a linear loss and a hinge
            scores = self.head(hidden.mean(0) if self.how.endswith("mean") else hidden)
            return F.l1_loss(scores, scores.detach() + 1)
        if self.how == "critic, turned with its weights":
            return (hidden.transpose(0, 1) * torch.ones_like(hidden).transpose(0, 1)).sum()
        if self.how == "critic, turned":
            return (hidden.transpose(0, 1) * torch.ones(N, T, H).to(hidden)).sum()
        if self.how.startswith("critic"):
            return self.head(hidden.amax(0) if self.how.endswith("maximum") else hidden).sum()
        if self.how.startswith("hinge"):  # which lets nothing of some through
            scores = self.head(hidden.amax(0) if self.how.endswith("maximum") else hidden)
            return (1 + torch.arange(3) - scores).clamp(min=1.5).mean()
        if self.how.startswith("margin"):
            scores = self.head(hidden.mean(0) if self.how.endswith("mean") else hidden).flatten(0, -2)
            return F.multi_margin_loss(scores, targets.flatten()[: len(scores)])
        if self.how == "logarithm of a sum":
            return self.head(hidden).logsumexp(0).sum()
        if self.how.startswith("root"):  # a function of one sum is as that sum
            return self.head(hidden[:, :1]).square().mean().sqrt()
        if self.how == "alignments":
            lengths = [torch.full((N,), size) for size in (T, 3)]
            return F.ctc_loss(self.head(hidden).log_softmax(-1), torch.ones(N, 3, dtype=torch.long), *lengths)
        if self.how.startswith("kernel"):
            return Squares.apply(self.head(hidden.mean(0) if self.how.endswith("mean") else hidden))
        if self.how == "weighed by a parameter":
            return self.head(hidden).square().mean() * self.ask.bias.exp().sum() - self.ask.bias.sum()
        if self.how == "squares, weighed by step in a product":
            return (self.head(hidden).square().mean(-1).T @ torch.arange(T).to(hidden)[:, None]).mean()
        if self.how == "squares":
            return self.head(hidden).square().sum()
        if self.how == "smooth":  # neighbours alone are joined, as by a convolution
            return self.head(hidden).square().sum() + (hidden[1:] - hidden[:-1]).square().sum()
        if self.how == "penalty":  # a side term reads all steps
            return (
                F.cross_entropy(self.head(hidden).flatten(0, 1), targets.flatten())
                + self.weight * hidden.mean(0).square().sum()
            )
        if hidden.dim() == 2:
            return F.cross_entropy(self.head(hidden), targets[0])
        return F.cross_entropy(self.head(hidden).flatten(0, 1), targets.flatten())


@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize(
    ("how", "joint"),
    [
        ("mean", True), ("maximum", True), ("attention", True), ("attention in one kernel", True),
        ("attention in one kernel, blind at first", True), ("alignments", True), ("logarithm of a sum", True),
        ("root of a mean, of one sample", False), ("weighed by a parameter", False),
        ("kernel of one's own", False), ("kernel of one's own, of the mean", True),
        ("first and last", True), ("contrasted", True), ("written out", True), ("words written out", False),
        ("hinge, of the maximum", True), ("hinge", False),
        ("absolute, of neighbours", False), ("critic, of the maximum", True), ("critic", False),
        ("critic, turned", False),
        ("critic, turned with its weights", False),
        ("absolute, of the mean", True), ("absolute", False), ("margin, of the mean", True), ("margin", False),
        ("last", False),
        ("every", False), ("squares", False), ("normalised", False),
        ("squares, weighed by step in a product", False),
        ("smooth", False), ("penalty", False),
    ],
)  # fmt: skip
def test_which_losses_read_many_steps(how: str, joint: bool, cell: bool) -> None:
    torch.manual_seed(0)
    model, x = Read(how, cell=cell).double(), torch.randn(T, N, D).double()
    targets = torch.randint(0, 3, (T, N))
    with rnngraph.torch.watch(model) as watch:
        model.loss(model.states(x), targets).backward()
    trace = watch.trace()
    assert trace.lags[0].joint is joint
    assert any("taken as one loss" in note for note in trace.notes) is joint
    if not joint:
        assert len(trace.lags[0].losses) == (1 if how == "last" else 32)
        return
    assert trace.lags[0].losses.tolist() == [T - 1]
    xs = x.clone().requires_grad_()
    if cell:
        h, states = torch.zeros(N, H).double(), []
        for one in xs:
            h = model.core(one, h)
            states.append(h)
    else:
        states = unroll(model.core, xs.transpose(0, 1)).states["h", 0, False]
    total = model.loss(torch.stack(states), targets)
    known = torch.autograd.grad(total, [*states, xs], retain_graph=True)
    of_states = np.stack([one.norm(dim=1).numpy() for one in known[:-1]], axis=1)
    found = trace.lags[0].log[:, 0, 1:]
    there = ~np.isnan(found)  # from where the loss arrives
    np.testing.assert_allclose(np.exp(found[there]), of_states[there], rtol=1e-9, atol=1e-16)
    assert not of_states[~there].any()
    np.testing.assert_allclose(
        np.exp(trace.input_lags[0].log[:, 0]), known[-1].norm(dim=2).numpy().T, rtol=1e-9, atol=1e-16
    )
    # Every step is heard directly: nothing vanishes, as it would if each step's part were a loss of its own.
    assert rnngraph.diagnose(trace, horizon=T - 1 if how == "first and last" else T - 5).verdict == "healthy"


@pytest.mark.parametrize("pooled", [True, False])
def test_two_towers_that_are_both_pooled_are_read_by_one_loss(pooled: bool) -> None:
    """Where one of them is read at every step, the loss of a step is that step's."""
    torch.manual_seed(0)
    towers = nn.ModuleList([nn.GRU(D, H), nn.GRU(D, H)]).double()
    xs = [torch.randn(time, N, D, dtype=torch.float64, requires_grad=True) for time in (T, T // 2)]
    with rnngraph.torch.watch(towers) as watch:
        one, other = (tower(x)[0] for tower, x in zip(towers, xs, strict=True))
        if pooled:
            (F.normalize(one.mean(0), dim=-1) * F.normalize(other.mean(0), dim=-1)).sum().backward()
        else:
            (one.square().sum() + F.normalize(other.mean(0), dim=-1).sum()).backward()
    trace = watch.trace()
    assert [lag.joint for lag in trace.lags] == [pooled, pooled]
    for lag, x in zip(trace.input_lags if pooled else (), xs, strict=pooled):
        np.testing.assert_allclose(np.exp(lag.log[:, 0]), x.grad.norm(dim=2).T, rtol=1e-9)


@pytest.mark.parametrize("attended", [False, True])
def test_what_is_summed_up_on_the_way_is_read_by_one_loss(*, attended: bool) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"cell": nn.GRUCell(D, H), "ask": nn.Linear(H, 1), "head": nn.Linear(H, 3)}).double()
    h, total, weights = torch.zeros(N, H).double(), 0.0, 0.0
    with rnngraph.torch.watch(model) as watch:
        for one in torch.randn(20, N, D).double():
            h = model["cell"](one, h)
            weight = model["ask"](h).exp() if attended else 1.0
            total, weights = total + weight * h, weights + weight
        F.cross_entropy(model["head"](total / weights), torch.arange(N) % 3).backward()
    assert watch.trace().lags[0].joint


@pytest.mark.parametrize(("weight", "joint"), [(1e-4, False), (1e-2, False), (1e4, True)])
def test_of_a_sum_the_larger_term_decides(weight: float, joint: bool) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        model = Read("penalty", cell=False).double()
        model.weight = weight
        with rnngraph.torch.watch(model) as watch:
            hidden = model.states(torch.randn(T, N, D).double())
            (model.loss(hidden, torch.randint(0, 3, (T, N))) / 4).backward()
        assert watch.trace(lags=rnngraph.LagOptions(losses=1)).lags[0].joint is joint


@pytest.mark.parametrize(("weight", "joint"), [(0.5, False), (5.0, True)])
def test_a_state_that_is_itself_a_sum_is_one_term(weight: float, joint: bool) -> None:
    """A residual step: what its two parts get on all ways is more than what the loss gives its last state."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"cell": nn.Linear(4, 4)}).double()
    h, states = torch.zeros(3, 4).double(), []
    with rnngraph.torch.watch(model) as watch:
        for one in torch.randn(12, 3, 4).double():
            h = h + 0.3 * torch.tanh(model["cell"](h + one))
            states.append(h)
        pooled = (torch.stack(states).mean(0) * 3).tanh().square().sum()
        (weight * pooled + h.sum()).backward()
    assert watch.trace(lags=rnngraph.LagOptions(losses=1)).lags[0].joint is joint


def test_a_loss_at_the_last_step_vanishes_all_the_same() -> None:
    torch.manual_seed(0)
    model = Read("last", cell=False)
    with rnngraph.torch.watch(model) as watch:
        model.loss(model.states(torch.randn(T, N, D)), torch.randint(0, 3, (T, N))).backward()
    assert rnngraph.diagnose(watch.trace(), horizon=T - 2).verdict == "vanishing"


class Look(nn.Module):  # type: ignore[misc, name-defined]
    """What a decoder of captions looks at, from its state before."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = nn.Linear(H, D)

    def forward(self, image: Any, h: Any) -> tuple[Any, Any]:
        at = (image @ self.ask(h)[:, :, None]).softmax(1)
        return (at * image).sum(1), at


class Captions(nn.Module):  # type: ignore[misc, name-defined]
    """Words from an image of a few places, all of which should be looked at in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.cell, self.words = Look(), nn.LSTMCell(2 * D, H), nn.Linear(H, 9)

    def forward(self, image: Any, given: Any) -> tuple[Any, Any]:
        h, c = torch.zeros(2, N, H).double()
        scores, ats = [], []
        for word in given:
            seen, at = self.look(image, h)
            h, c = self.cell(torch.cat([word, seen], -1), (h, c))
            scores.append(self.words(h))
            ats.append(at)
        return torch.stack(scores), torch.stack(ats)


@pytest.mark.parametrize("words", [True, False])
def test_beside_words_a_penalty_on_attention_is_a_side_term(*, words: bool) -> None:
    torch.manual_seed(0)
    model, image, given = Captions().double(), torch.randn(N, 4, D).double(), torch.randn(6, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        scores, ats = model(image, given)
        loss = (1 - ats.sum(0)).square().mean()
        if words:
            loss = loss + F.cross_entropy(scores.flatten(0, 1), torch.randint(0, 9, (6 * N,)))
        loss.backward()
    assert watch.trace().lags[0].joint is not words


ABSOLUTE = """
import torch
import rnngraph

layer = torch.nn.RNN(2, 3)
with rnngraph.torch.watch(layer) as watch:
    layer(torch.randn(4, 1, 2))[0].abs().sum().backward()
print(watch.trace().lags[0].joint)
"""


def test_a_zero_that_pytorch_has_not_put_in_memory_does_not_end_the_process(tmp_path: Path) -> None:
    # The second derivative of |h| is such a zero; a view of it reads at no address.
    (tmp_path / "absolute.py").write_text(ABSOLUTE)
    found = programs.run("absolute.py", folder=tmp_path, loaded="torch")
    assert (found.returncode, found.stdout.strip()) == (0, "False"), found.stderr


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("other", [0, 4])
def test_a_product_of_two_states_of_which_one_may_be_next_to_nothing(other: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = nn.RNN(3, 4)
    with torch.no_grad():
        [one.normal_() for one in layer.parameters()]
    with rnngraph.torch.watch(layer) as watch:
        states = layer(torch.randn(9, 2, 3))[0]
        (states[-1] * states[other]).tanh().sum().backward()
    assert watch.trace().lags[0].joint


@pytest.mark.parametrize("seed", [0, 40, 162, 219, 238, 299])
def test_statistics_of_a_norm_above_all_layers_read_no_steps(seed: int) -> None:
    torch.manual_seed(seed)
    into, again, norm, head = nn.Linear(4, 8), nn.Parameter(torch.rand(8).double()), nn.BatchNorm1d(8), nn.Linear(8, 2)
    model = nn.ModuleList([into, norm, head]).double()
    model.register_parameter("again", again)
    with rnngraph.torch.watch(model) as watch:
        h, found = torch.zeros(4, 8).double(), []
        for one in into(torch.randn(9, 4, 4).double()):
            h = (one + again * h).relu()
            found.append(h)
        F.cross_entropy(head(norm(torch.stack(found, 2))[..., -1]), torch.arange(4) % 2).backward()
    assert watch.trace().lags[0].losses.tolist() == list(range(9))
