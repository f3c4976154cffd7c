"""Several scans in one loss, in x64: a stack with a skip, an encoder and a decoder, both directions, layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from rnngraph import LagOptions
from rnngraph import jax as watched
from rnngraph.errors import InputError
from tests.sources.jax_scans.truth import (
    STEPS,
    batch,
    cell,
    check,
    compare,
    jax,
    jnp,
    near,
    truth_of,
    weights,
    zeros,
)

scan = jax.lax.scan
STATES = {"low.h": STEPS, "up.h": STEPS}


@pytest.fixture(autouse=True)
def _x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def second(p: Any, h: Any, x: Any) -> Any:
    return jnp.tanh(h @ p["W2"] + x @ p["U2"])


def stacked(p: Any, x: Any) -> Any:
    """Two layers; the loss reads both, at every step."""

    def low(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    def up(h: Any, x: Any) -> Any:
        h = second(p, h, x)
        return h, h

    below = scan(low, zeros(), x)[1]
    above = scan(jax.checkpoint(up), zeros(), below)[1]
    return jnp.sum((above @ p["V"] + below @ p["V"]) ** 2)


def stacked_loop(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
    """Do the same; what a step of the loss reads is taken as it is, so that losses add up to the whole's gradient."""
    a, b, found = zeros(), zeros(), []
    for t in range(STEPS):
        a = cell(p, a, x[t]) + added["low.h"][t]
        b = second(p, b, a) + added["up.h"][t]
        found.append(jnp.sum((b @ p["V"] + a @ p["V"]) ** 2))
    return found


def test_a_stack_with_a_skip_to_the_loss() -> None:
    p, x = weights(), batch()
    trace = watched.watch(stacked, p, x)
    assert [one.clock for one in trace.recurrences] == [0, 0]
    assert [one.recurrences for one in trace.input_lags] == [("low",)]
    check(trace, truth_of(stacked_loop, p, x, STATES))


def encoder_and_decoder(p: Any, xs: Any) -> Any:
    """The decoder begins from the encoder's end and attends to its states; a loss at every step of the decoder."""
    x, y = xs

    def low(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    end, memory = scan(low, zeros(), x)

    def up(h: Any, y: Any) -> Any:
        seen = jnp.einsum("tn,tnd->nd", jax.nn.softmax(jnp.einsum("tnd,nd->tn", memory, h), axis=0), memory)
        h = cell(p, h, y) + jnp.tanh(seen @ p["W2"])
        return h, jnp.sum((h @ p["V"]) ** 2)

    return jnp.sum(scan(up, end, y)[1])


@pytest.mark.parametrize("steps", [4, STEPS])
def test_an_encoder_and_a_decoder(steps: int) -> None:
    p, x, y = weights(), batch(), batch(steps) * 0.7
    trace = watched.watch(encoder_and_decoder, p, (x, y))
    assert [one.clock for one in trace.recurrences] == [0, 1]

    def loop(p: Any, y: Any, added: Mapping[str, Any]) -> list[Any]:
        h, kept, found = zeros(), [], []
        for t in range(STEPS):
            h = cell(p, h, x[t]) + added["low.h"][t]
            kept.append(h)
        memory = jnp.stack(kept)
        for t in range(steps):
            seen = jnp.einsum("tn,tnd->nd", jax.nn.softmax(jnp.einsum("tnd,nd->tn", memory, h), axis=0), memory)
            h = cell(p, h, y[t]) + jnp.tanh(seen @ p["W2"]) + added["up.h"][t]
            found.append(jnp.sum((h @ p["V"]) ** 2))
        return found

    truth = truth_of(loop, p, y, {"low.h": STEPS, "up.h": steps})
    assert set(trace.lags[0].clocks.tolist()) == {1}  # no loss reads the encoder but through the decoder
    check(trace, truth, fed=False)
    inputs = {one.name: np.exp(one.log) for one in trace.input_lags}
    near(inputs["input of up"][:, -1], np.linalg.norm(truth.inputs[-1], axis=2).T, 1e-12)
    assert set(inputs) == {"input of low", "input of up"}


def both_ways(p: Any, x: Any) -> Any:
    def low(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    def up(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    forward, backward = scan(low, zeros(), x)[1], jnp.flip(scan(up, zeros(), jnp.flip(x, axis=0))[1], axis=0)
    return jnp.sum((jnp.concatenate([forward, backward], axis=-1) @ jnp.concatenate([p["V"], p["V"]])) ** 2)


def test_both_directions_over_one_input_are_entered_together() -> None:
    p, x = weights(), batch()
    trace = watched.watch(both_ways, p, x)
    assert [(one.direction, one.clock) for one in trace.recurrences] == [("forward", 0), ("reverse", 0)]

    def loop(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
        a, b, left, right = zeros(), zeros(), {}, {}
        for t in range(STEPS):
            a = left[t] = cell(p, a, x[t]) + added["low.h"][t]
            back = STEPS - 1 - t
            b = right[back] = cell(p, b, x[back]) + added["up.h"][back]
        return [jnp.sum(((left[t] + right[t]) @ p["V"]) ** 2) for t in range(STEPS)]

    check(trace, truth_of(loop, p, x, STATES), fed=False)
    assert [one.name for one in trace.inputs] == ["input of low", "input of up"]


def layers_in_a_scan(p: Any, x: Any) -> Any:
    def layer(x: Any, own: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = jnp.tanh(h @ own["W"] + x @ own["U"])
            return h, h

        return scan(step, zeros(), x)[1], None

    return jnp.sum((scan(layer, x @ p["U"], p["layers"])[0] @ p["V"]) ** 2)


def test_a_scan_over_layers_is_a_stack_and_its_steps_are_no_times() -> None:
    p, x = weights(), batch()
    given = {"U": p["U"], "V": p["V"], "layers": {"W": jnp.stack([p["W"], p["W2"]]), "U": jnp.stack([p["U2"], p["W"]])}}
    trace = watched.watch(layers_in_a_scan, given, x)
    assert [(one.name, one.timesteps, one.clock) for one in trace.recurrences] == [
        ("step", STEPS, 0), ("step#2", STEPS, 0),
    ]  # fmt: skip

    def loop(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
        a, b, found = zeros(), zeros(), []
        own = p["layers"]
        for t in range(STEPS):
            a = jnp.tanh(a @ own["W"][0] + x[t] @ p["U"] @ own["U"][0]) + added["step.h"][t]
            b = jnp.tanh(b @ own["W"][1] + a @ own["U"][1]) + added["step#2.h"][t]
            found.append(jnp.sum((b @ p["V"]) ** 2))
        return found

    check(trace, truth_of(loop, given, x, {"step.h": STEPS, "step#2.h": STEPS}), fed=False)


def test_a_scan_inside_a_step_is_a_part_of_the_step() -> None:
    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = scan(lambda h, _: (0.5 * h + 0.5 * cell(p, h, x), None), h, None, length=3)[0]
            return h, h

        return jnp.sum((scan(step, zeros(), x)[1] @ p["V"]) ** 2)

    def loop(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
        h, found = zeros(), []
        for t in range(STEPS):
            for _ in range(3):
                h = 0.5 * h + 0.5 * cell(p, h, x[t])
            h = h + added["step.h"][t]
            found.append(jnp.sum((h @ p["V"]) ** 2))
        return found

    p, x = weights(), batch()
    trace = watched.watch(loss, p, x, weights=False)
    assert [one.name for one in trace.recurrences] == ["step"]
    assert any("is a part of that step" in note for note in trace.notes)
    check(trace, truth_of(loop, p, x, {"step.h": STEPS}))


def test_a_scan_that_is_a_part_of_the_loss_is_left_out() -> None:
    """A forward algorithm over scores: left out, the scores of every step are a loss of that step, if one says so."""

    def scores(p: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = cell(p, h, x)
            return h, h @ p["V"]

        return scan(step, zeros(), x)[1]

    def closed(y: Any) -> Any:
        return jnp.sum(scan(lambda a, now: (jnp.logaddexp(a, a[:, ::-1]) + now, None), y[0], y[1:])[0])

    def loss(p: Any, x: Any) -> Any:
        return closed(scores(p, x))

    p, x, apart = weights(), batch(), LagOptions(joint=False)
    assert any("reads no weight" in note for note in watched.scans(loss, p, x).notes)
    trace = watched.watch(loss, p, x, only="step", lags=apart, weights=False)
    assert [one.name for one in trace.recurrences] == ["step"]
    assert [note for note in trace.notes if "the scan of scan, which is not named by only=" in note]
    y, back = jax.vjp(lambda x: scores(p, x), x)
    parts = [back(jnp.zeros_like(y).at[s].set(jax.grad(closed)(y)[s]))[0] for s in range(STEPS)]
    lag = trace.lags[0]
    compare(trace.input_lags[0].log, np.array(parts), lag.losses, lag.samples, 1e-12)
    assert len(lag.losses) == STEPS
    with pytest.raises(InputError, match="there is no recurrence 'low'; only= can name step, scan"):
        watched.watch(loss, p, x, only="low")


def test_a_sum_that_another_scan_reads_is_not_divided() -> None:
    def loss(p: Any, x: Any) -> Any:
        def low(carry: Any, x: Any) -> Any:
            h, total = carry
            h = cell(p, h, x)
            return (h, total + h), None

        _, total = scan(low, (zeros(), zeros()), x)[0]

        def up(h: Any, _: Any) -> Any:
            h = second(p, h, total)
            return h, jnp.sum(h**2)

        return jnp.sum(scan(up, zeros(), None, length=STEPS)[1])

    trace = watched.watch(loss, weights(), batch(), weights=False)
    assert trace.notes[0] == (
        "no lags are given: up reads what low gathers over all of its steps; per_step= gives the losses of steps"
    )
    assert not trace.lags
