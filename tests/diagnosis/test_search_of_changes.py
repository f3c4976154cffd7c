"""What is tried, to the number: the words, the changes and the factors, with whoever runs it again made up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis.finding import Finding
from rnngraph.diagnosis.remedies import advice
from rnngraph.diagnosis.remedies.advice import clip_threshold, dominates, gradient_norm
from rnngraph.diagnosis.remedies.search import CURES, search
from rnngraph.diagnosis.remedies.treat import _advice, treat
from rnngraph.diagnosis.remedies.tried import Bench, Tried
from rnngraph.trace.change import BIAS, CHRONO, IDENTITY, INPUTS, OPEN, ORTHOGONAL, SCALE, Change
from rnngraph.trace.magnitudes import Magnitudes
from tests.diagnosis.stand_ins import LIMITS, a_layer, a_network, a_path, a_state

INF, NAN = math.inf, math.nan


class Noted:
    """A bench that leaves what a function of the changes says, (decades, peak), or None where it cannot be made."""

    def __init__(self, left: Callable[[Sequence[Change]], Any], *, lag: int = 40, decades: float = -9.0) -> None:
        self.left, self.lag, self.done = left, lag, list[Tried]()
        self.network = a_network(path=a_path(), head=a_path(decades=decades))

    def run(self, words: str, *changes: Change) -> Tried | None:
        found = self.left(changes)
        if found is None:
            return None
        self.done.append(Tried(words, changes, *found))
        return self.done[-1]


def tried(rule: str, layer: Any, left: Any = (-9.0, 0.0), **options: Any) -> list[tuple[str, tuple[Change, ...]]]:
    """What is tried for a finding, one after the other, where nothing helps."""
    bench: Any = Noted(left if callable(left) else lambda changes: left, **options)
    assert search(bench, rule, layer) == []
    return [(one.words, one.changes) for one in bench.done]


def factors(rule: str, layer: Any, left: Any, **options: Any) -> list[float]:
    return [found[0].number for _, found in tried(rule, layer, left, **options) if found[0].kind == SCALE]


def test_a_gate_is_opened_by_chrono_and_then_by_its_bias() -> None:
    # A gain of 0.1 after 40 steps is f = 0.1 ** (1 / 40) = 0.94406, and ln(f / (1 - f)) = 2.825.
    assert tried("vanishing", a_layer("lstm")) == [
        ("start the gates by chrono for lag 40", (Change(CHRONO, 41),)),
        ("set the bias of the forget gate to 2.83", (Change(BIAS, 2.83),)),
        ("set the bias of the forget gate to 3.83", (Change(BIAS, 3.83),)),
        ("set the bias of the forget gate to 4.83", (Change(BIAS, 4.83),)),
    ]
    assert tried("attenuating", a_layer("lstm")) == tried("vanishing", a_layer("lstm"))


@pytest.mark.parametrize("cell", ["tanh", "relu"])
def test_without_a_gate_it_is_made_orthogonal_and_scaled(cell: str) -> None:
    found = tried("vanishing", a_layer(cell))
    identity = ("start the recurrent weight as the identity and the biases at 0", (Change(IDENTITY),))
    assert (identity in found) == (cell == "relu")
    assert next(one for one in found if one != identity) == (
        "start the recurrent weight orthogonal", (Change(ORTHOGONAL),)
    )  # fmt: skip
    # 8.5 decades are missing over 40 steps: ×10 ** (8.5 / 40) = 1.63 each time.
    scales = [change[0].number for _, change in found if change[0].kind == SCALE]
    assert scales == [1.63, 2.66, 4.34, 7.08, 11.5]


@pytest.mark.parametrize(
    ("decades", "first"), [(-9.0, 1.63), (-2.5, 1.12), (NAN, 1.22), (-INF, 307.0), (-200.0, 307.0)]
)
def test_where_the_search_of_a_scale_begins(decades: float, first: float) -> None:
    assert factors("vanishing", a_layer(), (-9.0, 0.0), decades=decades)[0] == pytest.approx(first, rel=2e-3)


def test_a_scale_lies_between_a_thousandth_and_a_thousand() -> None:
    assert factors("vanishing", a_layer(), (-9.0, 0.0), decades=-100.0, lag=10)[0] == 1000
    assert factors("exploding", a_layer(peak=300.0, peak_lag=10), (0.0, 9.0))[0] == 0.001


def test_a_scale_is_raised_by_a_fifth_at_least_and_lowered_by_one() -> None:
    # 0.1 decades are missing: 10 ** (0.1 / 40) = 1.006 would hardly change anything.
    assert factors("vanishing", a_layer(), (-2.1, 0.0), decades=-0.6)[:3] == [1.01, 1.21, 1.45]
    assert factors("vanishing", a_layer(), (0.0, 2.0), decades=-0.6)[:3] == [1.01, 0.808, 0.646]
    # Far too much: 20 decades over 40 steps is ×10 ** -0.5.
    assert factors("vanishing", a_layer(), (0.0, 20.0), decades=-0.6)[:3] == [1.01, 0.319, 0.101]


def test_between_too_little_and_too_much_the_root_of_their_product() -> None:
    def left(changes: Sequence[Change]) -> tuple[float, float]:
        return (-9.0, 0.0) if changes[0].number < 2.5 else (0.0, 2.0)

    found = factors("vanishing", a_layer(), left)
    assert found == [1.63, 2.66, 2.08, 2.35, 2.5]


def test_a_search_ends_where_two_tries_are_one() -> None:
    found = factors("vanishing", a_layer(), lambda changes: (-9.0, 0.0) if changes[0].number < 1.64 else (0.0, 5.0))
    assert len(found) == 5
    assert len(set(found)) == 5
    # What cannot be made is not tried again.
    assert factors("vanishing", a_layer(), lambda changes: None) == []


def test_what_explodes_is_made_orthogonal_and_smaller() -> None:
    # 6 decades at lag 20 are to be one: 10 ** (-5 / 20) = 0.562.
    found = tried("exploding", a_layer(peak=6.0, peak_lag=20), (0.0, 8.0))
    assert found[0] == ("start the recurrent weight orthogonal", (Change(ORTHOGONAL),))
    assert found[1] == ("scale the recurrent weight by 0.562", (Change(SCALE, 0.562),))
    assert found[2][1][0].number == pytest.approx(0.562 * 10 ** (-8 / 40), rel=2e-3)
    assert tried("exploding", a_layer("lstm", peak=6.0, peak_lag=20), (0.0, 8.0))[0] == found[1]
    assert factors("exploding", a_layer(peak=3.0, peak_lag=0), (0.0, 8.0))[0] == 0.01


@pytest.mark.parametrize(("cell", "also", "change"), [
    ("tanh", "start the recurrent weight orthogonal", Change(ORTHOGONAL)),
    ("lstm", "start the gates by chrono for lag 40", Change(CHRONO, 41)),
])  # fmt: skip
def test_saturated_units_get_smaller_inputs(cell: str, also: str, change: Change) -> None:
    words = "scale the input weights and biases by"
    assert tried("saturated", a_layer(cell)) == [
        (f"{words} 0.3 and {also}", (Change(INPUTS, 0.3), change)),
        (f"{words} 0.1", (Change(INPUTS, 0.1),)),
        (f"{words} 0.1 and {also}", (Change(INPUTS, 0.1), change)),
        (f"{words} 0.03 and {also}", (Change(INPUTS, 0.03), change)),
        (f"{words} 0.01 and {also}", (Change(INPUTS, 0.01), change)),
    ]


def test_a_deaf_memory_gets_open_gates_and_stronger_inputs() -> None:
    louder = [
        (f"scale the input weights and biases by {factor}", (Change(INPUTS, float(factor)),)) for factor in (10, 100)
    ]
    assert tried("unwritten", a_layer()) == louder
    first, *others = tried("unwritten", a_layer("lstm"))
    assert first == ("set the biases of the gates i, o, g to 0", (Change(OPEN, 0.0),))
    assert others == louder


def test_two_that_help_are_enough_and_the_one_that_changes_least_comes_first() -> None:
    bench: Any = Noted(lambda changes: (-1.0, 1.5) if changes[0].kind == CHRONO else (0.3, 0.5))
    found = search(bench, "vanishing", a_layer("lstm"))
    # A decade and half of one too much of growth is further away than 0.3 decades.
    assert [one.changes[0].kind for one in found] == [BIAS, CHRONO]
    assert len(bench.done) == 2
    other: Any = Noted(lambda changes: (-1.0, 1.0) if changes[0].kind == CHRONO else (1.2, 0.0))
    assert [one.changes[0].kind for one in search(other, "vanishing", a_layer("lstm"))] == [CHRONO, BIAS]


def test_dead_units_get_the_identity() -> None:
    assert [one.kind for _, (one,) in tried("dead", a_layer("relu"))] == [IDENTITY]
    assert set(CURES) == {"dead", "exploding", "unwritten", "saturated", "vanishing", "attenuating"}


# ---- what is measured after a change
class Measured:
    """Runs nothing: gives lags of a function's making."""

    able = True

    def __init__(self, lags: Any = None, error: float | None = None) -> None:
        self.found, self.error, self.cuts = lags, error, list[int]()

    def lags(self, changes: Sequence[Change], *, joint: bool | None = None) -> Any:
        return self.found

    def truncation(self, length: int) -> float | None:
        self.cuts.append(length)
        return self.error


def judged(monkeypatch: pytest.MonkeyPatch, layers: Any, paths: Any, **network: Any) -> Tried | None:
    """Run a change whose lags are those of the layers and paths."""
    from rnngraph.diagnosis.remedies import tried as module

    made = SimpleNamespace(layers=layers, paths=paths)
    monkeypatch.setattr(module, "network_of", lambda trace, limits, lag: made)
    monkeypatch.setattr(module, "replace", lambda trace, **changes: trace)
    bench = Bench(a_network(head=a_path(), **network), Measured((("lags",), ())))
    return bench.run("do something", Change(ORTHOGONAL))


def test_of_all_paths_the_least_and_of_all_layers_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [a_path(decades=-1.0), a_path(decades=-3.0), a_path(decades=-9.0, horizon=0)]
    layers = [a_layer(peak=0.5), a_layer(peak=1.5), a_layer(peak=NAN)]
    found = judged(monkeypatch, layers, paths)
    assert found is not None
    assert (found.decades, found.peak, found.written) == (-3.0, 1.5, True)
    assert (found.enough, found.most) == (LIMITS.attenuating, LIMITS.exploding)
    one_shut = judged(monkeypatch, layers, [a_path(written=-6.0), a_path(written=-1.0)])
    assert one_shut is not None
    assert not one_shut.written
    nothing = judged(monkeypatch, [a_layer(peak=NAN)], [a_path(horizon=0)])
    assert nothing is not None
    assert math.isnan(nothing.decades)
    assert nothing.peak == INF


def test_without_lags_nothing_was_tried() -> None:
    for lags in (None, ((), ("an input",))):
        assert Bench(a_network(head=a_path()), Measured(lags)).run("do something", Change(ORTHOGONAL)) is None
    for horizon, lag in ((0, 1), (1, 1), (40, 40)):
        assert Bench(a_network(head=a_path(horizon=horizon)), Measured()).lag == lag


def test_a_change_that_helps_by_its_own_limits() -> None:
    found = Tried("words", (), -2.5, 2.5, True, -3.0, 3.0)
    assert found.helps
    assert found.left == "0.3 % is left, at most ×316 on the way"
    assert Tried("words", (), -2.5, 3.0, True, -3.0, 3.0).left == "it explodes (×1e3)"
    assert Tried("words", (), -2.5, 2.5, False, -3.0, 3.0).left == "nothing is written"


@pytest.mark.parametrize(("decades", "peak", "words"), [
    (-1.0, 1.0, "10 % is left"), (-1.0, 1.2, "10 % is left, at most ×16 on the way"), (0.0, 0.0, "all is left"),
    (0.17, 0.0, "all is left"), (0.18, 0.0, "it grows ×1.5"), (0.5, 1.2, "it grows ×3.2"),
])  # fmt: skip
def test_what_is_left_is_said(decades: float, peak: float, words: str) -> None:
    assert Tried("words", (), decades, peak).left == words


# ---- truncation, beside the advice
@pytest.mark.parametrize(("reach", "steps", "lengths"), [
    (7, 90, [16]), (8, 90, [16]), (9, 90, [32]), (0, 90, [2]), (1, 90, [2]), (None, 90, [2]),
    (60, 90, [45]), (2, 8, [4]), (3, 6, [3]), (1, 3, [2]), (1, 2, []),
])  # fmt: skip
@pytest.mark.parametrize("error", [0.25, 0.0099, 0.01, None])
def test_chunks_of_about_twice_the_reach_or_of_half_of_the_steps(
    reach: int | None, steps: int, lengths: list[int], error: float | None
) -> None:
    layer = a_layer("lstm", recurrence=SimpleNamespace(name="lstm", layer=0, direction="forward", timesteps=steps))
    head = a_path(layer, decades=-9.0)
    sick = Finding("vanishing", "warning", layer.where, {}, "gate", "Open it.", "It fades.")
    tries = Measured(error=error)
    network = a_network([layer], head, head=head, reach=reach)
    (treated,), _ = treat(network, [sick], tries, "vanishing")
    assert tries.cuts == lengths
    said = {0.25: "by 25 %", 0.0099: "by under 1 %", 0.01: "by 1 %", None: ""}[error]
    for length in lengths:
        words = f"Truncation into chunks of {length} steps changes the weights' gradient {said}."
        assert (words in treated.advice) == (error is not None)
        assert treated.evidence.get(f"truncation_error_{length}") == error
    assert treated.evidence["tried"] == 0
    assert treated.advice.startswith("Open it. Nothing could be tried on this recurrence.")


def test_chunks_are_not_measured_where_a_lag_is_needed_or_nothing_fades() -> None:
    layer = a_layer("lstm")
    head = a_path(layer, decades=-9.0)
    for rule, asked in (("vanishing", 40), ("unwritten", None), ("attenuating", None)):
        sick = Finding(rule, "warning", layer.where, {"peak_decades": 3.0}, "gate", "Open it.", "It fades.")
        tries = Measured(error=0.1)
        treat(a_network([layer], head, head=head, reach=3, asked=asked), [sick], tries, rule)
        assert tries.cuts == []


# ---- advice without a number, and where to clip
def test_advice_in_words() -> None:
    assert advice.for_unwritten(a_layer("lstm")).startswith("Look at the gates i, o, g, of which one writes")
    assert advice.for_unwritten(a_layer()).startswith("Look at the input weights")
    assert "as the identity" in advice.for_vanishing(a_layer("relu", decades=-INF), 9)
    assert "orthogonal" in advice.for_vanishing(a_layer("relu", decades=-9.0), 9)
    assert "orthogonal" in advice.for_vanishing(a_layer(decades=-INF), 9)
    assert advice.for_saturated(a_layer("lstm")).startswith("Bring ")


def exploding(*done: tuple[Any, float, float], helps: bool = False, **errors: float) -> str:
    """The advice on a network that explodes, after tries of (change, decades, peak)."""
    layer = a_layer(peak=3.0, trace=SimpleNamespace(parameters=(), states=()))
    sick = Finding("exploding", "error", layer.where, {"peak_decades": 3.0}, "weights", "Make it smaller.", "It grows.")
    network = a_network([layer], a_path(), head=a_path(layer), asked=40)
    bench: Any = SimpleNamespace(done=[Tried("make it so", (Change(kind),), d, p) for kind, d, p in done], lag=40,
                                 network=network)  # fmt: skip
    helping = [one for one in bench.done if one.helps] if helps else []
    cuts = {int(length[1:]): error for length, error in errors.items()}
    return _advice(bench, helping, cuts, "it grew ×1e3", sick, layer)


def test_a_calm_orthogonal_start_is_named_beside_what_helps() -> None:
    assert "To make it so may train as well: 0.1 % is left." in exploding((ORTHOGONAL, -3.0, 0.5))
    assert "may train as well" in exploding((ORTHOGONAL, -2.0, 1.99))
    for kind, decades, peak in (
        (ORTHOGONAL, -4.0, 0.5), (ORTHOGONAL, -3.0, 2.0), (SCALE, -3.0, 0.5), (ORTHOGONAL, -1.0, 0.5),
    ):  # fmt: skip
        assert "may train as well" not in exploding((kind, decades, peak))
    clip = "Clip the gradient's norm at what it is over short lags, as a safety; it cures nothing."
    assert clip in exploding((SCALE, -3.0, 0.5))
    assert (
        exploding() == "Make it smaller. Nothing could be tried on this recurrence."
    )  # the finding says where to clip
    helped = exploding((SCALE, -1.0, 0.5), helps=True)
    assert helped.startswith(
        "Make it so (10 % is left at lag 40). Before, it grew ×1e3. It was tried on this batch. Clip"
    )


def test_what_truncation_changes_is_said() -> None:
    said = exploding(_8=0.354, _16=0.0099)
    assert said.endswith(
        " Truncation into chunks of 8 steps changes the weights' gradient by 35 %."
        " Truncation into chunks of 16 steps changes the weights' gradient by under 1 %."
    )


def weights(**norms: float) -> Any:
    return tuple(
        SimpleNamespace(name=name.replace("_of_", "."), grad=Magnitudes.of(np.array(one)))
        for name, one in norms.items()
    )


def test_where_to_clip() -> None:
    trace = SimpleNamespace(parameters=weights(rnn_of_Wh=3.0, linear_of_W=3.0), states=(a_state(),))
    layer = a_layer(peak=2.0, trace=trace)
    assert gradient_norm(trace.parameters) == pytest.approx(math.sqrt(18))
    assert dominates(layer)  # half of it, exactly
    assert clip_threshold(layer) == pytest.approx(math.sqrt(18) / 100)
    assert "norm at 0.042 (it is 4.2, and the gain made it so)" in advice.clip(layer)
    trace.parameters = weights(rnn_of_Wh=3.0, linear_of_W=3.1)
    assert not dominates(layer)
    assert "of rnn's own weights at 0.03 (it is 3)" in advice.clip(layer)
    far = a_layer(peak=400.0, trace=trace)
    assert clip_threshold(far) == pytest.approx(math.exp(-700))
    assert "at 1e-304" in advice.clip(far)
    trace.parameters = weights(rnn_of_Wh=0.0)
    assert math.isnan(clip_threshold(layer))
    assert advice.clip(layer).startswith("Clip the gradient's norm at what it is over short lags, as a safety;")
    trace.parameters = weights(rnn_of_Wh=3.0)
    assert math.isnan(clip_threshold(a_layer(peak=NAN, trace=trace)))
    assert math.isnan(gradient_norm(()))
    assert math.isnan(gradient_norm(weights(a=3.0, b=INF)))
    partly = (*weights(a=3.0), SimpleNamespace(name="b", grad=Magnitudes.unobserved(())))
    assert math.isnan(gradient_norm(partly))  # one of them is not known
