"""States in tables: of one whose rows enter and leave all is said of the table, and not of a row as a sample; where a
loop fills one step by step, and reads from there what it wrote, that is the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.truth import Trail, certified, check, gradients

torch = pytest.importorskip("torch")
tables = pytest.importorskip("rnngraph.sources.torch.autograd.tables")
loss_rows = pytest.importorskip("rnngraph.sources.torch.losses.loss_rows")
nn = torch.nn
D, H = 4, 5
PEOPLE = ([0, 1, 2], [0, 1, 2, 3], [1, 2, 3], [1, 4, 3], [3, 4, 5, 0], [4, 5, 0], [5, 0, 2, 1])


class Crowd(nn.Module):  # type: ignore[misc, name-defined]
    """People of whom each keeps a row of a table while others come and go; `picked` reads rows."""

    def __init__(self, picked: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head, self.picked = nn.LSTMCell(D, H), nn.Linear(H, 2), picked

    def pick(self, table: Any, rows: Any) -> Any:
        return table[rows] if self.picked == "index" else table.index_select(0, rows)

    def forward(self, frames: Sequence[Any], people: Sequence[Any]) -> Trail:
        trail, h, c = Trail(), frames[0].new_zeros(6, H), frames[0].new_zeros(6, H)
        for t, (x, rows) in enumerate(zip(frames, people, strict=True)):
            own = self.cell(x, (self.pick(h, rows), self.pick(c, rows)))
            h, c = h.index_copy(0, rows, own[0]), c.index_copy(0, rows, own[1])
            trail.add(h=own[0], c=own[1])
            trail.losses[t] = self.head(own[0]).square().sum()
        return trail


@pytest.mark.parametrize("picked", ["index", "index_select"])
def test_rows_that_are_picked_are_one_sample(picked: str) -> None:
    people = [torch.tensor(rows) for rows in PEOPLE]
    model, frames = Crowd(picked).double(), [torch.randn(len(rows), D).double() for rows in people]
    with rnngraph.torch.watch(model) as watch:
        trail = model(frames, people)
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert [(one.name, one.timesteps, one.valid.shape[0]) for one in trace.recurrences] == [("cell", len(PEOPLE), 1)]
    for kind, lags in zip("hc", trace.lags, strict=True):
        assert lags.samples.tolist() == [0]
        for s in lags.losses.tolist():
            truth = [float(one.norm()) for one in gradients(trail.losses[s], trail.states[kind])]
            found = np.exp(np.where(np.isnan(lags.log[0, s, 1:]), -np.inf, lags.log[0, s, 1:]))
            np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-14)
    leaves = [one.clone().requires_grad_() for one in frames]
    losses, fed = model(leaves, people).losses, trace.input_lags[0].log[0]
    for place, s in enumerate(trace.lags[0].losses.tolist()):
        truth = [float(one.norm()) for one in gradients(losses[s], leaves)][: s + 1]
        np.testing.assert_allclose(np.exp(fed[place, : s + 1]), truth, rtol=1e-9)
    said = rnngraph.diagnose(trace)
    assert "sample_differs" not in said.flags
    assert "one sample" in str(said)
    assert certified(trace)


def test_a_loss_that_reads_all_that_a_person_did_reads_many_steps() -> None:
    people = [
        torch.tensor(rows) for rows in ([1, 0], [0, 1], [1, 0], [0, 1], [2, 1, 0], [2, 0, 1], [2, 1, 0], [2, 0, 1])
    ]
    model, frames = Crowd("index").double(), [torch.randn(len(rows), D).double() for rows in people]
    with rnngraph.torch.watch(model) as watch:
        whole = torch.zeros(3, H).double()
        for rows, own in zip(people, model(frames, people).states["h"], strict=True):
            whole = whole.index_add(0, rows, own)
        whole.square().sum().backward()
    assert all(one.joint for one in watch.trace().lags)  # who leads the late rows was not there at the beginning


def test_rows_that_stay_where_they_are_remain_samples() -> None:
    people = [torch.arange(4)] * 6
    model, frames = Crowd("index").double(), [torch.randn(4, D).double() for _ in people]
    with rnngraph.torch.watch(model) as watch:
        model(frames, people).total().backward()
    assert watch.trace().recurrences[0].valid.shape[0] == 4


def test_states_that_all_go_on_as_rows_are_a_table() -> None:
    class Dreams(nn.Module):  # type: ignore[misc, name-defined]
        """Every state that data led to is the beginning of a dream."""

        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRUCell(D, H), nn.Linear(H, D)

        def forward(self, x: Any) -> Any:
            h, states = x.new_zeros(2, H), []
            for one in x.unbind(1):
                h = self.cell(one, h)
                states.append(h)
            h = torch.cat(states)
            for _ in range(3):
                h = self.cell(self.head(h), h)
            return h.square().sum()

    model = Dreams().double()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(2, 4, D).double()).backward()
    assert watch.trace().recurrences[0].valid.shape == (1, 7)


class Filled(nn.Module):  # type: ignore[misc, name-defined]
    """A loop around linear layers, or of weights alone, that reads states of so many steps back where it wrote them.

    The table has its steps along an axis; None is a list of states.
    """

    def __init__(self, axis: int | None, raw: bool, delays: Sequence[int] = (1,)) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.axis, self.raw, self.delays = axis, raw, delays
        self.read, self.again, self.head = (
            nn.Linear(D, H),
            nn.ModuleList(nn.Linear(H, H) for _ in delays),
            nn.Linear(H, 2),
        )
        self.weights = nn.ParameterList(torch.randn(H, H) * 0.4 for _ in delays)

    def forward(self, x: Any) -> Trail:
        trail, first, count = Trail(), max(self.delays), x.shape[1] + max(self.delays)
        rows: Sequence[Any] = range(count)
        table: Any = [x.new_zeros(len(x), H)] * count
        if self.axis is not None:
            table = torch.stack(table, self.axis)
            rows = [(slice(None),) * self.axis + (t, ...) for t in rows]
        for t in range(x.shape[1]):
            before = [table[rows[t + first - delay]] for delay in self.delays]
            if self.axis is not None:  # what was read is kept for the way back, and written beside
                before = [one.clone() for one in before]
            made = (
                [one @ w for one, w in zip(before, self.weights, strict=True)]
                if self.raw
                else [again(one) for again, one in zip(self.again, before, strict=True)]
            )
            h = sum(made, self.read(x[:, t])).tanh()
            trail.add(h=h)
            table[rows[t + first]] = h
        for t, row in enumerate(rows[first:]):
            trail.losses[t] = self.head(table[row]).square().sum()
        return trail


@pytest.mark.parametrize("delays", [(1,), (1, 2), (2,), (3,), (2, 3)])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_what_is_read_where_it_was_written_is_the_state_and_not_the_table(
    axis: int | None, raw: bool, delays: Sequence[int]
) -> None:
    model = Filled(axis, raw, delays).double()
    with rnngraph.torch.watch(model) as watch:
        trail = model(torch.randn(3, 9, D).double())
        trail.total().backward(retain_graph=True)
    trace = watch.trace()
    assert trace.lags[0].losses.tolist() == list(range(9))
    assert len(trace.states) == 1
    check(trace, trace.states[0].name, trail, "h")
    if axis is not None or len(delays) == 1:  # else the first states, which are data, enter several steps
        assert rnngraph.diagnose(trace).at_input


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize(
    ("written", "read", "known"),
    [
        (300, 300, True),
        (300, (300, slice(1, 3)), True),
        (slice(299, 302), 300, True),
        ((300, slice(3)), 300, False),
        (slice(300, 302), slice(299, 301), False),
        (slice(0, None, 2), 300, False),
    ],
)
def test_a_part_of_a_table_is_made_of_the_write_that_holds_it(written: Any, read: Any, known: bool, kind: Any) -> None:
    """Others are written before and behind: among them one whose place is the same number in eight bits."""
    leaf, table = torch.ones(4, dtype=kind, requires_grad=True), torch.zeros(310, 4, dtype=kind)
    table[44] = 3 * leaf
    table[written] = h = 2 * leaf.expand(table[written].shape if known else (4,))[..., : table[written].shape[-1]]
    table[301 if written == 300 else 7] = 3 * leaf
    made = tables.made_of(table[read].grad_fn)
    assert (made[0][0] is h.grad_fn) is known


def test_what_falls_below_the_smallest_number_is_walked_on_through_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, logs, ask = [0, 0], [], loss_rows.vjp

    def counted(*args: Any, **options: Any) -> Any:
        found = ask(*args, **options)
        arrived[-1] += len(found)
        return found

    monkeypatch.setattr(loss_rows, "vjp", counted)
    for kind in (torch.float64, torch.float32):
        model, arrived = Filled(1, raw=False), [*arrived, 0]
        with torch.no_grad():
            model.again[0].weight *= 0.01
        x = torch.randn(3, 120, D, generator=torch.Generator().manual_seed(1))
        with rnngraph.torch.watch(model.to(kind)) as watch:
            model(x.to(kind)).total().backward()
        logs.append(watch.trace().lags[0].log[:, -1, 31:])
    assert logs[0].min() < np.log(torch.finfo(torch.float32).tiny) - 10
    np.testing.assert_allclose(logs[1], logs[0], atol=1e-3)
    assert arrived[-1] < 5 * arrived[-2], "every piece walks all tables below it again"


def test_so_many_losses_are_walked_at_once_as_fit_with_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, ask, time = list[int](), loss_rows.vjp, 30

    def counted(run: Any, seeds: Any, *rest: Any, **options: Any) -> Any:
        rows.append(len(next(iter(seeds.values()))))
        return ask(run, seeds, *rest, **options)

    monkeypatch.setattr(loss_rows, "_BYTES", 500_000)
    monkeypatch.setattr(loss_rows, "vjp", counted)
    model = Filled(0, raw=False).double()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(3, time, D).double()).total().backward()
    watch.trace()
    tables = time * (time + 1) * 3 * H * 8  # bytes: a loss that is walked meets as many of them as there are steps
    assert 1 < max(rows) <= 500_000 // tables + 1  # and the row of all losses
