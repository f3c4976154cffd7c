"""Closed forms: a linear recurrence, numbers far below a float32, batch axes, underflow, and remedies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import jax as watched
from rnngraph.sources.jax.function import Options
from rnngraph.sources.jax.scan_recording import JaxRecording
from rnngraph.sources.jax.watch import recorded
from rnngraph.trace.change import IDENTITY, ORTHOGONAL, SCALE, TRUNCATE, Change
from rnngraph.trace.magnitudes import Status
from tests.sources.jax_scans.truth import jax, jnp

scan = jax.lax.scan
T, N, H = 80, 3, 4


def linear(p: Any, x: Any) -> Any:
    """h = a h + x; the loss is the last state."""

    def step(h: Any, x: Any) -> Any:
        return p["a"] * h + x, None

    return jnp.sum(scan(step, jnp.zeros(x.shape[1:]), x)[0])


@pytest.mark.parametrize("decay", [0.9, 0.25, 1e-2, 3.0])
def test_a_linear_recurrence_far_below_a_float32(decay: float) -> None:
    steps = 30
    x = jnp.ones((steps, N, H))
    trace = watched.watch(linear, {"a": jnp.float32(decay)}, x, weights=False)
    lags = np.arange(steps)[::-1]
    known = lags * np.log(decay) + np.log(np.sqrt(H))
    assert trace.states[0].grad.status[-1] == Status.OK
    kept = known > -150  # 1e-65: a float32 ends at 1e-38
    for log in (trace.lags[0].log[0, 0, 1:], trace.input_lags[0].log[0, 0]):
        np.testing.assert_allclose(log[kept], known[kept], rtol=1e-4, atol=1e-4)
        assert (log[~kept] < -140).all()
    np.testing.assert_allclose(float(trace.lags[0].log[0, 0, 0]), known[0] + np.log(decay), rtol=1e-4) if kept[
        0
    ] else None
    if decay == 1e-2:
        grad = trace.states[0].grad
        assert grad.status[0] == Status.UNDERFLOW  # 1e-58 was rounded to zero, and is none
        assert trace.states[0].carried.status[0] == Status.UNDERFLOW
    assert "keeps every number apart" in trace.notes[0]
    assert trace.batch == N


def test_what_no_loss_reaches_is_zero_and_no_underflow() -> None:
    def loss(p: Any, x: Any) -> Any:
        return jnp.sum(scan(lambda h, x: (jnp.tanh(h @ p + x),) * 2, jnp.zeros((N, H)), x)[1][3])

    trace = watched.watch(loss, 0.1 * jnp.ones((H, H)), jnp.ones((8, N, H)), weights=False)
    assert (trace.states[0].grad.status[4:] == Status.ZERO).all()
    assert (trace.states[0].grad.status[:4] == Status.OK).all()
    assert trace.lags[0].losses.tolist() == [3]


def rows_and_columns(axis: int) -> Any:
    """Make a layer whose samples stand in rows or in columns."""

    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = jnp.tanh(h @ p + x) if axis == 0 else jnp.tanh(p.T @ h + x)
            return h, h

        return jnp.sum(scan(step, jnp.zeros(x.shape[1:]), x)[1] ** 2)

    return loss


@pytest.mark.parametrize("batch", [1, N, H])
def test_samples_in_rows_and_in_columns(batch: int) -> None:
    p = 0.5 * jax.random.normal(jax.random.key(0), (H, H))
    x = jax.random.normal(jax.random.key(1), (6, batch, H))
    rows = watched.watch(rows_and_columns(0), p, x)
    columns = watched.watch(rows_and_columns(1), p, x.swapaxes(1, 2))
    assert rows.batch == columns.batch == batch
    np.testing.assert_allclose(rows.lags[0].log, columns.lags[0].log, rtol=1e-5, atol=1e-6)  # a log may be next to 0
    np.testing.assert_allclose(rows.input_lags[0].log, columns.input_lags[0].log, rtol=1e-5)
    np.testing.assert_allclose(rows.states[0].quantiles.value, columns.states[0].quantiles.value, rtol=1e-5)


def test_one_sample_of_a_step_that_keeps_every_number_apart() -> None:
    """The axis of its units is not that of the samples, although a step keeps them apart as well."""
    trace = watched.watch(linear, {"a": jnp.float32(0.5)}, jnp.ones((6, 1, H)))
    assert trace.batch == 1
    assert "taken for the first axis" in trace.notes[0]
    np.testing.assert_allclose(np.exp(trace.lags[0].log[0, 0, 1:]), 2 * 0.5 ** np.arange(6)[::-1], rtol=1e-5)


def test_without_samples_and_with_an_axis_of_the_users() -> None:
    p, x = jnp.float32(0.5), jnp.ones((6, N, H))
    found = {axis: watched.watch(linear, {"a": p}, x, batch_axis=axis) for axis in (0, 1, -1, "none")}
    assert [one.batch for one in found.values()] == [N, H, H, 1]
    assert all(not one.notes for one in found.values())
    whole = [np.exp(2 * one.lags[0].log).sum(axis=0) for one in found.values()]  # over samples
    for one in whole[1:]:
        np.testing.assert_allclose(one, whole[0], rtol=1e-5)


def vanishing(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = jnp.tanh(h @ p["W"] + x @ p["U"])
        return h, h @ p["V"]

    return jnp.mean(scan(step, jnp.zeros((N, H)), x)[1] ** 2)


def small() -> tuple[Any, Any]:
    keys = jax.random.split(jax.random.key(2), 4)
    shapes = {"W": (H, H), "U": (2, H), "V": (H, 1)}
    p = {name: 0.3 * jax.random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=False)}
    return p, jax.random.normal(keys[3], (12, N, 2))


def test_remedies_are_tried_by_calling_the_function_with_other_weights() -> None:
    p, x = small()
    trials = watched.trial(vanishing, p, x)
    known = watched.watch(vanishing, {**p, "W": 3 * p["W"]}, x, lags=rg.LagOptions(8, 8))
    found = trials.lags([Change(SCALE, 3.0)])
    assert found is not None
    np.testing.assert_allclose(found[0][0].log, known.lags[0].log, rtol=1e-5)
    np.testing.assert_allclose(found[1][0].log, known.input_lags[0].log, rtol=1e-5)
    orthogonal = trials.lags([Change(ORTHOGONAL)])
    assert orthogonal is not None
    assert orthogonal[0][0].log[0, -1, 1] > found[0][0].log[0, -1, 1] - 20
    assert trials.lags([Change(IDENTITY)]) is None  # which weights are biases is not known
    assert trials.truncation(4) is None
    assert p["W"].shape == (H, H)


def test_the_verdict_rests_on_the_input_and_tells_what_helps() -> None:
    p, x = small()
    p["W"] *= 0.3
    trace = watched.watch(vanishing, p, x)
    diagnosis = rg.diagnose(trace, trial=watched.trial(vanishing, p, x))
    assert diagnosis.flags[0] == "vanishing"
    finding = next(one for one in diagnosis.findings if one.rule == "vanishing")
    assert finding.where["input"] == "input of step"
    assert "the recurrent weight" in finding.advice
    assert "is left" in finding.advice


def test_orthogonal_blocks_of_weights_side_by_side() -> None:
    recording = recorded(gates_side_by_side, (jnp.ones((2 + H, 2 * H)), jnp.ones((5, N, 2))), Options())
    again = recording.changed([Change(ORTHOGONAL, 2.0)])
    assert isinstance(again, JaxRecording)
    value = np.asarray(again.arrays[0])
    assert (value[:2] == 1).all()  # the rows that the input is multiplied by
    for block in (value[2:, :H], value[2:, H:]):
        np.testing.assert_allclose(block @ block.T, 4 * np.eye(H), atol=1e-5)
    assert recording.changed([Change(TRUNCATE, 2)]) is None


def test_complex_states_and_narrow_ones() -> None:
    def rotating(p: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = 0.8 * jnp.exp(1j * p) * h + x
            return h, h

        return jnp.sum(scan(step, jnp.zeros((N, H), complex), x + 0j)[1][-1].real)

    trace = watched.watch(rotating, jnp.float32(0.3), jnp.ones((10, N, H)), batch_axis=0)
    known = np.log(0.8) * np.arange(10)[::-1] + np.log(np.sqrt(H))
    np.testing.assert_allclose(trace.lags[0].log[0, -1, 1:], known, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.exp(known) * np.sqrt(N), trace.states[0].grad.value, rtol=1e-4)

    def narrow(p: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            return (h * p + x).astype(jnp.bfloat16), None

        return jnp.sum(scan(step, jnp.zeros((N, H), jnp.bfloat16), x)[0]).astype(jnp.float32)

    trace = watched.watch(narrow, jnp.bfloat16(0.5), jnp.ones((10, N, H), jnp.bfloat16), batch_axis=0)
    known = np.log(0.5) * np.arange(10)[::-1] + np.log(np.sqrt(H))
    np.testing.assert_allclose(trace.lags[0].log[0, -1, 1:], known, rtol=1e-2, atol=1e-2)
    assert trace.dtype == "bfloat16"  # of the weight; the loss has 32 bits


def test_values_that_are_not_finite_are_placed() -> None:
    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = h * p + x
            return h, h

        return jnp.sum(scan(step, jnp.ones((N, H)), x)[1])

    trace = watched.watch(loss, jnp.float32(1e30), jnp.ones((6, N, H)), batch_axis=0)
    first = trace.graph.first_nonfinite()
    assert trace.graph.timestep[first["forward"]] == 1
    assert trace.states[0].activation[0] > 0


def test_places_that_no_step_has_written_to_yet_may_be_infinite() -> None:
    def loss(p: Any, x: Any) -> Any:
        def step(carry: Any, now: Any) -> Any:
            h, last = carry[0] * p + now[1], carry[1]
            seen = last.at[now[0]].set(h[0])
            return (h + jnp.min(seen, axis=0), seen), h

        return jnp.sum(scan(step, (jnp.ones((N, H)), jnp.full((6, H), jnp.inf)), (jnp.arange(6), x))[1])

    trace = watched.watch(loss, jnp.float32(0.5), jnp.ones((6, N, H)), batch_axis="none")
    assert trace.graph.first_nonfinite() == {}


def test_each_steps_part_of_a_weight() -> None:
    x = jnp.arange(1.0, 6.0)[:, None, None] * jnp.ones((5, 1, 1))
    trace = watched.watch(linear, {"a": jnp.float32(0.5)}, x, batch_axis=0)
    h, states = 0.0, []
    for one in x[:, 0, 0].tolist():
        states.append(h)
        h = 0.5 * h + one
    known = [before * 0.5 ** (4 - t) for t, before in enumerate(states)]  # dL/da = sum of 0.5^(T-1-t) h_{t-1}
    (weight,) = trace.parameters
    np.testing.assert_allclose(weight.steps.value, known, rtol=1e-6)
    np.testing.assert_allclose(float(weight.grad.value), sum(known), rtol=1e-6)


def test_the_spectrum_is_that_of_the_part_that_the_state_is_multiplied_by() -> None:
    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = jnp.tanh(jnp.concatenate([x, h], axis=1) @ p["joined"])
            return h, h

        return jnp.sum(scan(step, jnp.zeros((N, H)), x)[1] ** 2)

    whole = np.asarray(jax.random.normal(jax.random.key(3), (2 + H, H)))
    trace = watched.watch(loss, {"joined": jnp.asarray(whole)}, jnp.ones((5, N, 2)))
    (weight,) = trace.parameters
    np.testing.assert_allclose(weight.spectral_radius, np.abs(np.linalg.eigvals(whole[2:])).max(), rtol=1e-5)
    np.testing.assert_allclose(weight.largest_singular_value, np.linalg.norm(whole[2:], 2), rtol=1e-5)


def gates_side_by_side(p: Any, x: Any) -> Any:
    """A joined weight of two gates that is square, and whose eigenvalues mean nothing."""

    def step(h: Any, x: Any) -> Any:
        a, b = jnp.split(jnp.concatenate([x, h], axis=1) @ p, 2, axis=1)
        h = jnp.tanh(a) * jax.nn.sigmoid(b)
        return h, h

    return jnp.sum(scan(step, jnp.zeros((N, H)), x)[1] ** 2)


def test_a_square_weight_that_is_none_of_the_state_has_no_spectral_radius() -> None:
    p = 0.3 * jax.random.normal(jax.random.key(3), (2 * H, 2 * H))
    (weight,) = watched.watch(gates_side_by_side, p, jnp.ones((5, N, H))).parameters
    assert np.isnan(weight.spectral_radius)
    np.testing.assert_allclose(weight.largest_singular_value, np.linalg.norm(np.asarray(p)[H:], 2), rtol=1e-5)


def test_a_trace_is_saved_drawn_and_read_again(tmp_path: Any) -> None:
    p, x = small()
    trace = watched.watch(vanishing, p, x, source="here")
    trace.save(tmp_path / "run.npz")
    again = rg.Trace.load(tmp_path / "run.npz")
    assert again.model == "vanishing: scan step"
    assert again.source == "here"
    rg.render(again, tmp_path / "unrolled.svg", seen_from="total")
    rg.render(again, tmp_path / "unrolled.html")
    drawn = (tmp_path / "unrolled.svg").read_text(encoding="utf-8")
    assert all(text in drawn for text in (">step</text>", ">t=11</text>", ">L11</text>", "step.h"))


def test_a_second_call_compiles_nothing() -> None:
    p, x = small()
    watched.watch(vanishing, p, x, lags=False)
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, _, **__: compiled.append(name) if "backend_compile" in name else None
    )
    watched.watch(vanishing, {**p, "W": 2 * p["W"]}, x + 1, lags=False)
    before = len(compiled)
    watched.watch(vanishing, {**p, "W": 3 * p["W"]}, x + 2, lags=False)
    assert len(compiled) == before
    jax.monitoring.clear_event_listeners()
