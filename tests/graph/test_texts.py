from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnngraph.graph.draw import Drawing, draw
from rnngraph.graph.layout.metrics import width_of, wrap
from rnngraph.graph.model import Column
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace
from tests.traces import every_status, make_trace, with_state


def texts(drawing: Drawing) -> list[str]:
    return [shape.text for shape in drawing.shapes]


def without_steps(trace: Trace, count: int) -> Trace:
    """Forget what each step contributes to the first `count` parameters."""
    unknown = Magnitudes.unobserved((trace.timesteps,))
    changed = tuple(replace(one, steps=unknown) for one in trace.parameters[:count])
    return replace(trace, parameters=(*changed, *trace.parameters[count:]))


def test_a_weight_that_is_used_once_is_not_called_unobserved() -> None:
    trace = without_steps(make_trace("tanh", 4), 1)
    found = texts(draw(trace))
    assert "not per step" in found
    assert not any("not observed" in text for text in found)


def test_weights_of_which_no_step_is_known_are_called_unobserved() -> None:
    trace = make_trace("tanh", 4)
    found = texts(draw(without_steps(trace, len(trace.parameters))))
    assert found.count("by step not observed") == len(trace.parameters)
    assert "not per step" not in found


def test_a_fold_shows_that_the_gradient_died_inside() -> None:
    grad = np.full(40, 0.5)
    grad[:30] = 0.0
    trace = with_state(make_trace("tanh", 40), grad=Magnitudes.of(grad))
    (fold,) = [shape.text for shape in draw(trace, steps="0:2,38:40").shapes if shape.subject == "n3"]
    assert "0 … 0.5" in fold


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_layers_box_says_what_the_cell_carries(bidirectional: bool) -> None:
    trace = make_trace("lstm", 9, bidirectional=bidirectional)
    boxes = [shape.text for shape in draw(trace, detail="layer").shapes if "LSTM layer" in shape.text]
    cells = [state for state in trace.states if state.kind == "c"]
    assert len(boxes) == len(cells)
    for box in boxes:
        assert "c carries" in box
        assert "c carries 0 " not in box, "nothing is carried into the last step, which is no news"


def test_text_is_large_enough_to_be_read_at_half_its_size() -> None:
    assert min(shape.size for shape in draw(make_trace("lstm", 30)).shapes if shape.text) >= 9.5


def test_one_nonfinite_step_does_not_take_the_scale_away() -> None:
    found = texts(draw(every_status()))
    assert "‖∂L/∂state‖ carried back in time:" in found
    assert {"1e-9", "1e-1"} <= set(found)


def test_a_paragraph_ends_where_it_has_no_more_lines() -> None:
    width = width_of("one two", 12)
    assert wrap("one two six", width, 12, most=2) == ["one two", "six"]
    first, second = wrap("one two three four", width, 12, most=2)
    assert (first, second[-1]) == ("one two", "…")
    assert "three four".startswith(second[:-1].rstrip())
    assert width_of(second, 12) <= width
    word, rest = wrap("unpronounceable six", width, 12)
    assert (word[-1], rest) == ("…", "six")
    assert width_of(word, 12) <= width


def test_the_steps_of_a_column_are_those_of_all_its_ranges() -> None:
    steps = np.arange(9)
    assert steps[Column("loop", ((0, 2), (5, 8))).index].tolist() == [0, 1, 5, 6, 7]
    assert steps[Column("loop", ((3, 5),)).index].tolist() == [3, 4]
    assert steps[Column("initial", ()).index].tolist() == []
