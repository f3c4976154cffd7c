"""The scale of what is left: the stops of its table, the jump at 1 %, and that every text on it can be read."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from rnngraph.graph.style.left import GROWN, LEFT, colour, end_of, floor_of, is_dotted, tone, width
from rnngraph.graph.style.palette import Scale, balanced
from tests.contrast import contrast, luminance


@pytest.mark.parametrize(
    ("decades", "what", "place"),
    [
        ([0, -1, -2, -3], "dies", 2),  # 1 % exactly is left
        ([0, -1, -3, -1.5, -math.inf], "dies", 3),  # what comes back is not dead
        ([0, -1, math.nan, -9], "unknown", 1),
        ([0, -0.5, -1], "reaches", 2),
        ([0, 1, 2, 3, -9], "explodes", 2),  # ×100 exactly
        ([2.5], "explodes", 0),
        ([-2.1, -3], "nothing", -1),
        ([math.nan], "nothing", -1),
        ([], "nothing", -1),
    ],
)
def test_how_a_walk_ends(decades: list[float], what: str, place: int) -> None:
    assert end_of(np.array(decades), cut=False) == (what, place)
    assert end_of(np.array(decades), cut=True) == ("cut" if what == "reaches" else what, place)


@pytest.mark.parametrize(
    ("share", "light", "dark"),
    [
        (1.0, "#0b2f6b", "#d6e9ff"),
        (0.1, "#2563b8", "#7db8fb"),
        (0.01, "#5b8fd6", "#3d86dc"),
        (1e-4, "#dce5f1", "#1b2a3f"),
        (1e-6, "#eef2f7", "#161d28"),
        (1e-16, "#eef2f7", "#161d28"),
        (0.0, "#eef2f7", "#161d28"),
        (2.9, "#0b2f6b", "#d6e9ff"),
        (5.0, "#c2560c", "#e8792f"),
        (50.0, "#a63c06", "#ff9a52"),
        (5e3, "#862a04", "#ffb985"),
        (1e9, "#5e1a02", "#ffdcc2"),
    ],
)
def test_the_stops(share: float, light: str, dark: str) -> None:
    found = tone(math.log10(share) if share else -math.inf)
    assert (found.light, found.dark) == (light, dark)


def test_the_colour_jumps_at_one_percent_and_nowhere_else_as_far() -> None:
    assert tone(-2.0).name == "k8"
    assert tone(math.nextafter(-2.0, -3)).name == "k7"
    steps = [abs(luminance(one.light) - luminance(other.light)) for one, other in pairwise(LEFT)]
    assert max(range(12), key=steps.__getitem__) == 7


def test_less_is_lighter_and_in_dark_darker() -> None:
    light, dark = ([luminance(getattr(one, theme)) for one in LEFT] for theme in ("light", "dark"))
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_on_every_step(dark: bool) -> None:
    for one in (*LEFT, *GROWN):
        assert contrast(colour(one.name, dark=dark), colour(one.text, dark=dark)) >= 4.5, one.name
    for name in ("ink", "muted"):
        assert contrast(colour(name, dark=dark), colour("paper", dark=dark)) >= 4.5
        assert contrast(colour(name, dark=dark), colour("fold", dark=dark)) >= 4.5


@pytest.mark.parametrize("dark", [False, True])
def test_text_of_and_on_the_scales_of_the_sum_can_be_read(dark: bool) -> None:
    for scale in (Scale(-3.0, 2.0), balanced(-1.0, 0.5), Scale(0.0, 1.0, "a")):
        for value in (scale.low + (scale.high - scale.low) * place / 40 for place in range(41)):
            own = colour(scale.colour(value), dark=dark)
            assert contrast(own, colour(scale.contrast(value), dark=dark)) >= 4.5, value
            assert contrast(colour("paper", dark=dark), colour(scale.ink(value), dark=dark)) >= 4.5, value
    for name in ("red", "violet", "orange", "padding-ink"):
        assert contrast(colour(name, dark=dark), colour("paper", dark=dark)) >= 4.5, name


@pytest.mark.parametrize("dark", [False, True])
def test_the_scales_of_the_sum_go_one_way_in_lightness(dark: bool) -> None:
    """Viridis gets lighter on either paper; amounts fade into it."""
    for scale, rising in ((Scale(0.0, 1.0), True), (Scale(0.0, 1.0, "a"), dark)):
        levels = [luminance(colour(scale.colour(place / 20), dark=dark)) for place in range(21)]
        assert levels == sorted(levels, reverse=not rising)


def test_the_width_is_linear_in_the_logarithm() -> None:
    assert [width(decades) for decades in (-2.0, -1.0, 0.0, 2.0)] == [2.0, 4.5, 7.0, pytest.approx(8.6)]
    assert width(-2.1) == width(-math.inf) == 1.2
    assert is_dotted(-2.1)
    assert is_dotted(math.nan)
    assert not is_dotted(-2.0)


def test_a_short_number_format_has_a_higher_floor() -> None:
    assert tone(-3.4, floor=floor_of("float16")).name == "k0"
    assert tone(-2.9, floor=floor_of("float16")).name != "k0"
    assert tone(-2.2, floor=floor_of("bfloat16")).name == "k0"
    assert floor_of("float64") == -6


# Printed in grey: what a printer makes of a colour, by the two formulas that are in use (ITU-R BT.601 and BT.709).
WEIGHTS = {"BT.601": (0.299, 0.587, 0.114), "BT.709": (0.2126, 0.7152, 0.0722)}


def in_grey(name: str, formula: str, dark: bool) -> str:
    code = colour(name, dark=dark)
    parts = [int(code[at : at + 2], 16) for at in (1, 3, 5)]
    level = round(sum(weight * part for weight, part in zip(WEIGHTS[formula], parts, strict=True)))
    return f"#{level:02x}{level:02x}{level:02x}"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("formula", WEIGHTS)
def test_in_grey_the_scale_keeps_its_order_and_its_steps_are_told_apart(formula: str, dark: bool) -> None:
    greys = [in_grey(one.name, formula, dark) for one in LEFT]
    levels = [luminance(grey) for grey in greys]
    assert levels == sorted(levels, reverse=not dark)
    assert len(set(greys)) == len(greys)
    steps = [contrast(one, other) for one, other in pairwise(greys)]
    assert steps[7] >= 1.9  # at 1 %, and nowhere else as far
    assert steps[7] == max(steps)
    assert min(steps[8:]) >= 1.3  # half a decade each from there on
    assert contrast(greys[0], in_grey("paper", formula, dark)) >= 1.1  # a box with nothing left is a box
    grown = [in_grey(one.name, formula, dark) for one in GROWN]
    assert min(contrast(one, other) for one, other in pairwise(grown)) >= 1.25
    assert sorted(grown) == (grown if dark else grown[::-1])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("formula", WEIGHTS)
def test_in_grey_every_text_can_be_read(formula: str, dark: bool) -> None:
    for one in (*LEFT, *GROWN):
        assert contrast(in_grey(one.name, formula, dark), in_grey(one.text, formula, dark)) >= 4.5, one.name
    for name in ("ink", "muted"):
        for under in ("paper", "fold"):
            assert contrast(in_grey(name, formula, dark), in_grey(under, formula, dark)) >= 4.5
    # The mark's line, and the arrows that are dotted: shapes need 3 to 1.
    for name in ("ink", "line", "k8"):
        assert contrast(in_grey(name, formula, dark), in_grey("paper", formula, dark)) >= 2.99, name


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("formula", WEIGHTS)
def test_what_grey_does_not_tell_from_growth_the_width_does(formula: str, dark: bool) -> None:
    alike = 0
    for number, one in enumerate(LEFT[8:], 8):
        for grown, most in zip(GROWN, (1.0, 2.0, 4.0, 6.0), strict=True):
            if contrast(in_grey(one.name, formula, dark), in_grey(grown.name, formula, dark)) < 1.3:
                alike += 1
                assert width(most) - width(number / 2 - 6) >= 1.5
    assert alike  # the two ramps do share greys
