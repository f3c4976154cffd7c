"""Every op's vjp against central differences, alone and with many cotangents at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from rnngraph.autodiff import ops
from rnngraph.autodiff.along import ALONG, CAST, MAX, MIN
from rnngraph.autodiff.backward import sweep, unbroadcast
from rnngraph.autodiff.elementwise import ELEMENTWISE, MAXIMUM, MINIMUM
from rnngraph.autodiff.node import INPUT, Node, Op
from rnngraph.autodiff.tape import Tape
from rnngraph.nn.affine import LINEAR, PROJECT
from rnngraph.nn.layers import EMBEDDING
from rnngraph.nn.losses import TEMPORAL_SOFTMAX
from tests.autodiff.differences_by_hand import Array, differences

# A state of a block is no function of arrays; the tests of blocks hold it.
OWN = tuple(one for one in vars(ops).values() if isinstance(one, Op) and one is not ops.STATE)
TABLE: tuple[Op, ...] = (*OWN, *ELEMENTWISE, *ALONG, PROJECT, LINEAR, EMBEDDING, TEMPORAL_SOFTMAX)


@dataclass(frozen=True)
class Case:
    """Shapes of the arguments, and the options; a `positive` argument stays above 0.5."""

    shapes: tuple[tuple[int, ...], ...]
    options: dict[str, Any] = field(default_factory=dict)
    positive: bool = False
    scale: float = 1.0
    tokens: Array | None = None  # takes the place of the first argument


BOTH = (
    Case(((3, 4), (3, 4))),
    Case(((3, 4), (4,))),
    Case(((3, 1), (1, 4))),
    Case(((2, 3, 4), ())),
    Case(((1,), (2, 3))),
)
SAME = (Case(((3, 4),)), Case(((),)), Case(((2, 3, 2),)))
POSITIVE = (Case(((3, 4),), positive=True), Case(((2, 3, 2),), positive=True))
DIVISIONS = tuple(Case(case.shapes, positive=True) for case in BOTH)
REDUCTIONS = (
    Case(((),), {"axis": (), "keepdims": False}),
    *(
        Case(((2, 3, 4),), {"axis": axis, "keepdims": keep})
        for axis in ((-3, -2, -1), (-1,), (-3,), (-3, -1), (-2,))
        for keep in (False, True)
    ),
)
MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, True, False]])
INDICES: tuple[tuple[Any, ...], ...] = (
    (1,), (slice(None), 2), (..., -1), (slice(0, 3, 2), None), (slice(None, None, -1),), (0, 1),
    (np.array([0, 2, 2, 0]),), (np.array([0, 2, 2]), np.array([1, 3, 3])), (np.array([[True, False, True, True]] * 3),),
    (np.int64(2), slice(1, 3)), (np.array([0, 2]), None, np.array([1, 1])), (1, np.array([0, 3])), (MASK, None),
)  # fmt: skip
TOKENS = np.array([[0, 3, 3], [2, 3, 0]])
WORDS = np.array([[0, 3, 1], [2, 2, 0]])
WEIGHT = np.array([[0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])

UNARY = tuple(op for op in ELEMENTWISE if isinstance(op.forward, np.ufunc))

CASES: dict[str, tuple[Case, ...]] = {
    "add": BOTH,
    "subtract": BOTH,
    "multiply": BOTH,
    "divide": DIVISIONS,
    "negate": SAME,
    "power": tuple(Case(((3, 4),), {"exponent": p}, positive=True) for p in (2, 3.5, -1, 0, 1, 0.5)),
    "matmul": (
        Case(((3, 4), (4, 2))), Case(((2, 3, 4), (4, 2))), Case(((2, 3, 4), (2, 4, 5))), Case(((3, 4), (2, 4, 5))),
        Case(((2, 1, 3, 4), (5, 4, 2))), Case(((2, 2, 3, 4), (4, 2))),
    ),
    "tanh": SAME,
    "sigmoid": SAME,
    "relu": SAME,
    "exp": SAME,
    "log": POSITIVE,
    "sum": REDUCTIONS,
    "mean": REDUCTIONS,
    "reshape": tuple(Case(((3, 4),), {"shape": shape}) for shape in ((2, 6), (-1,), (3, 1, 4))),
    "transpose": (Case(((2, 3, 4),), {"axes": (2, 0, 1)}), Case(((3, 4),), {"axes": (1, 0)})),
    "index": tuple(Case(((3, 4),), {"index": index}) for index in INDICES),
    "concatenate": (Case(((2, 3), (2, 1), (2, 4)), {"axis": -1}), Case(((2, 3), (1, 3)), {"axis": -2})),
    "stack": tuple(Case(((2, 3), (2, 3), (2, 3)), {"axis": axis}) for axis in (-1, -2, -3)),
    "where": (
        Case(((3, 4), (3, 4)), {"mask": MASK}), Case(((3, 4), (4,)), {"mask": MASK}), Case(((4,), ()), {"mask": MASK}),
        Case(((3, 4), (3, 4)), {"mask": MASK[:, :1]}),
    ),
    "detach": (),
    **{op.name: POSITIVE if op.name in ("sqrt", "log2", "log10", "log1p", "reciprocal") else SAME for op in UNARY},
    "arctanh": tuple(Case(case.shapes, scale=0.2) for case in SAME),
    **{name: tuple(Case(case.shapes, {"share": 0.5}) for case in BOTH) for name in ("maximum", "minimum")},
    "logaddexp": BOTH,
    "raise": DIVISIONS,
    **dict.fromkeys(("max", "min"), REDUCTIONS[1:]),
    "cumsum": tuple(Case(((2, 3, 4),), {"axis": axis}) for axis in (-1, -2, -3)),
    "dot": (Case(((4,), (4,))), Case(((4,), (4, 3))), Case(((3, 4), (4,)))),
    "einsum": tuple(
        Case(shapes, {"operands": operands, "out": out})
        for shapes, operands, out in (
            (((3, 4), (4, 2)), ("ij", "jk"), "ik"),
            (((2, 3, 4), (4, 5)), ("ntd", "dh"), "tnh"),
            (((3, 4), (3, 4)), ("ij", "ij"), "j"),
            (((3, 4), (2,)), ("ij", "k"), "i"),
            (((3, 4), (4, 2), (2, 5)), ("ij", "jk", "kl"), "il"),
            (((3, 4),), ("ij",), "j"),
        )
    ),
    "assemble": tuple(
        Case(((3, 4), *(np.zeros((3, 4))[index].shape for index in indices)), {"indices": indices})
        for indices in (
            ((1,), (0,)), ((slice(None), 2),), ((1, 2), (1, 3)), ((slice(0, 2),), (1,)), ((np.array([0, 2]),),),
            ((Ellipsis,),), ((MASK,), (2,)), ((np.array([0, 2]), None, np.array([1, 3])),), ((1, np.array([0, 3])),),
        )
    ),
    "add_at": (
        Case(((3, 4), (3, 4)), {"index": (np.array([0, 2, 2]),)}), Case(((3, 4), (4,)), {"index": (1,)}),
        Case(((3, 4), (2,)), {"index": (np.array([1, 1]), np.array([3, 3]))}),
    ),
    "broadcast": (
        Case(((4,),), {"shape": (3, 4)}), Case(((3, 1),), {"shape": (2, 3, 4)}), Case(((),), {"shape": (2,)}),
    ),
    "cast": (Case(((3, 4),), {"dtype": np.dtype(np.float64)}),),
    "inverse": (Case(((3, 3),)), Case(((2, 2, 2),))),
    "pseudoinverse": (Case(((3, 3),)), Case(((4, 2),)), Case(((2, 4),))),
    "project": (Case(((2, 3, 4), (4, 5), (5,))),),
    "linear": (Case(((2, 3, 4), (4, 5), (5,))), Case(((3, 4), (4, 5), (5,))), Case(((4,), (4, 5), (5,)))),
    "embedding": (Case(((4, 3),), tokens=TOKENS),),
    "temporal_softmax": (Case(((2, 3, 4),), {"y": WORDS, "weight": WEIGHT}),),
}  # fmt: skip

PAIRS = [
    pytest.param(op, case, id=f"{op.name}-{number}")
    for op in TABLE
    for number, case in enumerate(CASES.get(op.name, ()))
]


def draw(case: Case) -> list[Array]:
    generator = np.random.default_rng(3)
    arrays = [np.asarray(generator.normal(size=shape) * case.scale) for shape in case.shapes]
    if case.positive:
        arrays = [np.asarray(np.abs(array) + 0.5) for array in arrays]
    return arrays if case.tokens is None else [case.tokens, *arrays]


def walk(
    op: Op, arguments: list[Array], options: dict[str, Any], cotangent: Array, lead: tuple[int, ...]
) -> list[Array]:
    """Give the gradients of the arguments, as a sweep adds them up."""
    tape = Tape()
    for number, argument in enumerate(arguments):
        tape.append(INPUT, (), argument, name=str(number), requires=argument.dtype.kind == "f")
    value = np.asarray(op.forward(*arguments, **options))
    node = tape.entry(tape.append(op, tuple(range(len(arguments))), value, options=options))
    assert isinstance(node, Node)
    if not lead:
        found = {step.node.id: np.array(step.gradient) for step in sweep(tape, {node.id: cotangent})}
        return [found.get(number, np.zeros(argument.shape)) for number, argument in enumerate(arguments)]
    assert op.vjp is not None
    gradients = []
    for number, (argument, one) in enumerate(zip(arguments, op.vjp(cotangent, node), strict=True)):
        shape, total = lead + argument.shape, np.zeros(lead + argument.shape)
        if isinstance(one, np.ndarray):
            total += unbroadcast(one, shape, node=node, source=number, lead=len(lead))
        elif one is not None:
            one.add_to(total, len(lead))
        gradients.append(total)
    return gradients


def test_every_op_of_the_tables_has_a_case() -> None:
    assert {op.name for op in TABLE} == set(CASES)
    assert len({op.name for op in TABLE}) == len(TABLE)
    assert [name for name, cases in CASES.items() if not cases] == ["detach"]


@pytest.mark.parametrize(("op", "case"), PAIRS)
def test_vjp_agrees_with_central_differences(op: Op, case: Case) -> None:
    arguments = draw(case)
    value = np.asarray(op.forward(*arguments, **case.options))
    cotangent = np.random.default_rng(4).normal(size=value.shape)
    gradients = walk(op, arguments, case.options, cotangent, ())
    for position, argument in enumerate(arguments):
        if argument.dtype.kind != "f":
            continue
        expected = differences(lambda *a: op.forward(*a, **case.options), arguments, position, cotangent)
        assert gradients[position].shape == argument.shape
        np.testing.assert_allclose(gradients[position], expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("op", "case"), PAIRS)
def test_stacked_cotangents_give_stacked_gradients(op: Op, case: Case) -> None:
    arguments = draw(case)
    value = np.asarray(op.forward(*arguments, **case.options))
    for lead in ((1,), (3,), (2, 3)):
        cotangents = np.random.default_rng(5).normal(size=lead + value.shape)
        together = walk(op, arguments, case.options, cotangents, lead)
        for place in np.ndindex(lead):
            alone = walk(op, arguments, case.options, np.asarray(cotangents[place]), ())
            for many, one in zip(together, alone, strict=True):
                np.testing.assert_allclose(many[place], one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("op", "case"), PAIRS)
def test_float32_stays_float32(op: Op, case: Case) -> None:
    if "dtype" in case.options:
        pytest.skip("the precision is what this op changes")
    arguments = [array.astype(np.float32) if array.dtype.kind == "f" else array for array in draw(case)]
    options = {key: one.astype(np.float32) if key == "weight" else one for key, one in case.options.items()}
    value = np.asarray(op.forward(*arguments, **options))
    assert value.dtype == np.float32
    for gradient, argument in zip(walk(op, arguments, options, np.ones_like(value), ()), arguments, strict=True):
        assert gradient.dtype == np.float32 or argument.dtype.kind != "f"


def test_detach_passes_the_value_and_no_gradient() -> None:
    op = ops.DETACH
    x = np.array([1.0, -2.0])
    np.testing.assert_array_equal(op.forward(x), x)
    np.testing.assert_array_equal(walk(op, [x], {}, np.ones(2), ())[0], [0.0, 0.0])


def test_relu_has_slope_zero_at_zero() -> None:
    (gradient,) = walk(ops.RELU, [np.array([-1.0, 0.0, 2.0])], {}, np.array([5.0, 5.0, 5.0]), ())
    np.testing.assert_array_equal(gradient, [0.0, 0.0, 5.0])


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.5), (1.0, 5.0), (0.0, 0.0)])
def test_a_tie_of_two_arrays_is_shared_as_declared(share: float, expected: float) -> None:
    for op in (MAXIMUM, MINIMUM):
        first, second = walk(op, [np.ones(1), np.ones(1)], {"share": share}, np.array([5.0]), ())
        assert (first[0], second[0]) == (expected, 5.0 - expected)


@pytest.mark.parametrize("op", [MAX, MIN])
def test_equal_extremes_share_the_gradient(op: Op) -> None:
    x = np.array([[1.0, 1.0, 1.0], [0.0, 5.0, 5.0]])
    options = {"axis": (-1,), "keepdims": False}
    (gradient,) = walk(op, [x], options, np.array([6.0, 6.0]), ())
    np.testing.assert_array_equal(gradient[0], [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(gradient[1], [0.0, 3.0, 3.0] if op is MAX else [6.0, 0.0, 0.0])


def test_a_cast_gives_its_gradient_back_in_the_precision_it_came_from() -> None:
    for source, target in ((np.float32, np.float64), (np.float64, np.float32)):
        (gradient,) = walk(CAST, [np.ones(2, source)], {"dtype": np.dtype(target)}, np.ones(2, target), ())
        assert gradient.dtype == source


def test_sigmoid_keeps_its_digits_at_both_ends_without_a_warning() -> None:
    x = np.array([-1e4, -700.0, -40.0, 0.0, 40.0, 700.0, 1e4])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = ops.sigmoid(x)
    np.testing.assert_allclose(y[1:3], np.exp([-700.0, -40.0]), rtol=1e-15)
    np.testing.assert_array_equal(y[[0, 3, 5, 6]], [0.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(1 - y[4], np.exp(-40.0), atol=2e-16)
    np.testing.assert_allclose(ops.sigmoid(x) + ops.sigmoid(-x), 1.0, rtol=1e-15)
