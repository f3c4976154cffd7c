"""What a terminal shows of one loss: against factors that are known exactly, at every width, and goldens."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import rnngraph as rg
from rnngraph.cli.streams import SIMPLER
from rnngraph.diagnosis.chosen_loss import seen
from rnngraph.graph.steps import spans_of
from rnngraph.render.report.norms.terminal import gate_lines, norms_report
from rnngraph.render.report.text import BARS
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace
from tests.contrast import contrast
from tests.graph.seen_traces import seen as made_up
from tests.render.exact_networks import exact
from tests.traces import with_state

WIDTHS = (60, 80, 120, 200)
GOLDENS = Path(__file__).parent / "goldens"
WORDS = ["<START>", "a", "thin", "three", "slanted", "to", "the", "left"]
NETWORKS = {
    "dies": exact(0.5),
    "keeps": exact(1.0, layers=2, timesteps=30),
    "explodes": exact(1.3, timesteps=40),
    "both ways": exact(0.7, both=True, timesteps=100),
    "words": exact(0.6, timesteps=8, labels=WORDS),
}


def view(trace: Trace, wanted: str | int = "last", *, width: int = 80, encoding: str = "utf-8", **how: Any) -> str:
    found = seen(trace, wanted)
    assert found is not None
    stream = io.TextIOWrapper(io.BytesIO(), encoding, SIMPLER)
    Console(file=stream, width=width, highlight=False, legacy_windows=False, **how).print(norms_report(trace, found))
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def bars(text: str, name: str) -> str:
    """The characters of a row, those that stand for steps alone."""
    lines = text.splitlines()
    line = next(line for line in lines if line.startswith(f"{name} "))
    start = next(line for line in lines if line.startswith("state ")).index("from the loss")
    return re.sub(r"   +\S+(?: \S+)*$", "", line[start:])


def level(decades: float) -> str:
    """Eight heights on six decades; a dot for less."""
    return "·" if decades < -6 else BARS[min(int((decades + 6) / 0.75), 7)]


def test_a_row_is_the_known_power_at_every_step() -> None:
    text = view(exact(0.5))
    assert bars(text, "rnn.h") == "".join(level(lag * np.log10(0.5)) for lag in range(59, -1, -1))
    # 0.5 ** 6 is 1.6 %, and 0.5 ** 7 less than 1 %
    assert re.search(r"^rnn\.h .* lag 6$", text, re.M)
    assert re.search(r"^left  100 %   50 %   25 %   13 %  6\.3 %  3\.1 %  1\.6 %  0\.8 % ", text, re.M)
    assert re.search(r"^kept         ×0\.50  ×0\.50  ×0\.50", text, re.M)


def test_a_loss_in_the_middle_leaves_later_steps_blank() -> None:
    text = view(exact(0.5), 25)
    assert "from the loss at t=25 " in text
    assert bars(text, "rnn.h") == "".join(level(lag * np.log10(0.5)) for lag in range(25, -1, -1))


def test_a_gradient_that_grows_has_a_scale_of_its_own() -> None:
    text = view(exact(1.3, timesteps=40))
    # 1.3 ** 18 = 112, and 1.3 ** 39 = 2.8e4
    assert "(log, 1 to 1e5)" in text
    assert re.search(r"^rnn\.h .* lag 18$", text, re.M)
    assert "×100 at" in text
    assert bars(text, "rnn.h") == "".join(BARS[int(lag * np.log10(1.3) / 5 * 8)] for lag in range(39, -1, -1))


def test_what_is_left_at_the_first_step_stands_at_the_end_of_a_row_that_keeps() -> None:
    text = view(exact(0.98, timesteps=31))
    assert re.search(r"^rnn\.h .* 55 %$", text, re.M)  # 0.98 ** 30 = 0.545
    assert "at t=0" in text


def test_a_row_that_is_cut_says_what_is_left_there() -> None:
    layer = rg.nn.RNN(3, 4, truncate=5)
    for parameter in layer.parameters():
        parameter.value[...] = 0.9 * np.eye(4) if "Wh" in parameter.name else 0.0
    hidden = layer(rg.Tape().input(np.zeros((2, 20, 3))))
    text = view(rg.record((hidden * np.arange(1.0, 5.0)).sum(), lags=True))
    assert "at the cut" in text
    assert re.search(r"^rnn\.h .* 66 %$", text, re.M)  # 0.9 ** 4


def test_two_directions_end_at_their_own_lags() -> None:
    text = view(exact(0.7, both=True, timesteps=41), width=120)
    # 0.7 ** 12 = 1.4 %, 0.7 ** 13 = 0.97 %
    assert len(re.findall(r"^rnn\.h\w* .* lag 12$", text, re.M)) == 2
    assert bars(text, "rnn.h_l0_reverse").startswith(" " * 20)


def test_the_sum_is_one_row_and_said_to_be_flat() -> None:
    text = view(exact(0.5))
    assert "sum over all 60 losses (linear): flat" in text
    assert len(re.findall("sum over", text)) == 1
    assert "sum over" not in view(exact(0.5, last=True))  # of one loss there is no sum
    grown = view(exact(0.9, timesteps=20))
    assert "flat" not in grown  # 1 at the end, 8.8 at the start


@pytest.mark.parametrize(("most", "flat"), [(1.5, True), (3.0, False)])
def test_a_sum_is_flat_in_the_picture_where_it_is_in_the_terminal(most: float, flat: bool) -> None:
    trace = with_state(exact(0.5), grad=Magnitudes.of(np.geomspace(1, most, 60)))
    assert ("linear): flat" in view(trace)) == flat
    assert any("it is flat" in shape.text for shape in rg.draw(trace).shapes) == flat


def test_the_sum_of_a_picture_is_that_of_all_states_of_its_layer() -> None:
    h, c = np.linspace(3, 4, 30), np.linspace(4, 3, 30)
    trace = made_up("lstm")
    states = tuple(replace(one, grad=Magnitudes.of(h if one.kind == "h" else c)) for one in trace.states)
    found = rg.draw(replace(trace, states=states)).graph.seen
    assert found is not None
    np.testing.assert_allclose(found.strips[1].values, np.sqrt(h**2 + c**2))


def test_a_character_is_the_smallest_of_its_bin() -> None:
    text = view(exact(0.5), width=40)
    row = bars(text, "rnn.h")
    spans = spans_of(60, len(row))
    assert len(row) < 40
    assert max(stop - first for first, stop in spans) == 3
    assert row == "".join(level((59 - first) * np.log10(0.5)) for first, _ in spans)


def test_steps_are_divided_without_a_gap() -> None:
    for count, room in ((1, 1), (7, 3), (3000, 57), (5, 80), (2, 0)):
        spans = spans_of(count, room)
        assert [step for first, stop in spans for step in range(first, stop)] == list(range(count))
        assert len(spans) == min(count, max(room, 1))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("width", [30, 40, *WIDTHS[:2]])  # the whole at each of the wide ones is known
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    text = view(NETWORKS[name], width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert not [line for line in text.splitlines() if line != line.rstrip() and line.startswith("rnn")]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_whole(width: int) -> None:
    rule = "-" * width
    text = "".join(f"{rule} {name}\n{view(trace, width=width)}" for name, trace in NETWORKS.items())
    golden = GOLDENS / f"norms-{width}.txt"
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("how", [{"no_color": True}, {"color_system": "standard"}, {"color_system": "truecolor"}])
def test_colours_change_no_character(how: dict[str, Any]) -> None:
    trace = exact(0.5)
    coloured = view(trace, force_terminal=True, **how)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == view(trace)
    assert ("\x1b[1;38" in coloured or "\x1b[1;3" in coloured) == ("no_color" not in how)


def test_a_light_background_can_be_read() -> None:
    """No colour is used that is near white or near black: 3 to 1 on either, as for large signs."""
    from rnngraph.render.report.seen import sparklines
    from rnngraph.render.report.text import NOTE_STYLE

    for how in (sparklines.ABOVE, sparklines.GROWN, NOTE_STYLE):
        (colour,) = re.findall(r"#[0-9a-f]{6}", how)
        assert contrast(colour, "#ffffff") > 3
        assert contrast(colour, "#000000") > 3


def test_an_ascii_terminal_gets_ascii() -> None:
    text = view(exact(0.5), encoding="ascii")
    assert text.isascii()
    assert set(bars(text, "rnn.h")) == {"-", *"1234567#"}
    assert "x0.50" in text


def test_an_encoder_goes_on_where_its_decoder_ends() -> None:
    tape = rg.Tape()
    layers = [rg.nn.RNN(3, 3, name=name) for name in ("encoder", "decoder")]
    for layer in layers:
        for parameter in layer.parameters():
            parameter.value[...] = 0.5 * np.eye(3) if "Wh" in parameter.name else 0.0
    read = layers[0](tape.input(np.zeros((2, 9, 3))))
    written = layers[1](tape.input(np.zeros((2, 4, 3))), h0=read[:, 8])
    trace = rg.record((written * np.arange(1.0, 4.0)).sum(), lags=True)
    text = view(trace, width=120)
    lines = text.splitlines()
    # Four steps of the decoder, from 100 % on, and nine of the encoder, from 0.5 ** 4 on.
    lags = next(line for line in lines if line.startswith("lag ")).split()[1:]
    assert lags == [str(lag) for lag in range(13)]
    table = {line.split()[0]: line for line in lines if line.startswith(("decoder.h", "encoder.h")) and " %" in line}
    assert re.fullmatch(r"decoder\.h  100 %   50 %   25 %   13 %", table["decoder.h"])
    assert re.fullmatch(r"encoder\.h {30}6\.3 %  3\.1 %  1\.6 % .*", table["encoder.h"])
    assert re.search(r"^decoder\.h .* 13 % at t=0$", text, re.M)
    assert re.search(r"^encoder\.h .* 1 % at lag 6$", text, re.M)


def test_one_loss_that_reads_many_steps_has_no_sum() -> None:
    tape = rg.Tape()
    hidden = rg.nn.RNN(3, 4)(tape.input(np.random.default_rng(0).normal(size=(2, 9, 3))))
    trace = rg.record((hidden.mean(axis=1) ** 2).sum(), lags=True)
    assert trace.lags[0].joint
    assert "sum over" not in view(trace)


def test_words_stand_under_their_steps() -> None:
    lines = view(exact(0.6, timesteps=8, labels=WORDS)).splitlines()
    under = next(line for line in lines if "<START>" in line)
    row = next(line for line in lines if line.startswith("rnn.h "))
    for word in WORDS:
        place = under.index(f" {word}") + 1
        assert len(set(row[place : place + len(word)])) == 1
        assert row[place] in BARS
    narrow = view(exact(0.6, timesteps=8, labels=WORDS), width=40)
    assert "slanted" not in narrow
    assert "t=0" in narrow


@pytest.mark.parametrize(
    "words",
    [
        ["x" * 20_000] * 3,
        ["שלום", "עולם", "abc"],
        ["e\u0301" * 5, "n\u0303", "a\u0308\u0323"],
        ["日本語", "テスト", "文"],
        ["\x1b[31m", "a\nb", "\u202eabc"],
        [None, "b", None],
        ["👩\u200d👩", "", "c"],
    ],
)
def test_awkward_labels_are_drawn_right(words: list[str | None]) -> None:
    trace = replace(exact(0.5, timesteps=3), labels=tuple(words))
    for width in (30, 60, 80, 200):
        text = view(trace, width=width)
        assert max(map(cell_len, text.splitlines())) <= width
        assert len(text) < 4000
        assert "\x1b" not in text
    if words[0] == "שלום":  # a terminal would turn their order around
        assert "עולם" not in text
        assert "t=0" in text
    if words[0] == "日本語":
        line = next(line for line in text.splitlines() if "日本語" in line)
        row = bars(text, "rnn.h").split(" ")
        assert [len(part) for part in row] == [6, 6, 2]  # a sign of these takes two characters
        assert cell_len(line[: line.index("文")]) == len("rnn.h  ") + 6 + 1 + 6 + 1


def test_names_of_20000_characters_are_cut() -> None:
    trace = exact(0.5)
    long = "layer." * 4000 + "h"
    (state,), (lags,) = trace.states, trace.lags
    trace = replace(trace, states=(replace(state, name=long),), lags=(replace(lags, state=long),))
    for width in (30, 80):
        assert max(map(cell_len, view(trace, width=width).splitlines())) <= width


def test_the_gates_that_keep_are_said() -> None:
    layer = rg.nn.LSTM(3, 4, forget_bias=2.0)
    layer.parameter("Wh").value[...] = 0.0
    layer.parameter("Wx").value[...] = 0.0
    hidden = layer(rg.Tape().input(np.zeros((2, 9, 3))))
    text = view(rg.record((hidden * np.arange(1.0, 5.0)).sum(), lags=True))
    assert "forget gate 0.88 on average" in text  # 1 / (1 + e ** -2)


def test_a_name_without_room_keeps_its_end_which_tells_it_from_others() -> None:
    text = view(exact(0.7, both=True, timesteps=41), width=40)
    assert re.search(r"^…0_reverse ", text, re.M)
    assert max(map(cell_len, text.splitlines())) <= 40


def test_a_row_of_which_nothing_is_known_or_left_says_so() -> None:
    hidden = rg.nn.LSTM(3, 4, seed=1)(rg.Tape().input(np.ones((2, 9, 3))))
    trace = rg.record((hidden * np.arange(1.0, 5.0)).sum(), lags=True)

    def row_of_c(log: Any) -> str:
        h, c = trace.lags
        text = view(replace(trace, lags=(h, replace(c, log=log(c.log)))))
        return next(line for line in text.splitlines() if line.startswith("lstm.c ")).rstrip()

    assert row_of_c(lambda log: np.full_like(log, np.nan)).endswith("unmeasured")
    assert row_of_c(lambda log: log - 40).endswith("under 1 %")


@pytest.mark.parametrize(("count", "more"), [(3, ""), (6, " and 2 more")])
def test_the_gates_of_many_layers_are_listed(count: int, more: str) -> None:
    layer = rg.nn.LSTM(3, 4, num_layers=count, forget_bias=1.0)
    for parameter in layer.parameters():
        if "W" in parameter.name:
            parameter.value[...] = 0.0
    trace = rg.record(layer(rg.Tape().input(np.zeros((2, 5, 3)))).sum(), lags=True)
    (line,) = gate_lines(trace)
    means = ", ".join(f"lstm{number} 0.73" for number in ("", "_l1", "_l2", "_l3")[:count])
    assert line == f"forget gate {means}{more} on average; 1 would keep everything"
