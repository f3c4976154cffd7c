"""The table of hand-written networks: how each is called, and what a person would declare of its recurrences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.draws import draw
from tests.numpy import nested_networks as nested
from tests.numpy import plain_networks as plain


@dataclass(frozen=True)
class Expected:
    """One recurrence, as declared by hand."""

    name: str
    time: int
    kinds: tuple[str, ...] = ("h",)
    batch: int = 1
    units: int = 4
    direction: str = "forward"


@dataclass(frozen=True)
class Network:
    """A function, its arguments, and its recurrences."""

    forward: Callable[..., Any]
    arguments: tuple[Any, ...]
    expected: tuple[Expected, ...]
    options: dict[str, Any] = field(default_factory=dict)


def draws(*shapes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(draw(*shape, seed=place) for place, shape in enumerate(shapes))


X = draw(3, 6, 2, scale=1.0)  # 3 samples, 6 steps, 2 inputs
GATES = {
    f"{kind}{gate}": draw(*shape, seed=ord(gate)) for gate in "fiog" for kind, shape in (("W", (2, 4)), ("U", (4, 4)))
}
GATES |= {f"b{gate}": draw(4, seed=ord(gate)) for gate in "fiog"}
COLUMNS = [draw(2, 1, seed=k) for k in range(6)]
WIDE = [draw(2, 3, seed=k) for k in range(6)]
OBJECTS = np.empty(2, dtype=object)
OBJECTS[0], OBJECTS[1] = draw(4, 7), draw(4, 9)

NETWORKS: dict[str, Network] = {
    "course rnn": Network(plain.course_rnn, (X, *draws((3, 4), (2, 4), (4, 4), (4,))), (Expected("Wh", 6, batch=3),)),
    "course lstm": Network(
        plain.course_lstm, (X, *draws((3, 4), (2, 16), (4, 16), (16,))), (Expected("Wh", 6, ("h", "c"), batch=3),)
    ),
    "char rnn": Network(
        plain.char_rnn, ([0, 2, 1, 1, 0], [2, 1, 1, 0, 2], *draws((4, 1), (4, 3), (4, 4), (3, 4), (4, 1), (3, 1))),
        (Expected("Whh", 5),),
    ),
    "vectors": Network(plain.vector_rnn, (draw(6, 2), *draws((4, 2), (4, 4), (4,))), (Expected("U", 6),)),
    "no first state": Network(
        plain.elman_without_start, (list(X.swapaxes(0, 1)), *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3),)
    ),
    "joined lstm": Network(
        plain.joined_lstm, (COLUMNS, *draws(*[(4, 6)] * 4, *[(4, 1)] * 4)), (Expected("Wc", 6, ("h", "c")),)
    ),
    "separate lstm": Network(plain.separate_lstm, (X, GATES), (Expected("Uf", 6, ("h", "c"), batch=3),)),
    "gru": Network(
        plain.gru, (X.swapaxes(0, 1), draw(3, 4), *draws(*[(2, 4), (4, 4)] * 3)), (Expected("Un", 6, batch=3),)
    ),
    "gru columns": Network(
        plain.packed_gru_columns, (WIDE, *draws((12, 2), (12, 4), (12, 1))), (Expected("U", 6, batch=3),)
    ),
    "two layers": Network(
        plain.two_layers, (X, *draws((2, 4), (4, 4), (4, 5), (5, 5))),
        (Expected("Wh1", 6, batch=3), Expected("Wh2", 6, batch=3, units=5)),
    ),
    "both directions": Network(
        plain.both_directions, (X, *draws((2, 4), (4, 4), (4, 4), (8, 2))),
        (Expected("Wf", 6, batch=3), Expected("Wb", 6, batch=3, direction="reverse")),
    ),
    "last states of both": Network(
        nested.last_states_of_both, (draw(6, 2), draws(*[(4, 6)] * 4), draws(*[(4, 6)] * 4), draw(1, 8)),
        (Expected("ahead_0", 6, ("h", "c")), Expected("back_0", 6, ("h", "c"), direction="reverse")),
    ),
    "attention": Network(
        plain.attention_over_states, (draw(6, 2), *draws((2, 4), (4, 4), (4, 4), (4,))), (Expected("Wh", 6),)
    ),
    "attention of a recursion": Network(
        nested.asked_of_itself, (X, *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3),)
    ),
    "decays": Network(
        nested.decays_of_their_logarithms, (draw(6, 2), *draws((2, 4), (4,), (4,), (4,))), (Expected("a", 6),)
    ),
    "written twice": Network(nested.written_twice, (X, *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3),)),
    "polynomial": Network(nested.polynomial, draws((5, 3), (3, 4), (4,), (4,)), ()),
    "masked with its losses": Network(  # over 40 steps: the ways through a mask double at each
        plain.masked_with_its_losses, (draw(3, 40, 2), np.ones((3, 40)), *draws((2, 4), (4, 4))),
        (Expected("Wh", 40, batch=3),),
    ),
    "starting anew": Network(
        plain.starting_anew, (X, 1.0 * (np.arange(6) == np.array([[2], [3], [2]])), *draws((2, 4), (4, 4))),
        (Expected("Wh", 6, batch=3),),
    ),
    "masked": Network(
        plain.masked, (X, np.arange(6) < np.array([[6], [4], [5]]), *draws((2, 4), (4, 4), (4,))),
        (Expected("Wh", 6, batch=3),),
    ),
    "independent": Network(plain.independent, (X, *draws((2, 4), (4,), (4,))), (Expected("u", 6, batch=3),)),
    "no recurrence": Network(plain.no_recurrence, draws((5, 3), (3, 4), (4,), (4, 2)), ()),
    "siamese": Network(plain.siamese, draws((5, 3), (5, 3), (3, 4)), ()),
    "samples": Network(plain.loop_over_samples, draws((5, 3), (3, 4), (4,)), ()),
    "tree": Network(plain.tree, ([draw(4, seed=k) for k in range(8)], draw(8, 4)), ()),
    "leaky": Network(plain.leaky, (X, *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3),)),
    "clipped": Network(plain.clipped_relu, (X, *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3),)),
    "projected first": Network(plain.projected_first, (X, *draws((2, 4), (4, 4), (4,))), (Expected("Wh", 6, batch=3),)),
    "windows": Network(plain.in_windows, (X, *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3),)),
    "encoder, decoder": Network(
        plain.encoder_decoder, (draw(6, 2), *draws((2, 4), (4, 4), (4, 4), (4, 2), (2,))),
        (Expected("Ue", 6), Expected("Ud", 5)),
    ),
    "letters": Network(plain.by_letters, (X, *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3),)),
    "in place": Network(plain.double_loop, (draw(6, 2), *draws((2, 4), (4, 4), (4,))), (Expected("Wh", 6),)),
    "runge-kutta": Network(
        plain.steps_of_runge_kutta, (draw(6, 4), draw(4, 4), draw(4, seed=9)), (Expected("W", 6),), {"steps": 6}
    ),
    "a class": Network(plain.Cell(2, 4).loss, (X.swapaxes(0, 1),), (Expected("W_hh", 6, batch=3),)),
    "a callable": Network(plain.Cell(2, 4, seed=1), (X.swapaxes(0, 1),), (Expected("W_hh", 6, batch=3),)),
    "objects and dicts": Network(
        plain.Stack().forward, (draw(3, 6, 3),), (Expected("U1", 6, batch=3), Expected("U2", 6, batch=3, units=5))
    ),
    "objects in a default": Network(plain.lstm_of_objects, ([0, 2, 1, 1, 0],), (Expected("W_c", 5, ("h", "c")),)),
    "read backwards": Network(
        plain.read_backwards, (X, *draws((2, 4), (4, 4))), (Expected("Wh", 6, batch=3, direction="reverse"),)
    ),
    "peephole lstm": Network(
        plain.peephole_lstm, (X, *draws((2, 16), (4, 16), (3, 4))), (Expected("U", 6, ("h", "c"), batch=3),)
    ),
    "normalised": Network(
        plain.normalised, (X, *draws((2, 4), (4, 4), (4,), (4,))), (Expected("U", 6, batch=3),)
    ),
    "output fed back": Network(
        plain.fed_back, (draw(6, 2), *draws((2, 4), (4, 2), (2, 4))), (Expected("U", 6, units=2),)
    ),
    "layers of one buffer": Network(
        nested.layers_of_one_buffer, (draw(6, 3, 2), *draws((2, 3, 4), (6, 4), (8, 4))),
        (Expected("first", 6, batch=3), Expected("second", 6, batch=3)),
    ),
    "one scratch": Network(
        nested.gru_with_one_scratch, (draw(6, 3, 2), *draws((7, 12), (3, 4))), (Expected("W", 6, batch=3),)
    ),
    "slices of one slot": Network(nested.one_slot_in_slices, (draw(6, 2), draw(6, 4)), (Expected("W", 6),)),
    "outputs in a list": Network(
        nested.outputs_in_a_list, (COLUMNS, *draws((4, 2), (4, 4), (2, 4))), (Expected("Wh", 6),)
    ),
    "outputs in a dict": Network(
        nested.outputs_in_a_dict, (COLUMNS, *draws((4, 2), (4, 4), (2, 4))), (Expected("Wh", 6),)
    ),
    "numbers in a list": Network(
        nested.numbers_in_a_list, (draw(6, 2), *draws((2, 4), (4, 4), (4,))), (Expected("Wh", 6),)
    ),
    "both, joined": Network(
        nested.Both().forward, (draw(3, 2, 6),),
        (Expected("ahead_W", 6, batch=3), Expected("back_W", 6, batch=3, direction="reverse")),
    ),
    "a tower of cells": Network(
        nested.Tower().forward, (draw(6, 3, 2),),
        (Expected("cells_0_W", 6, batch=3), Expected("cells_1_W", 6, batch=3)),
    ),
    "an array of objects": Network(
        nested.weights_of_objects, (WIDE, OBJECTS),
        (Expected("weights_0", 6, batch=3), Expected("weights_1", 6, batch=3)),
    ),
    "numbers by math": Network(nested.numbers_by_math, (draw(6), draw(2)), (Expected("weights", 6, units=1),)),
    "element by element": Network(
        nested.element_by_element, (draw(6, 2), *draws((2, 4), (4, 4))), (Expected("Wh", 6),)
    ),
    "a transition of its step": Network(
        nested.transition_of_its_step, (draw(6), draw(4, 4) - 2 * np.eye(4), draw(4, 1)), (Expected("W", 6),)
    ),
    "a memory behind the state": Network(
        nested.memory_behind_the_state, (draw(6, 2), *draws((6, 8), (4, 4), (4, 2))), (Expected("Wc", 6),)
    ),
    "gates in dicts": Network(nested.GatesInDicts().forward, (X,), (Expected("W", 6, ("h", "c"), batch=3),)),
    "gates alone": Network(nested.gates_alone, (X, *draws((6, 4), (6, 4))), (Expected("Wn", 5, batch=3),)),
}  # fmt: skip
