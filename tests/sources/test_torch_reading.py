"""Whether lags are given follows from what another layer reads: a final state, the same steps, or step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError

torch = pytest.importorskip("torch")


def modules(**parts: Any) -> Any:
    return torch.nn.ModuleDict(parts).double()


def assert_entered_at_the_last_step_alone(trace: Any, layer: Any, x: Any, sent: Any) -> None:
    """Compare with a run of the layer alone, whose only loss is what reached the last state."""
    with rnngraph.torch.watch(layer) as watch:
        output, _ = layer(x)
        (output[:, -1] * sent).sum().backward()
    alone = watch.trace(tolerance=1e-10)
    for lag, wanted in zip(trace.lags, alone.lags, strict=True):
        assert lag.losses.tolist() == wanted.losses.tolist() == [x.shape[1] - 1]
        np.testing.assert_allclose(lag.log, wanted.log, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("how", ["state", "output"])
@pytest.mark.parametrize("steps", [6, 4])
def test_an_autoencoder_reads_the_final_state_alone(how: str, steps: int) -> None:
    model = modules(
        enc=torch.nn.LSTM(3, 4, batch_first=True), mid=torch.nn.Linear(4, 4), dec=torch.nn.LSTM(4, 3, batch_first=True)
    )
    x, kept = torch.randn(2, 6, 3).double(), []
    with rnngraph.torch.watch(model) as watch:
        output, (h, _) = model["enc"](x)
        last = h[-1] if how == "state" else output[:, -1]
        last.register_hook(lambda gradient: kept.append(gradient.clone()))
        z = model["mid"](last).unsqueeze(1).repeat(1, steps, 1)
        model["dec"](z)[0].square().sum().backward()
    trace = watch.trace("enc", tolerance=1e-10)
    assert_entered_at_the_last_step_alone(trace, model["enc"], x, kept[0])


def test_other_ways_to_read_a_final_state() -> None:
    model = modules(word=torch.nn.GRU(3, 4), sent=torch.nn.GRU(4, 4), one=torch.nn.GRUCell(4, 4))
    with rnngraph.torch.watch(model) as watch:  # every sentence is a sample of the words
        model["sent"](model["word"](torch.randn(5, 5, 3).double())[1][-1].unsqueeze(1))[0].square().sum().backward()
    assert watch.trace("word").lags
    with rnngraph.torch.watch(model) as watch:
        pooled = model["word"](torch.randn(5, 5, 3).double())[0].mean(0).unsqueeze(1)
        model["sent"](pooled)[0].square().sum().backward()
    assert watch.trace("word").lags
    with rnngraph.torch.watch(model) as watch:  # it scales the input of the other
        x = torch.randn(5, 2, 4).double()
        model["sent"](x * model["word"](x[..., :3])[1][-1])[0].square().sum().backward()
    assert watch.trace("word").lags
    with rnngraph.torch.watch(model) as watch:  # a cell reads it at each of its steps
        last = model["word"](torch.randn(5, 2, 3).double())[0][-1]
        h: Any = None
        for _ in range(5):
            h = model["one"](last, h)
        h.square().sum().backward()
    assert watch.trace("word").lags


@pytest.mark.parametrize("steps", [5, 3])
def test_attention_reads_the_same_steps_every_time(steps: int) -> None:
    model = modules(e=torch.nn.GRU(3, 4), d=torch.nn.GRUCell(4, 4))
    with rnngraph.torch.watch(model) as watch:
        output, state = model["e"](torch.randn(5, 2, 3).double())
        output.retain_grad()
        h, loss = state[0], torch.zeros(())
        for _ in range(steps):
            weights = (output * h).sum(-1).softmax(0)
            h = model["d"]((weights[..., None] * output).sum(0), h)
            loss = loss + h.square().sum()
        loss.backward()
    trace = watch.trace("e", tolerance=1e-10)
    assert trace.lags[0].losses.tolist() == [0, 1, 2, 3, 4]
    assert "fed back" in watch.trace("d").notes[-1]


def test_attention_with_shared_projections_and_a_picked_context() -> None:
    model = modules(e=torch.nn.GRU(3, 4), k=torch.nn.Linear(4, 4), v=torch.nn.Linear(4, 4), d=torch.nn.GRUCell(4, 4))
    with rnngraph.torch.watch(model) as watch:
        output, state = model["e"](torch.randn(5, 2, 3).double())
        keys, values = (model[name](output.transpose(0, 1)) for name in "kv")
        h = state[0]
        for _ in range(5):
            weights = (h[:, None] @ keys.transpose(1, 2)).softmax(-1)
            h = model["d"]((weights @ values)[:, 0], h)
        h.square().sum().backward()
    assert watch.trace("e", tolerance=1e-10).lags


@pytest.mark.parametrize("apart", [lambda read: read, lambda read: [read[t] for t in range(len(read))], torch.unbind])
@pytest.mark.parametrize("mixed", [True, False])
def test_the_steps_of_one_tensor_are_told_apart(apart: Any, mixed: bool) -> None:
    model = modules(l=torch.nn.GRUCell(3, 4), mid=torch.nn.Linear(4, 4), u=torch.nn.GRUCell(4, 4), h=torch.nn.Tanh())
    with rnngraph.torch.watch(model) as watch:
        low: Any = None
        lows = []
        for one in torch.randn(6, 2, 3).double():
            low = model["l"](one, low)
            lows.append(low)
        read = torch.stack(lows)
        top: Any = None
        for one in apart(model["mid"](read) if mixed else read):
            top = model["u"](one, top)
        top.square().sum().backward()
    assert "output of l is the input of u" in watch.trace("l").notes[-1]
    assert watch.trace("u").lags


@pytest.mark.parametrize("stride", [1, 2])
def test_a_cell_or_layer_that_reads_step_by_step_is_refused_at_any_length(stride: int) -> None:
    model = modules(l=torch.nn.GRU(3, 4), mid=torch.nn.Linear(4, 4), u=torch.nn.GRU(4, 4), c=torch.nn.GRUCell(4, 4))
    with rnngraph.torch.watch(model) as watch:
        read = model["mid"](model["l"](torch.randn(6, 2, 3).double())[0])[::stride]
        model["u"](read)[0].square().sum().backward()
    assert "output of l is the input of u" in watch.trace("l").notes[-1]
    with rnngraph.torch.watch(model) as watch:
        h: Any = None
        for one in model["mid"](model["l"](torch.randn(6, 2, 3).double())[0])[::stride]:
            h = model["c"](one, h)
        h.square().sum().backward()
    assert watch.trace("l").notes[-1].endswith("trace('c') has its lags")
    assert watch.trace("c").lags


def test_advice_is_only_what_works() -> None:
    model = modules(one=torch.nn.GRU(3, 4), two=torch.nn.GRU(4, 4))
    with rnngraph.torch.watch(model) as watch:
        model["two"](model["one"](torch.randn(6, 2, 3).double())[0])[0][-1].square().sum().backward()
    assert watch.trace("one").notes[-1].endswith("trace() walks one and two as one stack, and has their lags")
    assert watch.trace().lags
    model = modules(e=torch.nn.GRU(3, 4), mid=torch.nn.Linear(4, 4), d=torch.nn.GRUCell(4, 4))
    with rnngraph.torch.watch(model) as watch:
        back = torch.zeros(2, 4).double()
        h: Any = None
        for one in model["mid"](model["e"](torch.randn(6, 2, 3).double())[0]):
            h = model["d"](one + back, h)
            back = h.tanh()
        h.square().sum().backward()
    note = watch.trace("e").notes[-1]
    assert "output of e is the input of d" in note
    assert "has its lags" not in note
    with pytest.raises(InputError, match="fed back"):
        rnngraph.diagnose(watch.trace("d"))
