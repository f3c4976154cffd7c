"""Scans of many forms against the same steps in a Python loop, in x64: norms, losses one by one, and inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from rnngraph import jax as watched
from rnngraph.measure.lag_options import LagOptions
from rnngraph.sources.jax.function import Options
from rnngraph.sources.jax.stepwise import associative_scans_in_steps
from rnngraph.sources.jax.watch import measure, recorded
from rnngraph.trace.magnitudes import Status
from tests.sources.jax_scans.truth import BATCH, STEPS, UNITS, batch, cell, check, jax, jnp, truth_of, weights, zeros

Loss = Callable[[Any, Any], Any]
Loop = Callable[[Any, Any, Mapping[str, Any]], list[Any]]
scan = jax.lax.scan


@pytest.fixture(autouse=True)
def _x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def loop(p: Any, x: Any, added: Mapping[str, Any], *, name: str = "step.h", reverse: bool = False) -> list[Any]:
    """Run the layer; give the loss of every step, of its state."""
    h, found = zeros(), {}
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        h = cell(p, h, x[t]) + added[name][t]
        found[t] = jnp.sum((h @ p["V"]) ** 2)
    return [found[t] for t in range(len(x))]


def plain(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    return jnp.sum((scan(step, zeros(), x)[1] @ p["V"]) ** 2)


def head_inside(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, jnp.sum((h @ p["V"]) ** 2)

    return jnp.sum(scan(step, zeros(), x)[1])


def jitted_inside(p: Any, x: Any) -> Any:
    @jax.jit  # type: ignore[untyped-decorator]
    def both(p: Any, h: Any, x: Any) -> Any:
        h = jax.jit(cell)(p, h, x)
        return h, jnp.sum((h @ p["V"]) ** 2)

    def step(h: Any, x: Any) -> Any:
        return both(p, h, x)

    return jax.jit(lambda x: jnp.sum(scan(step, zeros(), x)[1]))(x)


def checkpointed(p: Any, x: Any) -> Any:
    @jax.checkpoint  # type: ignore[untyped-decorator]
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, jnp.sum((h @ p["V"]) ** 2)

    return jax.checkpoint(lambda x: jnp.sum(scan(step, zeros(), x)[1]))(x)


def summed_in_the_carry(p: Any, x: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        h, total = carry
        h = cell(p, h, x)
        return (h, total + jnp.sum((h @ p["V"]) ** 2)), None

    return scan(step, (zeros(), 0.0), x)[0][1]


def written_into_a_buffer(p: Any, x: Any) -> Any:
    def step(t: Any, carry: Any) -> Any:
        h, found = carry
        h = cell(p, h, x[t])
        return h, found.at[t].set(h)

    _, found = jax.lax.fori_loop(0, len(x), step, (zeros(), jnp.zeros((STEPS, BATCH, UNITS))))
    return jnp.sum((found @ p["V"]) ** 2)


def weights_in_the_carry(p: Any, x: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        h, own, count = carry
        h = jnp.where(count < STEPS, cell(own, h, x), 0.0)
        return (h, own, count + 1.0), h

    return jnp.sum((scan(step, (zeros(), p, 0.0), x)[1] @ p["V"]) ** 2)


def under_vmap(p: Any, x: Any) -> Any:
    def of_one(x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = cell(p, h, x)
            return h, h

        return scan(step, jnp.zeros(UNITS), x)[1]

    return jnp.sum((jax.vmap(of_one, in_axes=1, out_axes=2)(x).swapaxes(1, 2) @ p["V"]) ** 2)


def unrolled(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    return jnp.sum((scan(step, zeros(), x, unroll=4)[1] @ p["V"]) ** 2)


def computed_twice(p: Any, x: Any) -> Any:
    """The state that is carried and the one that is emitted: as it is written, the loss would read the state before."""
    hs = scan(lambda h, x: (jax.jit(cell)(p, h, x), jax.jit(cell)(p, h, x)), zeros(), x)[1]
    return jnp.sum((hs @ p["V"]) ** 2)


@pytest.mark.parametrize("loss", [
    plain, head_inside, jitted_inside, checkpointed, summed_in_the_carry, weights_in_the_carry, under_vmap, unrolled,
    computed_twice,
])  # fmt: skip
def test_one_layer(loss: Loss) -> None:
    p, x = weights(), batch()
    trace = watched.watch(loss, p, x, weights=False)
    (name,) = (one.name for one in trace.states)
    assert name == ("scan.h" if loss is computed_twice else "step.h")
    assert trace.notes == ()
    check(trace, truth_of(lambda p, x, added: loop(p, x, added, name=name), p, x, {name: STEPS}))
    np.testing.assert_allclose(trace.loss, float(sum(loop(p, x, {"step.h": np.zeros(STEPS)}))), rtol=1e-13)


def test_all_losses_together_are_held_to_the_whole() -> None:
    p, x = weights(), batch()
    recording = recorded(plain, (p, x), Options(weights=False))
    assert measure(recording, lags=LagOptions(), source="").notes == ()
    assert 0 < recording.loss_walk.difference < 1e-13
    for site in recording.sites:  # what is measured of the whole loss is falsified
        recording.found[site.number]["total"] = [1.001 * one for one in recording.found[site.number]["total"]]
    (note,) = measure(recording, lags=LagOptions(), source="").notes
    assert note.startswith("uncertain: the losses of all steps together differ from the whole by 1.0e-03")


def test_a_buffer_is_entered_at_the_step_that_wrote_it() -> None:
    p, x = weights(), batch()
    trace = watched.watch(written_into_a_buffer, p, x)
    check(trace, truth_of(loop, p, x, {"step.h": STEPS}), fed=False)
    parts = {one.name: one.steps for one in trace.parameters}
    assert (parts["U"].status == Status.OK).all()
    assert (parts["V"].status == Status.UNOBSERVED).all()  # it is read by no step


def backward(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    return jnp.sum((scan(step, zeros(), x, reverse=True)[1] @ p["V"]) ** 2)


def turned_round(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    return jnp.sum((scan(step, zeros(), jnp.flip(x, 0))[1][::-1] @ p["V"]) ** 2)


def turned_round_twice(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    return jnp.sum((scan(step, zeros(), x[::-1] * 1.0, reverse=True)[1] @ p["V"]) ** 2)


@pytest.mark.parametrize(("loss", "reverse"), [(backward, True), (turned_round, True), (turned_round_twice, False)])
def test_a_timestep_is_a_position_of_the_input(loss: Loss, reverse: bool) -> None:
    p, x = weights(), batch()
    trace = watched.watch(loss, p, x, weights=False)
    assert trace.recurrences[0].direction == ("reverse" if reverse else "forward")
    check(trace, truth_of(lambda *some: loop(*some, reverse=reverse), p, x, {"step.h": STEPS}))


def in_no_known_order(p: Any, x: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    def turn(some: Any) -> Any:
        """Turn every sample round by a length of its own."""
        places = (jnp.array([2, 6, 4]) - 1 - jnp.arange(STEPS)[:, None]) % STEPS
        return jnp.take_along_axis(some, places[..., None], axis=0)

    there, back = scan(step, zeros(), x)[1], turn(scan(step, zeros(), turn(x))[1])
    return jnp.sum((there @ p["V"]) ** 2) + jnp.sum((back @ p["V"]) ** 2), turn(x)


def test_steps_in_no_known_order_have_a_clock_of_their_own() -> None:
    p, x = weights(), batch()
    trace = watched.watch(in_no_known_order, p, x, has_aux=True, weights=False)
    assert [one.clock for one in trace.recurrences] == [0, 1]
    turned = np.asarray(in_no_known_order(p, x)[1])
    for clock, (name, given) in enumerate((("step.h", x), ("step#2.h", turned))):
        rows = truth_of(lambda *some, name=name: loop(*some, name=name), p, given, {name: STEPS}).states[name]
        lag = next(one for one in trace.lags if one.state == name)
        assert lag.losses[lag.clocks == clock].tolist() == list(range(STEPS))
        found, known = np.exp(lag.log[:, lag.clocks == clock, 1:]), np.linalg.norm(rows, axis=3)
        np.testing.assert_allclose(np.nan_to_num(found), known[..., lag.samples].transpose(2, 0, 1), 1e-12, 1e-12)


@pytest.mark.parametrize(("axis", "reverse"), [(0, False), (0, True), (1, True), (-2, False)])
def test_an_associative_scan_is_one_step_by_step(axis: int, reverse: bool) -> None:
    held_before = jax.lax.associative_scan  # under a name of its own, as many hold it

    @jax.jit  # type: ignore[untyped-decorator]
    def states(p: Any, x: Any) -> Any:
        def after(first: Any, second: Any) -> Any:
            return first[0] * second[0], second[0] * first[1] + second[1]

        both = jnp.exp(-((x @ p["U"]) ** 2)), x @ p["U"]
        both = jax.tree.map(lambda one: jnp.moveaxis(one, 0, axis), both)
        return jnp.moveaxis(held_before(after, both, axis=axis, reverse=reverse)[1], axis, 0)

    def loss(p: Any, x: Any) -> Any:
        return jnp.sum((states(p, x) @ p["V"]) ** 2)

    def same(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
        h, found = zeros(), {}
        for t in reversed(range(STEPS)) if reverse else range(STEPS):
            drive = x[t] @ p["U"]
            h = jnp.exp(-(drive**2)) * h + drive + added["after.h"][t]
            found[t] = jnp.sum((h @ p["V"]) ** 2)
        return [found[t] for t in range(STEPS)]

    p, x = weights(), batch()
    before = str(jax.make_jaxpr(jax.grad(loss))(p, x))
    trace = watched.watch(loss, p, x, weights=False)
    assert trace.recurrences[0].direction == ("reverse" if reverse else "forward")
    check(trace, truth_of(same, p, x, {"after.h": STEPS}), fed=False)
    assert len(trace.input_lags) == 1  # decays and drives are what the network is fed
    assert "scan[" not in before
    assert str(jax.make_jaxpr(jax.grad(loss))(p, x)) == before  # a training goes on with the tree


@pytest.mark.parametrize("length", [0, 1, STEPS])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_associative_operator_is_given_nothing_that_stands_in_no_array(length: int, *, reverse: bool) -> None:
    """A turn that is brought to length 1 has no slope at zero; the tree is the truth."""

    def turn(a: Any, b: Any) -> Any:
        both = a[..., :1] * b + a[..., 1:] * jnp.stack([-b[..., 1], b[..., 0]], -1)
        return both / jnp.linalg.norm(both, axis=-1, keepdims=True)

    def loss(some: Any) -> Any:
        return (jax.lax.associative_scan(turn, some, reverse=reverse) * jnp.arange(2)).sum()

    some = jax.random.normal(jax.random.key(0), (length, 2))
    tree = jax.grad(loss)(some)
    with associative_scans_in_steps():
        np.testing.assert_allclose(jax.grad(loss)(some), tree, rtol=1e-9, atol=1e-12)


def test_what_a_head_alone_reads_is_fed_and_a_decay_that_stays_is_not() -> None:
    """As in a state-space model, whose scan reads its decay, its drive and its readout."""

    def decay(p: Any) -> Any:
        return jax.nn.sigmoid(p["b"])

    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            kept, drive, readout = now
            h = kept * h + drive @ p["U"]
            return h, jnp.sum((h * readout) ** 2, axis=1)

        return jnp.sum(scan(step, zeros(), (jnp.broadcast_to(decay(p), (STEPS, UNITS)), x, x @ p["U"] + 1.0))[1])

    def same(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
        h, found = zeros(), []
        for t in range(STEPS):
            h = decay(p) * h + x[t] @ p["U"] + added["step.h"][t]
            found.append(jnp.sum((h * (x[t] @ p["U"] + 1.0)) ** 2))
        return found

    p, x = weights(), batch()
    trace = watched.watch(loss, p, x, weights=False)
    rows, (lag,) = truth_of(same, p, x, {"step.h": STEPS}).inputs, trace.input_lags
    for place, s in enumerate(trace.lags[0].losses.tolist()):
        known = np.linalg.norm(rows[s], axis=2)[:, trace.lags[0].samples].T
        np.testing.assert_allclose(np.exp(lag.log[:, place, :s]), known[:, :s], rtol=1e-12)  # at s the readout adds


def test_parts_and_the_first_state() -> None:
    p, x = weights(), batch()
    trace = watched.watch(lambda p, x: turned_round(p, x), p, x, lags=False)
    state = trace.states[0]
    rows = truth_of(lambda *some: loop(*some, reverse=True), p, x, {"step.h": STEPS}).states["step.h"]
    own = np.array([np.linalg.norm(rows[t, t]) for t in range(STEPS)])  # (S, T): the loss of the step itself
    others = rows.sum(axis=0) - np.stack([rows[t, t] for t in range(STEPS)])
    np.testing.assert_allclose(state.immediate.value, own, rtol=1e-12)
    np.testing.assert_allclose(state.carried.value, np.linalg.norm(others.reshape(STEPS, -1), axis=1), rtol=1e-12)
    first = jax.grad(lambda h: jnp.sum((scan(lambda h, x: (cell(p, h, x),) * 2, h, x[::-1])[1] @ p["V"]) ** 2))(zeros())
    np.testing.assert_allclose(float(state.initial.value), np.linalg.norm(first), rtol=1e-12)


def last_only(p: Any, x: Any) -> Any:
    return jnp.sum((scan(lambda h, x: (cell(p, h, x), None), zeros(), x)[0] @ p["V"]) ** 2)


def test_a_loss_at_the_last_state_alone() -> None:
    p, x = weights(), batch()
    trace = watched.watch(last_only, p, x, weights=False)
    name = trace.states[0].name
    truth = truth_of(lambda p, x, added: loop(p, x, added, name=name)[-1:], p, x, {name: STEPS})
    lag = trace.lags[0]
    assert lag.losses.tolist() == [STEPS - 1]
    np.testing.assert_allclose(np.exp(lag.log[:, 0, 1:]), np.linalg.norm(truth.states[name][0], axis=2).T, rtol=1e-12)
    assert (trace.states[0].immediate.status[:-1] == Status.ZERO).all()
    graph = trace.graph
    assert graph.timestep[graph.inputs[graph.offsets[-2] :]].tolist() == [STEPS - 1]  # what the loss reads


def test_a_state_that_is_only_kept_for_the_step_after() -> None:
    def delayed(p: Any, x: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, old = carry
            return (cell(p, old, x), h), h

        return jnp.sum((scan(step, (zeros(), zeros()), x)[1] @ p["V"]) ** 2)

    p, x = weights(), batch()
    trace = watched.watch(delayed, p, x, weights=False)
    assert [one.name for one in trace.states] == ["step.h", "step.h2"]

    def same(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
        h, old, found = zeros(), zeros(), []
        for t in range(STEPS):
            found.append(jnp.sum((h @ p["V"]) ** 2))
            h, old = cell(p, old, x[t]) + added["step.h"][t], h + added["step.h2"][t]
        return found

    check(trace, truth_of(same, p, x, {"step.h": STEPS, "step.h2": STEPS}))


def test_what_a_step_writes_of_one_state_into_another_counts_at_both() -> None:
    """A controller pushes its new state on a soft stack: the stack's loss reaches the state of the step that pushed."""

    def step(p: Any, h: Any, stack: Any, x: Any, added: Any = (0, 0)) -> tuple[Any, Any]:
        h = jnp.tanh(cell(p, h, x) + stack[..., :1]) + added[0]
        push, pop, keep = jnp.split(jax.nn.softmax(h[..., :3]), 3, axis=-1)
        down = jnp.concatenate([h[..., 3:], stack[..., :-1]], axis=-1)
        up = jnp.concatenate([stack[..., 1:], jnp.zeros_like(stack[..., :1])], axis=-1)
        return h, push * down + pop * up + keep * stack + added[1]

    def loss(p: Any, x: Any) -> Any:
        def both(carry: Any, x: Any) -> Any:
            stack, h = step(p, carry[1], carry[0], x)[::-1]
            return (stack, h), (h, stack[..., 0])

        h, top = scan(both, (zeros(), zeros()), x)[1]
        return jnp.sum((h @ p["V"]) ** 2) + jnp.sum(top**3)

    def unrolled(p: Any, x: Any, added: Mapping[str, Any]) -> list[Any]:
        h, stack, found = zeros(), zeros(), []
        for t in range(STEPS):
            now = added["both.h2"][t], added["both.h"][t]
            h, stack = step(p, h, stack, x[t], now)
            found.append(jnp.sum((h @ p["V"]) ** 2) + jnp.sum(stack[..., 0] ** 3))
        return found

    p, x = weights(), batch()
    check(watched.watch(loss, p, x, weights=False), truth_of(unrolled, p, x, {"both.h": STEPS, "both.h2": STEPS}))


def test_losses_that_the_user_gives() -> None:
    def hidden(p: Any, x: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, total, mean = carry
            h = cell(p, h, x)
            own = jnp.sum((h @ p["V"]) ** 2, axis=1)
            return (h, total + own, 0.9 * mean + 0.1 * total), own

        (_, total, _), losses = scan(step, (zeros(), jnp.zeros(BATCH), jnp.zeros(BATCH)), x)
        return jnp.sum(total), {"losses": losses}

    p, x = weights(), batch()
    trace = watched.watch(hidden, p, x, has_aux=True, per_step=lambda aux: aux["losses"], weights=False)
    rows = truth_of(loop, p, x, {"step.h": STEPS})
    losses = [float(one) for one in loop(p, x, {"step.h": np.zeros(STEPS)})]
    np.testing.assert_allclose(trace.loss_steps, losses, rtol=1e-12)
    from tests.sources.jax_scans.truth import check_rows

    lag = next(one for one in trace.lags if one.state.endswith(".h"))
    assert check_rows(trace, lag.state, rows.states["step.h"], rtol=1e-12) == STEPS
