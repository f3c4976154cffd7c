"""Jacobians, exponents and singular values against explicit matrices made by the ordinary sweep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import add_up
from rnngraph.autodiff.ops import PRIMITIVES
from rnngraph.errors import InputError
from rnngraph.measure import spectrum
from rnngraph.measure.jacobian import StepJacobian
from rnngraph.measure.routes import Routes
from rnngraph.measure.tangent import RULES
from rnngraph.nn.cells import CELL_OPS

CELLS: dict[str, Any] = {
    "tanh": lambda **o: nn.RNN(4, 6, **o),
    "relu": lambda **o: nn.RNN(4, 6, nonlinearity="relu", **o),
    "lstm": lambda **o: nn.LSTM(4, 6, **o),
    "gru": lambda **o: nn.GRU(4, 6, **o),
}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "op": {"detail": "op"},
    "stack": {"num_layers": 3},
    "stack-op": {"num_layers": 2, "detail": "op"},
    "both": {"num_layers": 2, "bidirectional": True},
}


def run(layer: Any, *, batch: int = 3, time: int = 6, mask: Any = None) -> Any:
    tape = rg.Tape()
    return layer(tape.input(np.random.default_rng(0).normal(size=(batch, time, 4))), mask=mask)


def jacobians_by_sweep(jacobian: StepJacobian, tape: Any, sample: int) -> Any:
    """Row by row with the ordinary sweep, limited to the nodes of the step."""
    rows = []
    inside = {slot[0] for slot in jacobian.slots}
    wanted = inside | set(jacobian.before)
    for node_id in jacobian.after:
        value = tape.nodes[node_id].value
        for unit in range(value.shape[1]):
            cotangent = np.zeros_like(value)
            cotangent[sample, unit] = 1
            found = {i: np.zeros(value.shape[1]) for i in jacobian.before}
            for step in sweep(tape, {node_id: cotangent}, wanted=wanted):
                if step.node.id in found:
                    # An LSTM's h leads on to the c of its own step, which is no part of this one.
                    pairs = zip(step.consumers, step.contributions, strict=True)
                    own = [part for consumer, part in pairs if consumer is not None and consumer.id in inside]
                    found[step.node.id] = add_up(own, step.node.value, ())[sample].copy()
            rows.append(np.concatenate([found[i] for i in jacobian.before]))
    return np.array(rows)


@pytest.mark.parametrize("samples", [np.arange(3), np.array([0, 2])], ids=["all", "some"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_applied_both_ways(cell: str, form: str, samples: Any) -> None:
    routes = Routes(run(CELLS[cell](**FORMS[form])).tape)
    rng = np.random.default_rng(1)
    for _, keys in spectrum.groups(routes):
        window = spectrum._window(routes, keys, samples)
        assert len(window.steps) == 6
        _, jacobian, _ = window.steps[3]
        vectors = rng.normal(size=(2, len(samples), window.size))
        matrix = jacobian.matrix()
        np.testing.assert_allclose(jacobian.forward(vectors), np.einsum("nij,lnj->lni", matrix, vectors), atol=1e-13)
        np.testing.assert_allclose(jacobian.back(vectors), np.einsum("nij,lni->lnj", matrix, vectors), atol=1e-13)


@pytest.mark.parametrize("form", ["plain", "op"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_of_one_layer_is_the_sweep(cell: str, form: str) -> None:
    tape = run(CELLS[cell](**FORMS[form])).tape
    routes = Routes(tape)
    ((_, keys),) = spectrum.groups(routes)
    _, jacobian, _ = spectrum._window(routes, keys, np.arange(3)).steps[2]
    matrix = jacobian.matrix()
    for sample in range(3):
        np.testing.assert_allclose(matrix[sample], jacobians_by_sweep(jacobian, tape, sample), atol=1e-14)


def test_every_op_of_a_step_has_a_forward_rule() -> None:
    never = {"detach", "temporal_softmax", "embedding"}
    assert {op.name for op in (*PRIMITIVES, *CELL_OPS)} - never == set(RULES)


@pytest.mark.parametrize("make", [
    lambda a, b: a + b * 2.0,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (b + 3.0),
    lambda a, b: -a,
    lambda a, b: a**3,
    lambda a, b: (a.tanh() + b.sigmoid()).relu(),
    lambda a, b: (a.exp() + 1.0).log(),
    lambda a, b: a @ b.transpose(1, 0),
    lambda a, b: a[:, 1:].reshape(2, 2),
    lambda a, b: rg.concatenate([a, b], axis=-1).sum(axis=1),
    lambda a, b: rg.stack([a, b], axis=0).mean(axis=0),
    lambda a, b: rg.where(np.array([[True, False, True]]), a, b),
])  # fmt: skip
def test_forward_rules_against_differences(make: Any) -> None:
    from rnngraph.measure.tangent import push

    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 2, 3))
    moves = rng.normal(size=(2, 2, 3))

    def built(shift: float) -> Any:
        tape = rg.Tape()
        tensors = [tape.input(value + shift * move) for value, move in zip(values, moves, strict=True)]
        return make(*tensors)

    tape = built(0.0).tape
    tangents: dict[int, Any] = {}
    for node in tape.nodes:
        if node.op.name == "input":
            tangents[node.id] = moves[len(tangents)][None]
        elif node.op.name != "constant":
            tangents[node.id] = push([tangents.get(source) for source in node.inputs], node)
    step = 1e-6
    expected = (built(step).value - built(-step).value) / (2 * step)
    np.testing.assert_allclose(tangents[len(tape) - 1][0], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("form", ["plain", "stack"])
@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_exponents_against_explicit_matrices(cell: str, form: str) -> None:
    hidden = run(CELLS[cell](**FORMS[form]), batch=2, time=30)
    routes = Routes(hidden.tape)
    ((_, keys),) = spectrum.groups(routes)
    window = spectrum._window(routes, keys, np.arange(2))
    found = spectrum.lyapunov(window, window.size)
    matrices = [jacobian.matrix() for _, jacobian, _ in window.steps]
    total = sum(np.linalg.slogdet(matrix)[1] for matrix in matrices).mean() / 30
    assert found.sum() == pytest.approx(total, rel=1e-9)
    assert (np.diff(found) <= 0).all()
    measured = rg.spectrum(hidden.sum(), 3)
    np.testing.assert_allclose(
        measured.singular, [np.linalg.norm(m, 2, axis=(1, 2)).max() for m in matrices], rtol=1e-3
    )
    product = np.broadcast_to(np.eye(window.size), matrices[0].shape)
    scale = 0.0
    for matrix in matrices:
        product = matrix @ product
        size = np.abs(product).max()
        product, scale = product / size, scale + np.log(size)
    assert measured.product_log == pytest.approx(
        scale + np.log(np.linalg.norm(product, 2, axis=(1, 2)).max()), abs=0.05
    )
    assert measured.product_log <= scale + np.log(np.linalg.norm(product, 2, axis=(1, 2)).max()) + 1e-9


def test_the_order_of_the_product_matters() -> None:
    # Alternating shears: the product in forward order has another growth than the reversed one on an odd window.
    first, second = np.array([[2.0, 1.0], [0.0, 0.5]]), np.array([[0.5, 0.0], [1.0, 2.0]])
    tape = rg.Tape()
    h = start = tape.input(np.ones((1, 2)))
    states = []
    matrices = [first, second, second]
    for t, matrix in enumerate(matrices):
        with tape.scope(t=t):
            h = h @ tape.constant(matrix.T.copy())
        states.append(h)
    tape.state("cell.h", states, initial=start)
    measured = rg.spectrum(states[-1].sum(), 2)
    product = matrices[2] @ matrices[1] @ matrices[0]
    reversed_product = matrices[0] @ matrices[1] @ matrices[2]
    assert abs(np.linalg.norm(product, 2) - np.linalg.norm(reversed_product, 2)) > 0.1
    assert measured.product_log == pytest.approx(np.log(np.linalg.norm(product, 2)), rel=1e-9)


def test_padding_is_left_out() -> None:
    keep = np.arange(12) < np.array([12, 6])[:, None]
    layer = nn.RNN(4, 5)
    whole = rg.spectrum(run(layer, batch=2, time=12, mask=keep).sum(), 5, samples=2)
    short, first = np.zeros(0), np.zeros(0)
    rng = np.random.default_rng(0).normal(size=(2, 12, 4))
    tape = rg.Tape()
    first = rg.spectrum(layer(tape.input(rng[:1])).sum(), 5).lyapunov
    tape = rg.Tape()
    short = rg.spectrum(layer(tape.input(rng[1:, :6])).sum(), 5).lyapunov
    np.testing.assert_allclose(whole.lyapunov.sum(), (first.sum() + short.sum()) / 2, rtol=1e-9)


def test_recorded_with_the_weights() -> None:
    layer = nn.RNN(4, 6, init="orthogonal", gain=0.5)
    trace = rg.record(run(layer).sum(), spectrum=2)
    assert len(trace.spectrum[0].lyapunov) == 2
    weight = next(parameter for parameter in trace.parameters if parameter.name == "rnn.Wh")
    assert weight.spectral_radius == pytest.approx(0.5)
    assert weight.largest_singular_value == pytest.approx(0.5)


def test_refusals() -> None:
    hidden = run(nn.RNN(4, 6))
    with pytest.raises(InputError, match="at least 1"):
        rg.spectrum(hidden.sum(), 0)
    with pytest.raises(InputError, match="its state has 6 numbers"):
        rg.spectrum(hidden.sum(), 7)
    with pytest.raises(InputError, match="no recurrence"):
        rg.spectrum(rg.Tape().input(np.ones(3)))


def test_several_recurrences_are_told_apart_by_name() -> None:
    tape = rg.Tape()
    layer = rg.nn.RNN(3, 4, bidirectional=True, seed=1)
    loss = layer(tape.input(np.random.default_rng(0).normal(size=(1, 12, 3)))).sum()
    with pytest.raises(InputError, match="choose with stack=") as caught:
        rg.spectrum(loss, 2)
    names = str(caught.value).rpartition("stack=: ")[2].rstrip(".").split(", ")
    assert len(names) == 2
    first, second = (rg.spectrum(loss, 2, stack=name) for name in names)
    assert (first.name, second.name) == tuple(names)
    assert not np.allclose(first.lyapunov, second.lyapunov)
    with pytest.raises(InputError, match="'third'"):
        rg.spectrum(loss, 2, stack="third")
