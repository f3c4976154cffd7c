"""What is a recurrence over time and what is none, each with its sentence. Nothing is compiled here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from rnngraph import jax as watched
from rnngraph.errors import InputError
from tests.sources.jax_scans.truth import BATCH, INPUTS, STEPS, UNITS, batch, cell, jax, jnp, weights, zeros

scan = jax.lax.scan
Loss = Callable[[Any, Any], Any]


def step(p: Any) -> Any:
    def one(h: Any, x: Any) -> Any:
        h = cell(p, h, x)
        return h, h

    return one


def over(p: Any, x: Any) -> Any:
    return jnp.sum(scan(step(p), zeros(), x)[1])


def in_a_while_loop(p: Any, x: Any) -> Any:
    def go_on(state: Any) -> Any:
        return state[0] < 3

    return jnp.sum(jax.lax.while_loop(go_on, lambda s: (s[0] + 1, cell(p, s[1], x[0])), (0, zeros()))[1])


def in_a_cond(p: Any, x: Any) -> Any:
    return jax.lax.cond(jnp.sum(x) > 0, lambda: over(p, x), lambda: jnp.sum(x))


@jax.custom_vjp  # type: ignore[untyped-decorator]
def own_backward(p: Any, x: Any) -> Any:
    return over(p, x)


own_backward.defvjp(lambda p, x: (over(p, x), (p, x)), lambda kept, g: jax.grad(over, argnums=(0, 1))(*kept))


@jax.custom_jvp  # type: ignore[untyped-decorator]
def own_derivative(p: Any, x: Any) -> Any:
    return over(p, x)


own_derivative.defjvp(lambda values, tangents: jax.jvp(over, values, tangents))


def in_shard_map(p: Any, x: Any) -> Any:
    whole = jax.sharding.PartitionSpec()
    mesh = jax.make_mesh((1,), ("one",))
    return jax.shard_map(lambda x: scan(step(p), zeros(), x)[1], mesh=mesh, in_specs=whole, out_specs=whole)(x).sum()


def in_chunks(p: Any, x: Any) -> Any:
    chunks = x.reshape(2, STEPS // 2, BATCH, INPUTS)
    return jnp.sum(scan(jax.checkpoint(lambda h, some: scan(step(p), h, some)), zeros(), chunks)[1])


def in_chunks_that_are_cut(p: Any, x: Any) -> Any:
    """Truncated backpropagation: no gradient leaves a chunk, and each step of it has one."""
    chunks = x.reshape(2, STEPS // 2, BATCH, INPUTS)
    return jnp.sum(scan(lambda h, some: scan(step(p), jax.lax.stop_gradient(h), some), zeros(), chunks)[1])


def in_a_loop_of_loops(p: Any, x: Any) -> Any:
    """What a while loop with a largest number of steps is made of."""

    def four(h: Any, _: Any) -> Any:
        return scan(lambda h, _: (cell(p, h, x[0]), None), h, length=4)

    def while_small(h: Any, _: Any) -> Any:
        return jax.lax.cond(jnp.sum(h) < 9, lambda h: four(h, None)[0], lambda h: h, h), None

    return sum(jnp.sum(scan(one, zeros(), length=4)[0]) for one in (four, while_small))


def in_a_map(p: Any, x: Any) -> Any:
    return jnp.sum(jax.lax.map(lambda one: over(p, one[:, None] * jnp.ones((1, BATCH, 1))), x.swapaxes(0, 1)))


def gathered(p: Any, x: Any) -> Any:
    lengths = jnp.array([2, 6, 4])
    places = (lengths - 1 - jnp.arange(STEPS)[:, None]) % STEPS
    return over(p, jnp.take_along_axis(x, places[..., None], axis=0))


def sorted_by_value(p: Any, x: Any) -> Any:
    return over(p, jnp.sort(x, axis=0))


def put_in_places(p: Any, x: Any) -> Any:
    return over(p, jnp.zeros_like(x).at[jnp.argsort(x[:, 0, 0])].set(x))


def both_ways_at_once(p: Any, x: Any) -> Any:
    return over(p, x + x[::-1])


def rolled_by_lengths(p: Any, x: Any) -> Any:
    """What libraries do that turn sequences of several lengths round: roll each by its padding, and flip."""
    turned = jax.vmap(lambda one, n: jnp.flip(jnp.roll(one, STEPS - n, axis=0), axis=0), in_axes=(1, 0), out_axes=1)
    return over(p, turned(x, jnp.array([2, 6, 4])))


def rolled(p: Any, x: Any) -> Any:
    return over(p, jnp.roll(x, jnp.argmax(x[:, 0, 0]), axis=0))


def of_no_weight(p: Any, x: Any) -> Any:
    returns = scan(lambda g, r: (0.9 * g + r,) * 2, jnp.zeros((BATCH, INPUTS)), x, reverse=True)[1]
    values = jnp.sum(x @ p["U"], axis=-1, keepdims=True)
    kept = jax.lax.stop_gradient(values)
    smooth = scan(lambda g, r: (0.5 * g + r,) * 2, jnp.zeros((BATCH, 1)), kept)[1]
    return jnp.sum((values - returns - smooth) ** 2)


def a_python_loop(p: Any, x: Any) -> Any:
    h = zeros()
    for one in x:
        h = cell(p, h, one)
    return jnp.sum(h)


def that_only_sums(p: Any, x: Any) -> Any:
    return jnp.sum(scan(lambda total, x: (total + x @ p["U"], None), zeros(), x)[0])


def of_no_steps(p: Any, x: Any) -> Any:
    return over(p, x[:0])


def over_updates(p: Any, x: Any) -> Any:
    """The weights are learned in a loop: its state are weights, and its steps no times."""

    def update(own: Any, _: Any) -> Any:
        return jax.tree.map(lambda w, g: w - 0.1 * g, own, jax.grad(over)(own, x)), None

    learned = scan(update, p, None, length=3)[0]
    return jnp.sum(learned["W"] ** 2)


NONE = {
    over_updates: "its steps are updates of weights, and no times",
    of_no_steps: "which has no steps",
    in_a_while_loop: "whose number of steps is not known before it runs",
    in_a_cond: "a loop inside lax.cond or lax.switch",
    lambda p, x: own_backward(p, x): "with a backward of its own",
    lambda p, x: own_derivative(p, x): "with a derivative of its own",
    in_shard_map: "without it",
    in_chunks: "a chunk is no time",
    in_chunks_that_are_cut: "a chunk is no time",
    in_a_loop_of_loops: "a chunk is no time",
    in_a_map: "use vmap",
    of_no_weight: "which no weight reaches",
    a_python_loop: "A Python loop is unrolled",
    that_only_sums: "no lax.scan in it that carries a state",
}


@pytest.mark.parametrize(("loss", "said"), NONE.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_what_is_not_measured_is_said(loss: Loss, said: str) -> None:
    found = watched.scans(loss, weights(), batch())
    assert found.found == ()
    assert said in str(found)
    with pytest.raises(InputError, match="no recurrence was found in ") as raised:
        watched.watch(loss, weights(), batch())
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "loss", [gathered, sorted_by_value, put_in_places, rolled_by_lengths, rolled, both_ways_at_once]
)
def test_steps_in_an_order_that_nobody_knows_are_times_of_their_own(loss: Loss) -> None:
    found = watched.scans(loss, weights(), batch())
    assert found.found == (("one", STEPS, "forward", ("h",)),)
    (note,) = found.notes
    assert note.startswith("one reads its input in an order that is not known before it runs")
    assert "a cumsum over" not in str(found)


def test_what_hands_on_along_time_past_the_scans_is_said() -> None:
    def loss(p: Any, x: Any) -> Any:
        return jnp.sum(jnp.cumsum(scan(step(p), zeros(), x)[1], axis=0) ** 2) + jnp.sum(jnp.cumsum(x, axis=0))

    (reason,) = watched.scans(loss, weights(), batch()).hidden
    assert reason.startswith("a cumsum over what weights reach")


def test_the_checkpointed_loops_of_equinox() -> None:
    internal = pytest.importorskip("equinox.internal")

    def loss(p: Any, x: Any) -> Any:
        return internal.while_loop(
            lambda s: s[0] < 3, lambda s: (s[0] + 1, cell(p, s[1], x[0])), (jnp.array(0), zeros()), max_steps=4,
            kind="checkpointed",
        )[1].sum()  # fmt: skip

    assert "as equinox's checkpointed loops are" in str(watched.scans(loss, weights(), batch()))


def embedded(p: Any, x: Any) -> Any:
    tokens = jnp.arange(STEPS)[:, None] * jnp.ones((1, BATCH), int)
    return over(p, p["U"][tokens % INPUTS][..., :INPUTS] + x)


def shifted(p: Any, x: Any) -> Any:
    return jnp.sum(scan(step(p), zeros(), jnp.concatenate([x[:1] * 0, x[:-1]]))[1])


def after_a_turned_summary(p: Any, x: Any) -> Any:
    """A summary of the turned input is no time, and may be given to every step."""
    summary = jnp.mean(x[::-1], axis=0)
    return over(p, x + jnp.broadcast_to(summary, x.shape))


def turned_features(p: Any, x: Any) -> Any:
    return over(p, x[..., ::-1])


def turned_in_one_axis(p: Any, x: Any) -> Any:
    """A head that takes times and samples as one axis, as `hk.BatchApply` does."""
    flat = x[::-1].reshape(STEPS * BATCH, INPUTS) * p["U"][:, 0]
    return over(p, flat.reshape(STEPS, BATCH, INPUTS))


def turned_and_cut(p: Any, x: Any) -> Any:
    return over(p, x[::-1][1:])


def turned_and_padded(p: Any, x: Any) -> Any:
    backward = x[::-1]
    return over(p, jnp.concatenate([jnp.zeros_like(backward[:1]), backward[:-1]]))


@pytest.mark.parametrize("loss", [turned_in_one_axis, turned_and_cut, turned_and_padded])
def test_what_stays_turned_round(loss: Loss) -> None:
    ((_, _, direction, _),) = watched.scans(loss, weights(), batch()).found
    assert direction == "reverse"


def summarised_in_one_axis(p: Any, x: Any) -> Any:
    summary = jnp.mean(x[::-1].reshape(STEPS * BATCH, INPUTS), axis=0)
    return over(p, x + jnp.broadcast_to(summary, x.shape))


@pytest.mark.parametrize("loss", [summarised_in_one_axis, embedded, shifted, after_a_turned_summary, turned_features])
def test_what_keeps_the_order_of_times(loss: Loss) -> None:
    ((name, steps, direction, states),) = watched.scans(loss, weights(), batch()).found
    assert (name, steps, direction, states) == ("one", STEPS, "forward", ("h",))


def test_the_backward_pass_of_an_inner_gradient_is_no_recurrence_of_the_loss() -> None:
    def loss(p: Any, x: Any) -> Any:
        inner = jax.grad(over)(p, x)
        return over(p, x) + jnp.sum(inner["W"] ** 2)

    found = watched.scans(loss, weights(), batch())
    assert [name for name, *_ in found.found] == ["one", "one#2"]
    assert "a gradient that the function takes itself" in found.hidden[0]


def test_a_step_that_learns_from_its_input_is_a_step() -> None:
    def loss(p: Any, x: Any) -> Any:
        def learning(own: Any, now: Any) -> Any:
            return own - 0.1 * jax.grad(lambda w: jnp.sum((now @ p["U"] @ w - 1) ** 2))(own), None

        return jnp.sum(scan(learning, p["W"], x)[0] ** 2)

    assert [(name, steps) for name, steps, *_ in watched.scans(loss, weights(), batch()).found] == [("learning", STEPS)]


def test_names() -> None:
    def loss(p: Any, x: Any) -> Any:
        def lstm(state: Any, x: Any) -> Any:
            hidden, memory = state["hidden"], state["memory"]
            memory = 0.9 * memory + cell(p, hidden, x)
            return {"hidden": jnp.tanh(memory), "memory": memory}, memory

        with jax.named_scope("decoder"), jax.named_scope("core"):
            one = scan(lstm, {"hidden": zeros(), "memory": zeros()}, x)[1]
        two = scan(lambda states, x: ((cell(p, states[1], x), states[0]), states[0]), (zeros(), zeros()), x)[1]
        return jnp.sum(one) + jnp.sum(two)

    found = watched.scans(loss, weights(), batch())
    assert found.found == (
        ("decoder.core", STEPS, "forward", ("hidden", "memory")), ("scan", STEPS, "forward", ("h", "h2")),
    )  # fmt: skip
    lines = str(found).splitlines()
    assert lines[0].split() == ["scan", "steps", "direction", "states"]
    assert lines[1].split() == ["decoder.core", str(STEPS), "forward", "hidden,", "memory"]


ANYTHING: list[Any] = [3, "all"]  # what a type checker would not let pass
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no function": (lambda: watched.watch(ANYTHING[0], weights()), "the loss function is a int; pass a function"),
    "no weights": (lambda: watched.watch(lambda n, x: jnp.sum(x), 3, batch()), "holds no array of floating-point"),
    "no scalar": (lambda: watched.watch(lambda p, x: x, weights(), batch()), r"an array of shape \(6, 3, 2\)"),
    "aux": (
        lambda: watched.watch(lambda p, x: (over(p, x), 1), weights(), batch()), r"a tuple; .*pass has_aux=True"
    ),
    "no aux": (lambda: watched.watch(over, weights(), batch(), has_aux=True), r"returns \(loss, aux\), and it does no"),
    "lags": (lambda: watched.watch(over, weights(), batch(), lags=ANYTHING[1]), "lags is 'all'; pass True, False"),
    "axis": (lambda: watched.watch(over, weights(), batch(), batch_axis="rows"), "batch_axis is 'rows'; pass the axis"),
    "far axis": (lambda: watched.watch(over, weights(), batch(), batch_axis=2), r"one.h has the shape \(3, 4\)"),
    "losses": (
        lambda: watched.watch(
            lambda p, x: (over(p, x), 1.0), weights(), batch(), has_aux=True, per_step=lambda aux: aux
        ),
        "per_step must give an array of every step's loss",
    ),
    "too few losses": (
        lambda: watched.watch(
            lambda p, x: (over(p, x), x[:2, 0, 0]), weights(), batch(), has_aux=True, per_step=lambda aux: aux
        ),
        "per_step gives 2 losses, which must be those of the steps of one recurrence; there are: one 6",
    ),
    "losses without aux": (
        lambda: watched.watch(over, weights(), batch(), per_step=lambda aux: aux), "per_step needs has_aux=True"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_said(name: str) -> None:
    call, said = WRONG[name]
    with pytest.raises(InputError, match=said):
        call()


def test_a_ring_has_no_place_for_every_step() -> None:
    def loss(p: Any, x: Any) -> Any:
        def one(t: Any, carry: Any) -> Any:
            h, kept = carry
            h = cell(p, h, x[t])
            return h, kept.at[t % 2].set(h)

        return jnp.sum(jax.lax.fori_loop(0, STEPS, one, (zeros(), jnp.zeros((2, BATCH, UNITS))))[1])

    assert watched.scans(loss, weights(), batch()).notes == (
        "one writes into a buffer that has no place for every step",
    )


def test_it_can_be_imported_as_a_module() -> None:
    assert import_module("rnngraph.jax") is watched
