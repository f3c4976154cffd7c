"""The picture that is seen from one loss, against factors that are known: numbers, marks, folds, and what has none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.graph.charts.lags_chart import lag_sheet
from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.metrics import wrap
from rnngraph.graph.model import Vertex
from rnngraph.graph.one_loss.compose import lay_out
from rnngraph.render.format import render_bytes
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace
from tests.graph.mock_networks import bidirectional, encoder_decoder, every_step, fed, recorded, remembers, three_layers
from tests.graph.seen_traces import seen, with_lags
from tests.graph.test_layout import sampled
from tests.graph_table import Table
from tests.traces import make_trace, with_state


def of_kind(drawing: Drawing, kind: str) -> list[Vertex]:
    return [vertex for vertex in drawing.graph.vertices if vertex.kind == kind]


def flags(drawing: Drawing) -> list[str]:
    assert drawing.graph.seen is not None
    return [mark.text for mark in drawing.graph.seen.marks]


def lags(drawing: Drawing) -> list[int]:
    """Read the lags off the picture."""
    return [int(shape.text[4:]) for shape in drawing.shapes if shape.text.startswith("lag ")]


def test_boxes_and_arrows_say_what_is_left_of_the_last_loss() -> None:
    drawing = rg.draw(seen(keep=0.5))
    assert [vertex.label for vertex in of_kind(drawing, "state")][-4:] == ["13 %", "25 %", "50 %", "100 %"]
    shares = [vertex.share for vertex in of_kind(drawing, "state")]
    assert [share for share in shares if share is not None][-4:] == pytest.approx(np.log10(0.5) * np.arange(3, -1, -1))
    assert {edge.label for edge in drawing.graph.edges if edge.kind == "backward"} == {"", "×0.50"}
    assert lags(drawing)[-3:] == [2, 1, 0]
    assert [vertex.label for vertex in of_kind(drawing, "loss")][-2:] == ["", "L"]


@pytest.mark.parametrize(
    ("keep", "text", "edge"),
    [
        (0.5, "◂ this loss's credit ends at lag 6: under 1 % beyond", 22.5),  # 2^-6 is 1.6 %
        (0.9, "this loss's credit reaches the start: 4.7 % left", -0.5),
        (1.0, "this loss's credit reaches the start: 100 % left", -0.5),
        (1.3, "◂ this loss's gradient passes ×100 at lag 18", 11.5),  # 1.3^17 is 86, 1.3^18 112
        (0.0, "◂ this loss's credit ends at lag 0: nothing beyond", 28.5),
    ],
)
def test_the_mark_stands_where_the_credit_ends(keep: float, text: str, edge: float) -> None:
    drawing = rg.draw(seen(keep=keep))
    assert flags(drawing) == [text]
    assert drawing.graph.seen is not None
    assert drawing.graph.seen.marks[0].edges == ((0, edge),)


@pytest.mark.parametrize("width", [200, 390, 640, 900, 1400])
@pytest.mark.parametrize("make", [lambda: seen(timesteps=60), lambda: seen("lstm", 300, 0.97), bidirectional])
def test_a_picture_is_as_wide_as_it_was_asked_for(make: Any, width: int) -> None:
    drawing = rg.draw(make(), width=width)
    assert drawing.frame.width == width
    boxes = [shape.box for shape in drawing.shapes if shape.role == "vertex"]
    assert min(box.left for box in boxes) >= 0
    assert max(box.right for box in boxes) <= width


@pytest.mark.parametrize("width", [390, 900])
def test_it_folds_around_the_place_of_death(width: int) -> None:
    drawing = rg.draw(seen(timesteps=60, keep=0.7), width=width)  # 0.7^12 is 1.4 %, 0.7^13 0.97 %
    shown = {column.first for column in drawing.graph.columns if column.kind == "step"}
    assert {59, 47, 46, 0} <= shown
    folds = [column for column in drawing.graph.columns if column.kind == "fold"]
    assert sum(column.count for column in folds) + len(shown) == 60
    assert min(column.count for column in folds) > 1


def test_a_fold_has_a_bar_a_step_as_high_as_its_logarithm() -> None:
    drawing = rg.draw(seen(timesteps=20, keep=0.5), steps="0,16:20")
    (fold,) = of_kind(drawing, "fold")
    bars = [shape for shape in drawing.shapes if shape.role == "bar" and shape.subject == fold.id]
    assert len(bars) == 15
    high = [bar.box.height for bar in bars]
    decades = np.log10(0.5) * np.arange(18, 3, -1)
    np.testing.assert_allclose(np.diff(high), np.diff(decades) / 6 * 46, atol=1e-9)
    assert "4e-6 ← 6.3 %" in next(shape.hint for shape in drawing.shapes if shape.id == fold.id)


def broken(state: int, t: int) -> Drawing:
    """Draw an encoder of 40 steps and a decoder of 8, of which one gives NaN first at a step."""
    trace = encoder_decoder()
    return rg.draw(
        replace(trace, graph=replace(trace.graph, first_nonfinite_forward=int(trace.states[state].nodes[t])))
    )


def test_a_fold_says_where_in_it_nan_first_comes_up() -> None:
    drawing = broken(0, 5)
    (fold,) = [vertex for vertex in drawing.graph.vertices if vertex.first_nonfinite]
    start, stop = drawing.graph.columns[fold.column].ranges[0]
    assert start <= 5 < stop
    assert fold.label == f"{stop - start} steps\nNaN or infinity first at t=5"
    assert fold.label.split("\n")[1] in next(shape.hint for shape in drawing.shapes if shape.id == fold.id)
    red = [shape for shape in drawing.shapes if shape.ink == "red"]
    assert [("t=5" in shape.text, shape.hint) for shape in red] == [(True, "NaN or infinity first at t=5")]


def test_a_box_at_which_nan_first_comes_up_is_marked_in_its_own_recurrence() -> None:
    drawing = broken(1, 5)
    (box,) = [vertex for vertex in drawing.graph.vertices if vertex.first_nonfinite]
    assert (box.kind, box.state, drawing.graph.columns[box.column].segment) == ("state", "decoder.h", 1)
    assert box.note.endswith("; NaN or infinity first comes up at this step")
    assert next(shape.stroke for shape in drawing.shapes if shape.id == box.id) == "red"
    key = [shape.text for shape in drawing.shapes if shape.role == "legend"]
    assert "NaN or infinity first comes up" in key


def test_the_strip_has_every_step_to_scale() -> None:
    drawing = rg.draw(seen(timesteps=60))
    bars = [shape.box for shape in drawing.shapes if shape.id.startswith("strip0b_")]
    assert len(bars) == 60
    assert {round(box.width, 6) for box in bars} == {round(bars[0].width, 6)}


def test_an_lstm_has_two_rows_and_its_forget_gate_on_those_of_the_cell() -> None:
    trace = remembers(last=True)
    drawing = rg.draw(trace)
    assert [row.name for row in drawing.graph.rows] == ["x", "c", "h", "loss"]
    gate = next(one for one in trace.gates if one.gate == "f")
    labels = {edge.label for edge in drawing.graph.edges if edge.state.endswith(".c")} - {""}
    assert labels == {f"f {mean:.2f}" for mean in gate.mean[51:60]}
    assert {edge.label for edge in drawing.graph.edges if edge.state.endswith(".h")} == {""}


def test_layers_of_a_stack_are_joined_unless_they_are_opened() -> None:
    trace = three_layers(rg.nn.LSTM)
    assert [row.name for row in rg.draw(trace).graph.rows][1:-1] == ["layer 0", "layer 1", "layer 2"]
    opened = [row.name for row in rg.draw(trace, detail="op").graph.rows][1:-1]
    assert opened == [f"layer {layer} {kind}" for layer in range(3) for kind in ("c", "h")]
    assert [row.name for row in rg.draw(remembers(last=True), detail="layer").graph.rows][1:-1] == ["LSTM"]


def test_credit_sinks_through_the_layers_at_the_loss() -> None:
    drawing = rg.draw(three_layers())
    here = {vertex.id: vertex for vertex in of_kind(drawing, "state") if vertex.share == 0}
    down = [edge for edge in drawing.graph.edges if edge.kind == "backward" and edge.source in here
            and edge.target in here]  # fmt: skip
    assert len(down) == 2
    assert "credit ends at lag" in flags(drawing)[0]
    assert flags(drawing)[0].endswith("on top, later below")


def test_an_encoder_stands_before_its_decoder_and_lags_go_on() -> None:
    drawing = rg.draw(encoder_decoder())
    assert drawing.graph.seen is not None
    assert [segment.name for segment in drawing.graph.seen.segments] == ["encoder", "decoder"]
    assert [row.name for row in drawing.graph.rows][1:-1] == ["encoder h", "decoder h"]
    (crossing,) = [edge for edge in drawing.graph.edges if edge.label == "handover"]
    last = next(vertex for vertex in drawing.graph.vertices if vertex.id == crossing.target)
    assert drawing.graph.columns[last.column].first == 39
    assert crossing.share == last.share
    found = lags(drawing)
    assert found[-1] == 0
    assert found[0] == 47
    assert found == sorted(found, reverse=True)
    assert [vertex.label for vertex in of_kind(drawing, "initial")] == ["h0"], "that of the encoder"
    (loss,) = [vertex for vertex in of_kind(drawing, "loss") if vertex.label == "L"]
    assert drawing.graph.columns[loss.column].ranges == ((7, 8),)
    assert drawing.graph.columns[loss.column].segment == 1


def test_an_encoder_of_pytorch_hands_over_to_its_decoder() -> None:
    torch = pytest.importorskip("torch")
    encoder, decoder = both = torch.nn.ModuleList([torch.nn.GRU(4, 8), torch.nn.GRU(4, 8)])
    with rg.torch.watch(both) as watch:
        decoder(torch.randn(5, 2, 4), encoder(torch.randn(7, 2, 4))[1])[0].square().sum().backward()
    (crossing,) = [edge for edge in rg.draw(watch.trace()).graph.edges if edge.label == "handover"]
    assert crossing.source.endswith("_2"), "the decoder's row"
    assert crossing.target.endswith("_1")


@pytest.mark.parametrize("both_ways", [False, True])
def test_handovers_lead_past_the_boxes_of_other_rows(both_ways: bool) -> None:
    torch = pytest.importorskip("torch")
    encoder, decoder = both = torch.nn.ModuleList([torch.nn.LSTM(4, 8, bidirectional=both_ways), torch.nn.LSTM(4, 8)])
    with rg.torch.watch(both) as watch:
        states = encoder(torch.randn(7, 2, 4))[1]
        decoder(torch.randn(5, 2, 4), [one.sum(0, keepdim=True) for one in states])[0].square().sum().backward()
    drawing = rg.draw(watch.trace())
    over = {edge.id for edge in drawing.graph.edges if edge.label == "handover"}
    boxes = {shape.id: shape.box for shape in drawing.shapes if shape.role == "vertex"}
    assert len(over) == (0 if both_ways else 2), "none to the far end of an encoder that runs back, over its boxes"
    for curve in drawing.curves:
        for name in boxes if curve.id in over else ():
            within = [abs(x - boxes[name].x) < boxes[name].width / 2 and abs(y - boxes[name].y) < boxes[name].height / 2
                      for x, y in sampled(curve.points)]  # fmt: skip
            assert not any(within), (curve.id, name)


def test_two_recurrences_that_feed_no_other_have_no_handover() -> None:
    tape = rg.Tape()
    one = rg.nn.RNN(16, 8, seed=1, name="one")(fed(tape, 12))
    other = rg.nn.RNN(16, 8, seed=2, name="other")(fed(tape, 9))
    drawing = rg.draw(recorded(every_step(one) + every_step(other)))
    assert not [edge for edge in drawing.graph.edges if edge.label == "handover"]


def test_two_directions_have_a_flag_each_and_empty_boxes_where_no_credit_gets() -> None:
    drawing = rg.draw(bidirectional())
    assert drawing.graph.seen is not None
    assert [mark.way for mark in drawing.graph.seen.marks] == ["left", "right"]
    assert {vertex.label for vertex in of_kind(drawing, "state") if vertex.share is None} == {""}
    forward = drawing.graph.seen.rows[0]
    assert not forward.reached[31:].any()
    assert forward.reached[:31].all()


def test_a_cut_ends_the_walk_and_says_so() -> None:
    layer = rg.nn.RNN(16, 8, truncate=5, seed=1)
    drawing = rg.draw(recorded(every_step(layer(fed(rg.Tape(), 20)))))
    assert flags(drawing)[0].startswith("◂ this loss's credit is cut after lag 4, where ")
    last = [shape.hint for shape in drawing.shapes if "the recurrence is cut here" in shape.hint]
    assert len(last) == 1
    assert "lag 4" in last[0]
    assert len(of_kind(drawing, "initial")) == 0


def test_no_loss_that_is_not_there() -> None:
    trace = remembers(last=True)
    assert len(of_kind(rg.draw(trace), "loss")) == 1
    assert len(of_kind(rg.draw(trace, seen_from="total", steps="all"), "loss")) == 1
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model, x = torch.nn.LSTM(3, 4, batch_first=True), torch.randn(2, 40, 3)
    with rg.torch.watch(model) as watched:
        loss = model(x)[0][:, -1].pow(2).sum()
        loss.backward()
    assert len(of_kind(rg.draw(watched.trace(), seen_from="total", steps="all"), "loss")) == 1


def test_masked_steps_have_no_loss_and_no_number() -> None:
    tape = rg.Tape()
    mask = np.arange(12) < np.array([9, 7])[:, None]
    h = rg.nn.RNN(16, 8, seed=1)(fed(tape, 12, batch=2), mask=mask)
    trace = recorded(every_step(h * mask[:, :, None].astype(float)))
    drawing = rg.draw(trace, steps="all")
    assert {drawing.graph.columns[vertex.column].first for vertex in of_kind(drawing, "loss")} == set(range(9))
    assert [vertex.padding for vertex in of_kind(drawing, "state")] == [False] * 9 + [True] * 3
    assert [shape.text for shape in drawing.shapes if shape.text == "padding"][:3] == ["padding"] * 3


def test_saturated_units_have_a_meter_from_a_quarter_on() -> None:
    trace = seen(timesteps=8)
    saturated = np.array([0.0, 0.2, 0.25, 0.26, 0.5, 0.6, 0.9, 1.0])
    drawing = rg.draw(with_state(trace, saturated=saturated))
    assert len([shape for shape in drawing.shapes if shape.hint.endswith("of the units are saturated")]) >= 5
    meters = [
        shape.box.width for shape in drawing.shapes if shape.hint.startswith(("26 %", "50 %", "60 %", "90 %", "100 %"))
    ]
    np.testing.assert_allclose(meters, 50 * saturated[3:])


WORDS = ("w" * 20_000, "שלום עולם", "e\u0301\u0302\u0303" * 500, "", "\u202eabc", "x\ny", "🎉" * 40, None, "a")


@pytest.mark.parametrize("width", [390, 900])
def test_words_are_the_columns_and_fit_them(width: int) -> None:
    drawing = rg.draw(seen(timesteps=9, labels=WORDS), width=width)
    inputs = [shape for shape in drawing.shapes if shape.id.endswith("_0") and shape.role == "vertex"]
    shown = {drawing.graph.columns[shape.column].first: shape for shape in inputs}
    assert shown[8].text == "a"
    for shape in inputs:
        assert len(shape.text) <= 40 or "\u0301" in shape.text
        assert "\n" not in shape.text
    if 0 in shown:
        assert shown[0].hint == "w" * 20_000
        assert shown[0].text.endswith("…")


def test_a_trace_without_lags_is_seen_over_all_losses() -> None:
    trace: Trace = make_trace("tanh", 5)
    assert rg.draw(trace).graph.seen is None
    for wanted in ("last", 3):
        with pytest.raises(rg.InputError, match=r"lags=True.*'total'"):
            rg.draw(trace, seen_from=wanted)


def test_total_is_what_it_was_under_a_sentence() -> None:
    trace = make_trace("lstm", 20)

    def below(drawing: rg.Drawing) -> Any:
        shapes = [shape for shape in drawing.shapes if shape.role != "title"]
        return shapes, drawing.curves

    assert below(rg.draw(with_lags(trace), seen_from="total")) == below(rg.draw(trace))
    assert below(rg.draw(with_lags(trace), view="rolled")) == below(rg.draw(trace, view="rolled"))
    assert below(rg.draw(with_lags(trace), color="gain")) == below(rg.draw(trace, color="gain"))
    assert below(rg.draw(with_lags(trace), backward=False)) == below(rg.draw(trace, backward=False))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"seen_from": 99}, "no loss at t=99 was measured: the nearest are at t="),
    ({"seen_from": -1}, "seen_from is -1; give last, total or the timestep of a loss."),
    ({"seen_from": "first"}, "seen_from is 'first'; give last, total or the timestep of a loss."),
    ({"seen_from": 1.5}, "seen_from is 1.5; give last, total"),
    ({"seen_from": "last", "color": "gain"}, "color 'gain' belongs to the sum over all losses"),
    ({"seen_from": 3, "view": "rolled"}, "view 'rolled' belongs"),
    ({"width": 199}, "the width is 199; give pixels, a whole number from 200"),
    ({"width": True}, "the width is True"),
    ({"width": "wide"}, "the width is 'wide'"),
    ({"width": 390, "seen_from": "total"}, "the width 390 belongs to the view from one loss"),
    ({"width": 390, "view": "rolled"}, "the width 390 belongs to the view from one loss"),
    ({"theme": "pink"}, "the theme 'pink' is unknown; choose auto, light, dark"),
    ({"steps": "40"}, "reach outside the trace, which has 30 timesteps"),
    ({"title": 3}, "the title is 3; pass text"),
]


@pytest.mark.parametrize(("options", "text"), BAD)
def test_what_cannot_be_drawn_is_one_sentence(options: dict[str, Any], text: str) -> None:
    with pytest.raises(rg.InputError) as caught:
        rg.draw(seen(), **options)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(rg.InputError, match="a str cannot be drawn"):
        rg.draw("run.npz")  # type: ignore[arg-type]


def test_a_loss_that_bears_nothing_says_so() -> None:
    layer = rg.nn.RNN(16, 8, seed=1)
    h = layer(fed(rg.Tape(), 12))
    trace = rg.record((h[:, 11] ** 2).sum(), lags=rg.LagOptions(losses=[3, 11]))
    with pytest.raises(rg.InputError, match="the loss at t=3 bears nothing"):
        rg.draw(trace, seen_from=3)
    assert rg.draw(trace, seen_from=11).graph.seen is not None


@pytest.mark.parametrize("keep", [0.55, 0.57, 0.58, 0.6, 0.63, 0.7])
def test_nothing_is_folded_that_would_fit(keep: float) -> None:
    drawing = rg.draw(seen(timesteps=60, keep=keep))
    assert min(column.count for column in drawing.graph.columns if column.kind == "fold") > 2


@pytest.mark.parametrize("timesteps", range(24, 28))
def test_steps_beside_a_fold_stand_close_but_no_closer(timesteps: int) -> None:
    graph = rg.draw(seen("tanh", timesteps, 0.8)).graph
    assert "fold" in {column.kind for column in graph.columns}
    spans = [span for column, span in zip(graph.columns, lay_out(graph).columns, strict=True) if column.kind == "step"]
    assert min(span.size for span in spans) >= 57


def test_what_sinks_to_a_lower_layer_is_no_loss() -> None:
    layer = rg.nn.RNN(16, 8, num_layers=2, seed=1)
    trace = recorded((layer(fed(rg.Tape(), 9))[:, 8] ** 2).sum())
    for seen_from in ("last", "total"):
        assert len(of_kind(rg.draw(trace, seen_from=seen_from, steps="all"), "loss")) == 1


@pytest.mark.parametrize("make", [encoder_decoder, bidirectional, three_layers])
def test_on_a_phone_every_row_has_its_whole_name(make: Any) -> None:
    drawing = rg.draw(make(), width=390)
    assert drawing.graph.seen is not None
    names = {row.name for row in drawing.graph.seen.rows}
    assert {shape.text.partition(" · ")[0] for shape in drawing.shapes if shape.role == "row"} >= names


@pytest.mark.parametrize("width", [900, 390])
@pytest.mark.parametrize("make", [encoder_decoder, bidirectional, remembers])
def test_the_key_says_dotted_where_an_arrow_is(make: Any, width: int) -> None:
    drawing = rg.draw(make(), width=width)
    dotted = any(curve.kind == "backward" and curve.line == "dotted" for curve in drawing.curves)
    assert any(shape.text.startswith("dotted") for shape in drawing.shapes) == dotted


def test_what_the_title_counts_is_said_beside_it_unless_it_is_ones_own() -> None:
    trace = three_layers()
    for title, said in ((None, True), ("Mine", False)):
        seen_by = rg.draw(trace, title=title).graph.seen
        assert seen_by is not None
        assert seen_by.small.endswith("The title counts all losses, at the inputs, from lag 1.") == said


@pytest.mark.parametrize("options", [{"seen_from": "total"}, {"view": "rolled"}, {"color": "saturation"}])
def test_the_sum_over_all_losses_has_a_dark_side(options: dict[str, Any]) -> None:
    light, dark = (rg.draw(seen(), theme=theme, **options) for theme in ("light", "dark"))
    assert light.shapes == dark.shapes  # names, which every writer looks up
    texts = [render_bytes(one, "svg").decode() for one in (light, dark)]
    assert 'fill="#ffffff"' in texts[0]
    assert 'fill="#0d1117"' in texts[1]
    assert "#0f172a" not in texts[1]  # the ink of light paper
    assert "prefers-color-scheme:dark" in render_bytes(rg.draw(seen(), **options), "svg").decode()


def test_a_word_a_little_wider_than_its_step_is_whole_on_a_phone() -> None:
    labels = ("<START>", *("a" for _ in range(28)), "<END>")
    drawing = rg.draw(seen(labels=labels), width=390)
    assert {"<START>", "<END>"} <= {shape.text for shape in drawing.shapes}
    assert max(shape.box.right for shape in drawing.shapes) <= 390
    assert any(column.kind == "fold" for column in drawing.graph.columns)


def test_nothing_goes_on_to_an_initial_state_that_gets_exactly_nothing() -> None:
    layer = rg.nn.RNN(16, 8, nonlinearity="relu", seed=1)
    layer.parameter("b").value[...] = -30
    drawing = rg.draw(recorded(every_step(layer(fed(rg.Tape(), 5)))))
    assert of_kind(drawing, "initial")
    assert not [edge for edge in drawing.graph.edges if edge.kind == "backward" and edge.share == -np.inf]


def test_a_name_beside_its_row_takes_two_lines_before_it_is_cut() -> None:
    layer = rg.nn.RNN(16, 8, num_layers=2, bidirectional=True, seed=1)
    drawing = rg.draw(recorded(every_step(layer(fed(rg.Tape(), 5)))))
    names = {shape.text for shape in drawing.shapes if shape.role == "row"}
    assert {f"layer {layer}\n{way}" for layer in (0, 1) for way in ("forward", "reverse")} <= names


def test_no_line_begins_with_the_dot_between_two_facts() -> None:
    lines = [
        line
        for width in range(120, 400, 7)
        for line in wrap("GRU, 24 units · 13 steps · loss at every step", width, 11)
    ]
    assert not [line for line in lines if line.startswith("·") or "\u00a0" in line]


def test_an_early_loss_leaves_its_room_to_the_steps_after_it() -> None:
    late, early = (rg.draw(seen(timesteps=60, keep=0.9), seen_from=t, width=900) for t in (59, 3))
    steps = [column.first for column in early.graph.columns if column.kind == "step"]
    assert steps[:4] == [0, 1, 2, 3]
    assert steps == list(range(len(steps)))  # what is left out lies at the end
    assert len(steps) >= len([column for column in late.graph.columns if column.kind == "step"])
    assert early.graph.columns[-1].kind == "fold"


def test_a_walk_that_was_not_followed_further_says_so() -> None:
    trace = seen(keep=0.5)
    log = trace.lags[0].log.copy()
    log[:, :, :26] = np.nan  # t=25 and later, lag 4, are known
    assert flags(rg.draw(replace(trace, lags=(replace(trace.lags[0], log=log),)))) == [
        "◂ this loss was followed to lag 4 only, where 6.3 % is left ▸".strip(" ▸")
    ]


def test_a_row_in_which_nothing_arrives_has_no_mark() -> None:
    trace = seen("lstm", keep=0.5)
    lags = tuple(replace(one, log=one.log - 40) if one.state.endswith(".c") else one for one in trace.lags)
    drawing = rg.draw(replace(trace, lags=lags))
    assert drawing.graph.seen is not None
    (mark,) = drawing.graph.seen.marks
    assert [drawing.graph.seen.rows[row].kind for row, _ in mark.edges] == ["h"]


def test_a_picture_of_which_no_verdict_can_be_given_says_what_its_loss_does() -> None:
    trace = with_state(seen(keep=0.5), grad=Magnitudes.unobserved((30,)))
    drawing = rg.draw(trace)
    assert drawing.graph.title == "The loss at t=29: this loss's credit ends at lag 6: under 1 % beyond."
    assert "tanh: lags" in lag_sheet(trace).title


def test_rows_of_layers_that_were_made_apart_have_their_names() -> None:
    lower, upper = (rg.nn.RNN(size, 8, seed=1, name=name) for name, size in (("lower", 16), ("upper", 8)))
    drawing = rg.draw(recorded(every_step(upper(lower(fed(rg.Tape(), 9))))))
    assert drawing.graph.seen is not None
    assert [row.name for row in drawing.graph.seen.rows] == ["upper", "lower"]


@pytest.mark.parametrize(
    ("names", "of"), [(["lower", "upper"], "lower + upper"), (["a", "b", "c", "d"], "a + 3 others")]
)
def test_of_several_cells_behind_an_encoder_every_row_has_its_own_name(names: list[str], of: str) -> None:
    tape = rg.Tape()
    thought = rg.nn.RNN(16, 8, seed=1, name="enc")(fed(tape, 9))[:, 8]
    hidden = fed(tape, 7)
    for number, name in enumerate(names):
        hidden = rg.nn.RNN(hidden.shape[2], 8, seed=number, name=name)(hidden, thought)
    drawing = rg.draw(recorded(every_step(hidden)))
    assert drawing.graph.seen is not None
    assert [row.name for row in drawing.graph.seen.rows] == [*(f"{name} h" for name in reversed(names)), "enc h"]
    assert [segment.name for segment in drawing.graph.seen.segments] == ["enc", of]
    assert drawing.graph.subtitle.startswith(f"Seen from the loss at t=6 of {of}; median of 8 samples.")


def test_without_a_recorded_graph_an_encoder_stands_before_its_decoder_too() -> None:
    trace = encoder_decoder()
    states = tuple(replace(one, nodes=np.full_like(one.nodes, -1)) for one in trace.states)
    found, bare = (rg.draw(one).graph.seen for one in (trace, replace(trace, states=states, graph=Table().trace())))
    assert found is not None
    assert bare is not None
    assert bare.handovers == found.handovers == ((0, 1),)


def test_a_gate_of_which_nothing_was_seen_is_not_drawn() -> None:
    trace = remembers()
    unseen = tuple(replace(one, mean=np.full_like(one.mean, np.nan)) for one in trace.gates)
    for one, gate in ((trace, "f"), (replace(trace, gates=unseen), "")):
        drawing = rg.draw(one)
        assert drawing.graph.seen is not None
        assert [row.gate for row in drawing.graph.seen.rows if row.kind == "c"] == [gate]


def test_one_loss_of_many_steps_is_said_to_be_one() -> None:
    trace = rg.record((rg.nn.RNN(16, 8)(fed(rg.Tape(), 9)).mean(axis=1) ** 2).sum(), lags=True)
    assert "9 steps · one loss that reads many steps · float64" in rg.draw(trace).graph.subtitle


def test_no_factor_stands_under_the_line_of_a_flag() -> None:
    """The line of several rows bends beside the first, where a factor would be in its middle."""
    drawing = rg.draw(three_layers())
    lines = [curve.points[::3] for curve in drawing.curves if curve.id.startswith("mark")]
    factors = [(curve.text_at, len(curve.text) * 3) for curve in drawing.curves if curve.text.startswith("×")]
    assert max(len(corners) for corners in lines) > 2
    for corners in lines:
        for (x, top), (end, foot) in pairwise(corners):
            beside = [half for (at, y), half in factors if top < y < foot and x == end and abs(at - x) < half]
            assert not beside
