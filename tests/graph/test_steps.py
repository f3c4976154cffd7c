from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngraph.errors import InputError
from rnngraph.graph.steps import default_steps, gaps, parse_steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:20", ((10, 20),)),
        ("0:3,97:100", ((0, 3), (97, 100))),
        ("97:100, 0:3", ((0, 3), (97, 100))),
        ("all", ((0, 100),)),
        (" ALL ", ((0, 100),)),
        ("7", ((7, 8),)),
        (":5", ((0, 5),)),
        ("90:", ((90, 100),)),
        ("-5:", ((95, 100),)),
        ("-1", ((99, 100),)),
        (":", ((0, 100),)),
        ("0:5,3:8,8:10", ((0, 10),)),
        (3, ((3, 4),)),
        ([1, 2, 9], ((1, 3), (9, 10))),
        (range(4, 8), ((4, 8),)),
        (slice(-2, None), ((98, 100),)),
    ],
)
def test_every_spelling(text: object, expected: object) -> None:
    assert parse_steps(text, 100) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "a:b", "1:2:3", "1-2", "1.5", "0:3,", "0x10"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a range of timesteps"):
        parse_steps(text, 100)


@pytest.mark.parametrize("steps", ["97:120", "100", "-101:", [100], [-101], "500:"])
def test_steps_outside_the_trace_are_refused_with_its_length(steps: object) -> None:
    with pytest.raises(InputError, match="100 timesteps: 0 to 99"):
        parse_steps(steps, 100)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", ["5:5", "9:3", []])
def test_no_steps_are_refused(steps: object) -> None:
    with pytest.raises(InputError, match="empty"):
        parse_steps(steps, 100)  # type: ignore[arg-type]


def test_default_keeps_a_short_sequence_and_both_ends_of_a_long_one() -> None:
    assert default_steps(12) == ((0, 12),)
    assert default_steps(13) == ((0, 5), (8, 13))
    assert default_steps(100_000) == ((0, 5), (99_995, 100_000))


@given(st.integers(1, 60), st.data())
def test_ranges_and_gaps_tile_the_sequence(timesteps: int, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, timesteps - 1), min_size=1))
    ranges = parse_steps(sorted(chosen), timesteps)
    shown = [step for start, stop in ranges for step in range(start, stop)]
    hidden = [step for start, stop in gaps(ranges, timesteps) for step in range(start, stop)]
    assert set(shown) == chosen
    assert sorted(shown + hidden) == list(range(timesteps))


def test_a_fraction_of_a_step_is_refused() -> None:
    with pytest.raises(InputError, match=r"1\.5"):
        parse_steps(1.5, 10)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"2\.5"):
        parse_steps([1, 2.5], 10)  # type: ignore[list-item]
