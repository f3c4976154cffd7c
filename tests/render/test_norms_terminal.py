from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from rnngraph.cli.streams import SIMPLER
from rnngraph.errors import InputError
from rnngraph.graph.steps import Steps
from rnngraph.render.report.norms.terminal import norms_tables
from rnngraph.render.report.text import number_text, percent_text
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace
from tests.render.norms_trace import magnitudes_of_every_status, norms_trace, state_trace


def report(
    trace: Trace,
    *,
    width: int = 120,
    steps: Steps = None,
    states: tuple[str, ...] | None = None,
    encoding: str = "utf-8",
) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding, SIMPLER)
    console = Console(file=stream, width=width, highlight=False)
    console.print(norms_tables(trace, steps=steps, states=states))
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def row(text: str, step: str) -> list[str]:
    """The cells of a step's row, without bars."""
    line = next(line for line in text.splitlines() if line.split()[:1] == [step])
    return [cell for cell in line.split()[1:] if not set(cell) <= set("█▏▎▍▌▋▊▉#")]


def test_a_row_holds_every_number_of_its_step() -> None:
    text = report(norms_trace(4))
    assert row(text, "2") == ["word2", "1.00e-01", "6.00e-02", "8.00e-02", "0.0800", "7", "%", "2.25e+00"]
    assert row(text, "3") == ["word3", "1.00e+00", "6.00e-01", "zero", "-", "10", "%", "3.25e+00"]
    assert row(text, "h0") == ["initial", "1.00e-04"]
    assert "4 timesteps · float64 · loss 1.5\n" in text


def test_bars_are_on_a_log_scale() -> None:
    lengths = [
        sum(line.count(block) * eighths for block, eighths in zip("█▉▊▋▌▍▎▏", range(8, 0, -1), strict=True))
        for line in report(norms_trace(5), width=100).splitlines()
        if re.match(r" ?\d  word", line)
    ]
    # Equal factors are equal lengths; the scale runs from the initial state's 1e-5 to 1.
    assert np.ptp(np.diff(lengths)) <= 1
    assert lengths[4] == pytest.approx(5 * lengths[0], abs=3)
    assert "1e-5..1e0" in report(norms_trace(5))


def test_each_status_is_told_apart_in_words() -> None:
    trace = norms_trace(5, states=(state_trace(5, grad=magnitudes_of_every_status()),))
    text = report(trace)
    assert [row(text, str(t))[1] for t in range(5)] == ["1.00e-200", "zero", "underflow", "nonfinite", "-"]
    assert "zero at t = 1; underflow at t = 2; nonfinite at t = 3; not observed at t = 4" in " ".join(text.split())


def test_a_long_sequence_keeps_its_ends_and_sums_up_its_middle() -> None:
    text = report(norms_trace(300))
    assert row(text, "11")[0] == "word11"
    assert row(text, "288")[0] == "word288"
    largest, smallest = (line.split() for line in text.splitlines() if line.startswith("..."))
    assert largest[1:5] == ["max", "of", "276", "1.00e-12"]  # t = 287
    assert smallest[1:5] == ["min", "of", "276", "1.00e-287"]  # t = 12
    assert (largest[-3:-1], smallest[-3:-1]) == (["10", "%"], ["<1", "%"])  # saturated
    assert len(text.splitlines()) < 40


def test_folds_and_padding_are_dim() -> None:
    valid = np.ones((2, 60), dtype=bool)
    valid[:, 59] = False
    stream = io.StringIO()
    console = Console(file=stream, width=120, force_terminal=True, color_system="standard", legacy_windows=False)
    console.print(norms_tables(norms_trace(60, valid=valid)))
    _, *dim = [line for line in stream.getvalue().splitlines() if line.startswith("\x1b[2m")]  # under the heading
    assert [re.findall("max of|min of|word59", line) for line in dim] == [["max of"], ["min of"], ["word59"]]


@pytest.mark.parametrize(("first", "count"), [("zero", 3), ("underflow", 2), ("nonfinite", 1)])
def test_a_fold_never_hides_what_is_not_a_number(first: str, count: int) -> None:
    values = np.ones(60)
    grad = Magnitudes.of(values)
    status = {"zero": 1, "underflow": 2, "nonfinite": 3}[first]
    grad.status[20 : 20 + count] = status
    grad.value[20 : 20 + count] = np.nan if status == 3 else 0.0
    text = report(norms_trace(60, states=(state_trace(60, grad=grad),)))
    assert first in "".join(line for line in text.splitlines() if line.startswith("..."))
    assert f"{first} at t = 20" in text


def test_the_steps_asked_for_are_shown() -> None:
    text = report(norms_trace(300), steps="2:4,50")
    assert [line.split()[0] for line in text.splitlines() if "word" in line] == ["2", "3", "50"]
    assert len([line for line in report(norms_trace(300), steps="all").splitlines() if "word" in line]) == 300


@pytest.mark.parametrize("steps", ["7:9", "x", "3:3"])
def test_steps_that_are_not_there_are_refused(steps: str) -> None:
    with pytest.raises(InputError, match="steps"):
        report(norms_trace(4), steps=steps)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("timesteps", [1, 2, 40, 3000])
def test_no_number_is_cut_short_at_any_width(width: int, timesteps: int) -> None:
    text = report(norms_trace(timesteps), width=width)
    table = text[: text.index("rnn.h:")]
    assert "…" not in table
    assert max(map(len, table.splitlines()[2:])) <= width
    if width < 80 or width > 100:
        assert ("A wider terminal" in table) == (width < 80)


def test_each_of_many_states_has_its_table_and_one_can_be_asked_for() -> None:
    names = ["rnn.h", "rnn.h_l0_reverse", "rnn.h_l1", "rnn.h_l1_reverse"]
    states = tuple(state_trace(3, name=name, layer=index // 2) for index, name in enumerate(names))
    text = report(norms_trace(3, states=states))
    assert re.findall(r"^(\S+)   tanh, layer", text, re.M) == names
    assert len(re.findall(r"^ 1  word1 +1\.00e-01 .* 6\.00e-02 ", text, re.M)) == 4
    alone = report(norms_trace(3, states=states), states=("rnn.h_l1",))
    assert "immediate" in alone
    assert "rnn.h_l1_reverse" not in alone
    with pytest.raises(InputError, match="there is no state 'c'"):
        report(norms_trace(3, states=states), states=("c",))


def test_a_loss_that_is_not_finite_is_not_one_that_was_not_observed() -> None:
    trace = norms_trace(2, loss=float("nan"))
    assert "loss not observed" in report(trace)
    broken = replace(trace, graph=replace(trace.graph, first_nonfinite_forward=0))
    assert "loss not finite" in report(broken)


def test_the_reverse_direction_ends_with_its_initial_state() -> None:
    text = report(norms_trace(3, states=(state_trace(3, direction="reverse", name="rnn.h_l0_reverse"),)))
    lines = [line.split()[0] for line in text.splitlines() if "word" in line or "initial" in line]
    assert lines == ["0", "1", "2", "h0"]


@pytest.mark.parametrize(("direction", "step"), [("forward", "1"), ("reverse", "3")])
def test_a_cut_shows_where_nothing_is_carried_over(direction: str, step: str) -> None:
    cut = np.array([False, False, True, False, False])
    text = report(norms_trace(5, states=(state_trace(5, direction=direction, cut=cut),)))
    assert [line.split()[0] for line in text.splitlines() if " cut " in line and "word" in line] == [step]
    assert "is cut where it leads into t = 2" in text


def test_the_weight_of_the_layer_is_its_own() -> None:
    trace = norms_trace(2, states=(state_trace(2, layer=1, name="rnn.h_l1"),))
    assert "dWh" not in report(trace)


def test_the_summary_says_how_far_apart() -> None:
    text = " ".join(report(norms_trace(4)).split())
    assert "largest 1.00e+00 at t=3, smallest 1.00e-03 at t=0, 3.0 decades apart." in text


def test_padding_nonfinite_nodes_and_notes_are_remarked_on() -> None:
    valid = np.array([[True, True, False, False], [True, False, False, False]])
    trace = norms_trace(4, valid=valid, notes=("Only one sample was taken.",))
    trace = replace(trace, graph=replace(trace.graph, first_nonfinite_forward=0))
    text = report(trace)
    assert "No sequence of the batch reaches t = 2 to 3" in text
    assert "The first NaN or infinity of the forward pass comes out of tanh (node 0, rnn.0/forward, t=3)" in text
    assert "Only one sample was taken." in text


def test_an_ascii_terminal_gets_ascii() -> None:
    text = report(norms_trace(4), encoding="ascii")
    assert text.isascii()
    assert "|dL/dh|" in text
    assert "####" in text


def test_labels_are_data() -> None:
    labels = ("[bold]x[/bold]", "a\nb", "\x1b[31mred", "日本語")
    text = report(norms_trace(4, labels=labels))
    assert [row(text, str(t))[0] for t in range(4)] == ["[bold]x[/bold]", "a\\nb", "\\x1b[31mred", "日本語"]


def test_a_trace_without_states_is_refused() -> None:
    with pytest.raises(InputError, match="no timestep"):
        report(norms_trace(2, states=()))


def test_states_without_an_ordinary_gradient_say_so() -> None:
    zero = Magnitudes.of(np.zeros(4))
    text = " ".join(report(norms_trace(states=(state_trace(4, grad=zero),))).split())
    assert "rnn.h: no step has a gradient that is an ordinary number; zero at t = 0 to 3." in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (0.000512, "5.1e-04"), (0.0512, "0.0512"), (51.2, "51.2"), (5120.0, "5.1e+03"), (np.nan, "-")],
)
def test_numbers_are_plain_where_that_is_short(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.parametrize(("share", "text"), [(0.0, "0 %"), (0.001, "<1 %"), (0.256, "26 %"), (np.nan, "-")])
def test_shares_are_percentages(share: float, text: str) -> None:
    assert percent_text(share) == text
