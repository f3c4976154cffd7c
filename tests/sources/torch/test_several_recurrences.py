"""Several recurrences in one trace: encoder and decoder, attention, an outer and an inner loop, memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.diagnosis.one_loss import Losses
from rnngraph.graph.one_loss.walk_rows import find_rows, find_segments
from tests.sources.torch.stepwise import Stepwise, data
from tests.sources.torch.truth import Trail, certified, check
from tests.sources.torch.unrolled import unroll

torch = pytest.importorskip("torch")
nn = torch.nn
N, S, T, D, H = 11, 7, 5, 4, 6  # more samples than are taken by default


class Attention(nn.Module):  # type: ignore[misc, name-defined]
    """Scores of an encoder's states for one query."""

    def forward(self, query: Any, memory: Any) -> Any:
        weights = (memory @ query[:, :, None]).softmax(1)
        return (weights * memory).sum(1)


class Seq2Seq(nn.Module):  # type: ignore[misc, name-defined]
    """A fused encoder, and a decoder with attention and input feeding whose loss is computed at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.cell = nn.GRU(D, H, batch_first=True), nn.GRUCell(D + H, H)
        self.attention, self.mix, self.head = Attention(), nn.Linear(2 * H, H), nn.Linear(H, 3)

    def forward(self, source: Any, target: Any) -> Any:
        memory, last = self.encoder(source)
        return torch.stack([one for _, one in self.decode(memory, last[0], target)], 1)

    def decode(self, memory: Any, h: Any, target: Any) -> Any:
        fed = torch.zeros_like(h)
        for one in target.unbind(1):
            h = self.cell(torch.cat([one, fed], 1), h)
            fed = self.mix(torch.cat([h, self.attention(h, memory)], 1)).tanh()
            yield h, self.head(fed)


def test_attention_and_input_feeding() -> None:
    model = Seq2Seq().double()
    source, target = torch.randn(N, S, D).double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(source, target).square().sum().backward()
    trace = watch.trace()
    found = unroll(model.encoder, source)
    trail = Trail({"encoder": found.states["h", 0, False]})
    for t, (h, score) in enumerate(model.decode(found.output, found.final["h"][0], target)):
        trail.add(cell=h)
        trail.losses[t] = score.square().sum()
    assert [one.timesteps for one in trace.recurrences] == [S, T]
    assert trace.recurrences[0].clock != trace.recurrences[1].clock
    check(trace, "cell.h", trail, "cell")
    check(trace, "encoder.h", trail, "encoder")
    losses = {tuple(one.losses.tolist()) for one in trace.lags}
    assert losses == {tuple(range(T))}  # the losses of the decoder's steps, in both; none is the encoder's own
    assert certified(trace)


def test_an_encoder_of_cells_whose_end_starts_the_decoder() -> None:
    class Both(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.head = nn.GRUCell(D, H), nn.LSTMCell(D, H), nn.Linear(H, 3)

        def forward(self, source: Any, target: Any, trail: Trail) -> Any:
            h = torch.zeros(N, H).double()
            for x in source.unbind(1):
                h = self.one(x, h)
                trail.add(one=h)
            state = (h, h * 0.5)
            for t, x in enumerate(target.unbind(1)):
                state = self.two(x, state)
                trail.add(two=state[0], cell=state[1])
                trail.losses[t] = self.head(state[0]).square().sum()
            return trail.total()

    model, trail = Both().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(N, S, D).double(), torch.randn(N, T, D).double(), trail).backward()
    trace = watch.trace()
    for name, key in (("one.h", "one"), ("two.h", "two"), ("two.c", "cell")):
        check(trace, name, trail, key)
    graph = trace.graph
    state = next(one for one in trace.states if one.name == "one.h")
    end = int(state.nodes[S - 1])
    users = [k for k in range(len(graph.op)) if end in graph.inputs[graph.offsets[k] : graph.offsets[k + 1]]]
    assert any(graph.scopes[graph.scope[k]].startswith("two") for k in users)  # a picture can put one after the other


def test_words_in_sentences() -> None:
    class Outer(nn.Module):  # type: ignore[misc, name-defined]
        """A cell over words, begun anew for every sentence, and one over sentences."""

        def __init__(self) -> None:
            super().__init__()
            self.words, self.sentences, self.head = nn.GRUCell(D, H), nn.GRUCell(H, H), nn.Linear(H, 3)

        def forward(self, text: Any, trail: Trail) -> Any:
            outer = torch.zeros(N, H).double()
            for t, sentence in enumerate(text):
                inner = torch.zeros(N, H).double()
                for word in sentence:
                    inner = self.words(word, inner)
                    trail.add(inner=inner)
                outer = self.sentences(inner, outer)
                trail.add(outer=outer)
                trail.losses[t] = self.head(outer).square().sum()
            return trail.total()

    model, trail = Outer().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, 3, N, D).double(), trail).backward()
    trace = watch.trace()
    assert {one.name: one.timesteps for one in trace.recurrences} == {"words": 3 * T, "sentences": T}
    check(trace, "sentences.h", trail, "outer")
    check(trace, "words.h", trail, "inner", causal=False)
    assert not trace.recurrences[0].cut.any()  # a sentence's first word begins anew by design: nothing is truncated
    assert np.flatnonzero(trace.lags[0].severed.all(axis=0)).tolist() == [3, 6, 9, 12]
    assert "truncated" not in rnngraph.diagnose(trace).flags


def test_a_memory_that_is_attended_to() -> None:
    class Memory(nn.Module):  # type: ignore[misc, name-defined]
        """Every step reads all of its own earlier states."""

        def __init__(self) -> None:
            super().__init__()
            self.cell, self.attention, self.head = nn.GRUCell(D + H, H), Attention(), nn.Linear(H, 3)

        def forward(self, x: Any, trail: Trail) -> Any:
            h, past = torch.zeros(N, H).double(), list[Any]()
            for t, one in enumerate(x.unbind(1)):
                read = self.attention(h, torch.stack(past, 1)) if past else torch.zeros_like(h)
                h = self.cell(torch.cat([one, read], 1), h)
                past.append(h)
                trail.add(cell=h)
                trail.losses[t] = self.head(h).square().sum()
            return trail.total()

    model, trail = Memory().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(N, T, D).double(), trail).backward()
    trace = watch.trace()
    check(trace, "cell.h", trail, "cell")
    assert certified(trace)


def test_a_fused_decoder_of_single_steps_with_attention() -> None:
    class Decoder(nn.Module):  # type: ignore[misc, name-defined]
        """The tutorial's decoder: nn.GRU is called with one step at a time."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.GRU(D, H, batch_first=True), nn.GRU(D + H, H, batch_first=True)
            self.attention, self.head = Attention(), nn.Linear(2 * H, 3)

        def forward(self, source: Any, target: Any) -> Any:
            memory, h = self.encoder(source)
            scores = []
            for one in target.unbind(1):
                context = self.attention(h[-1], memory)
                output, h = self.decoder(torch.cat([one, context], 1)[:, None], h)
                scores.append(self.head(torch.cat([output[:, 0], context], 1)))
            return torch.stack(scores, 1)

    model = Decoder().double()
    source, target = torch.randn(N, S, D).double(), torch.randn(N, T, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(source, target).square().sum().backward()
    trace = watch.trace()
    found = unroll(model.encoder, source)
    trail, h = Trail({"encoder": found.states["h", 0, False]}), found.final["h"]
    for t, one in enumerate(target.unbind(1)):
        context = model.attention(h[-1], found.output)
        step = unroll(model.decoder, torch.cat([one, context], 1)[:, None], initial={"h": h})
        h = step.final["h"]
        trail.add(decoder=h)
        trail.losses[t] = model.head(torch.cat([h[0], context], 1)).square().sum()
    check(trace, "encoder.h", trail, "encoder")
    check(trace, "decoder.h", trail, "decoder", axis=1)
    assert certified(trace)


class Speech(nn.Module):  # type: ignore[misc, name-defined]
    """Layers with what normalises by the statistics of the batch between them, of packed sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.GRU(D, H), nn.GRU(H, H), nn.GRU(H, H)])
        self.norm, self.head = nn.BatchNorm1d(H), nn.Linear(H, 2)

    def forward(self, x: Any, lengths: Any) -> Any:
        for number, layer in enumerate(self.layers):
            if number:
                x = self.norm(x.flatten(0, 1)).view(x.shape)
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths)
            x, _ = nn.utils.rnn.pad_packed_sequence(layer(packed)[0])
        return self.head(x)


def test_a_stack_with_batch_statistics_between_takes_its_steps_together(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, lengths = Speech().double(), torch.tensor([20, 15, 9])
    x = torch.randn(20, 3, D).double()
    with rnngraph.torch.watch(model) as watch:
        model(x, lengths).square().sum().backward()
    trace = watch.trace()
    assert certified(trace)
    assert len({one.clock for one in trace.recurrences}) == 1
    # A sample that is over hears the losses of others, through the statistics alone: its share of nothing is not shown.
    rnngraph.render(trace, tmp_path / "speech.html")
    every = [walk for t in (0, 12, 19) for walk in Losses(trace).seen_from(t).walks]
    assert not any(np.isposinf(walk.decades).any() for walk in every)


def test_statistics_are_held_where_the_numbers_are_narrower_than_the_norm_s_weights() -> None:
    class Narrowed(nn.Module):  # type: ignore[misc, name-defined]
        """Batch norm of what autocast has narrowed, or not."""

        def __init__(self, kind: Any) -> None:
            super().__init__()
            self.kind, self.low, self.high, self.norm = kind, nn.GRU(D, H), nn.GRU(H, H), nn.BatchNorm1d(H)

        def forward(self, x: Any) -> Any:
            y = self.norm(self.low(x)[0].flatten(0, 1).to(self.kind)).view(S, N, H)
            return self.high(y.float())[0]

    logs = []
    for kind in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        model, x = Narrowed(kind), torch.randn(S, N, D)
        with rnngraph.torch.watch(model) as watch:
            model(x).square().sum().backward()
        logs.append([lag.log for lag in watch.trace().lags])
    for one, other in zip(*logs, strict=True):
        assert np.array_equal(np.isfinite(one), np.isfinite(other))
        large = np.isfinite(one) & (one > one[np.isfinite(one)].max() - 3)
        np.testing.assert_allclose(one[large], other[large], atol=0.1)


def test_the_statistics_of_a_step_are_part_of_it() -> None:
    class Steps(nn.Module):  # type: ignore[misc, name-defined]
        """Batch norm in every step, over samples alone."""

        def __init__(self) -> None:
            super().__init__()
            self.low, self.norm, self.high = nn.GRUCell(D, H), nn.BatchNorm1d(H), nn.GRUCell(H, H)

        def forward(self, xs: Any, trail: Trail) -> Any:
            low = high = torch.zeros(N, H).double()
            for t, one in enumerate(xs):
                low = self.low(one, low)
                high = self.high(self.norm(low), high)
                trail.add(low=low)
                trail.losses[t] = high.square().sum()
            return trail.total()

    model, trail = Steps().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(S, N, D).double(), trail).backward()
    trace = watch.trace()
    assert not any("statistics" in note for note in trace.notes)
    check(trace, "low.h", trail, "low")


def test_of_modules_on_one_clock_the_one_that_is_fed_lies_below() -> None:
    class Stack(nn.Module):  # type: ignore[misc, name-defined]
        """A cell below a layer, which PyTorch would list first."""

        def __init__(self) -> None:
            super().__init__()
            self.high, self.low = nn.GRU(H, H), nn.GRUCell(D, H)

        def forward(self, xs: Any) -> Any:
            h, found = torch.zeros(N, H), []
            for one in xs:
                h = self.low(one, h)
                found.append(h)
            return self.high(torch.stack(found))[0]

    model = Stack()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D)).square().sum().backward()
    trace = watch.trace()
    assert [one.name for one in trace.recurrences] == ["low", "high"]
    assert len({one.clock for one in trace.recurrences}) == 1
    seen = Losses(trace).seen_from(T - 1)
    rows = find_rows(trace, seen, find_segments(trace, seen))
    assert [row.recurrence.name for row in rows] == ["high", "low"]


@pytest.mark.parametrize("kind", ["cell", "loop", "learned"])
def test_one_module_on_two_sequences(kind: str) -> None:
    """Two texts that are compared are no sequence of twice the length that was cut, and their loss reads no pool."""

    class Compared(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(D + H, H) if kind == "loop" else nn.GRUCell(D, H)
            self.first = nn.Parameter(torch.randn(1, H)) if kind == "learned" else torch.zeros(1, H)

        def read(self, x: Any, trail: Trail) -> Any:
            h = self.first.to(x.dtype).expand(N, H)
            for one in x:
                h = self.cell(torch.cat([one, h], 1)).tanh() if kind == "loop" else self.cell(one, h)
                trail.add(h=h)
            return h

        def forward(self, a: Any, b: Any, trails: list[Trail]) -> Any:
            loss = (self.read(a, trails[0]) * self.read(b, trails[1])).sum()
            for trail, last in zip(trails, (len(a), len(b)), strict=True):
                trail.losses[last - 1] = loss
            return loss

    torch.manual_seed(0)
    model, trails = Compared().double(), [Trail(), Trail()]
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(6, N, D).double(), torch.randn(4, N, D).double(), trails).backward()
    trace = watch.trace()
    assert [(one.name, one.timesteps, bool(one.cut.any())) for one in trace.recurrences] == [
        ("cell", 6, False), ("cell#2", 4, False),
    ]  # fmt: skip
    assert not any(one.joint for one in trace.lags)
    for number, (one, trail) in enumerate(zip(trace.states, trails, strict=True)):
        check(trace, one.name, trail, "h", clock=trace.recurrences[number].clock)


def test_windows_in_one_loss_are_cut_and_not_begun_anew() -> None:
    model, trail = Stepwise().double(), Trail()
    with rnngraph.torch.watch(model) as watch:
        h = model(data(), trail)
        model(data(2), trail, h.detach())
        trail.total().backward()
    assert watch.trace().recurrences[0].cut.tolist() == [False] * 6 + [True] + [False] * 5


def test_two_layers_step_by_step_on_two_sequences() -> None:
    class Stacked(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.ModuleList([nn.GRUCell(D, H), nn.GRUCell(H, H)])

        def read(self, x: Any) -> Any:
            low = high = x.new_zeros(N, H)
            for one in x:
                low = self.cells[0](one, low)
                high = self.cells[1](low, high)
            return high

        def forward(self, a: Any, b: Any) -> Any:
            return (self.read(a) * self.read(b)).sum()

    model = Stacked().double()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(6, N, D).double(), torch.randn(4, N, D).double()).backward()
    found = {one.path: one.steps for one in watch.find().recurrences}
    assert found == {"cells.0": 6, "cells.1": 6, "cells.0#2": 4, "cells.1#2": 4}


def test_a_state_in_an_attribute_that_is_detached_is_cut() -> None:
    class Holding(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.h = nn.Linear(D + H, H), torch.zeros(N, H).double()

        def forward(self, x: Any) -> Any:
            self.h = self.linear(torch.cat([x, self.h], 1)).tanh()
            return self.h

    model, loss = Stepwise(Holding()).double(), torch.zeros(())
    with rnngraph.torch.watch(model) as watch:
        for t, one in enumerate(torch.randn(8, N, D).double()):
            if t == 4:
                model.cell.h = model.cell.h.detach()
            loss = loss + model.cell(one).square().sum()
        loss.backward()
    assert watch.trace().recurrences[0].cut.tolist() == [False] * 4 + [True] + [False] * 3
