"""The table of carried networks and styles: how each is called, and what a person would declare of its recurrences."""

from __future__ import annotations

import numpy as np

from tests.draws import draw
from tests.numpy import carried_networks as carried
from tests.numpy import nested_networks, styles
from tests.numpy.networks import Expected, Network, draws

BY_TIME = draw(6, 3, 2, scale=1.0)  # 6 steps, 3 samples, 2 inputs
ALONE = draw(6, 2, scale=1.0)
BY_SAMPLE = draw(3, 6, 2, scale=1.0)
THERE = np.array([3, 3, 2, 2, 1, 1])  # samples at each step
DEEP = [(draw(4, 5, seed=k), draw(5, 4, seed=k + 9)) for k in range(4)]
W, CELL, OTHER = draw(2, 4), draws((2, 4), (4, 4)), (draw(2, 4, seed=7), draw(4, 4, seed=8))

STYLES: dict[str, Network] = {
    "a leak": Network(carried.leaky_integrator, (BY_TIME, W), (Expected("W", 6, batch=3),)),
    "a running mean": Network(
        carried.exponential_average, (BY_TIME, W), (Expected("recurrence", 5, batch=3, units=2),)
    ),
    "towards its input": Network(carried.towards_its_input, (BY_TIME, W), (Expected("W", 6, batch=3),)),
    "spikes": Network(
        carried.spiking, (BY_TIME, W, draw(4, 2)), (Expected("W", 5, batch=3), Expected("Wo", 6, batch=3, units=2))
    ),
    "reset by spikes": Network(carried.reset_by_spikes, (BY_TIME, W, draw(4, 2)), (Expected("W", 6, batch=3),)),
    "a filter behind a filter": Network(
        carried.synapse_and_membrane, (BY_TIME, W), (Expected("W", 6, batch=3), Expected("recurrence", 6, batch=3))
    ),
    "two that turn": Network(carried.two_that_turn, (BY_TIME, W), (Expected("W", 6, ("h", "c"), batch=3),)),
    "a leak over an rnn": Network(
        carried.leaky_over_rnn, (ALONE, *CELL, draw(4, 2)), (Expected("Wh", 6), Expected("Wo", 6, units=2))
    ),
    "minimal gru": Network(carried.min_gru, (BY_SAMPLE, *draws((2, 4), (2, 4))), (Expected("Wz", 6, batch=3),)),
    "retention": Network(
        carried.retention, (ALONE, *draws((2, 4), (2, 4), (2, 5))), (Expected("Wk", 6, batch=4, units=5),)
    ),
    "a filter that tracks": Network(carried.tracked, (draw(6, 1, 1), draw(2, 1)), (Expected("gain", 5, units=2),)),
    "state space": Network(carried.state_space, (ALONE, draw(4, 2), draw(3, 4)), (Expected("B", 6),)),
    "diagonal state space": Network(
        carried.diagonal_state_space, (BY_SAMPLE, W, draw(4, 2)), (Expected("B", 6, batch=3),)
    ),
    "dilated": Network(carried.dilated, (BY_TIME, *CELL), (Expected("Wh", 6, batch=3),)),
    "dilated list": Network(carried.dilated_list, (ALONE, *CELL), (Expected("Wh", 6),)),
    "two steps back": Network(carried.skipping, (ALONE, *CELL, draw(4, 4, seed=4)), (Expected("W1", 6),)),
    "narx": Network(carried.narx, (ALONE, draw(4, 8), draw(2, 4)), (Expected("V", 5, units=2),)),
    "autoregression": Network(carried.autoregression, (ALONE, W), (Expected("W", 6),)),
    "clockwork": Network(carried.clockwork, (ALONE, *CELL), (Expected("Wh", 6),)),
    "three paces": Network(carried.three_paces, (BY_TIME, *CELL), (Expected("Wh", 6, batch=3),)),
    "put together": Network(
        carried.put_together, (ALONE, draw(6, 4), draw(4, 3), draw(1)), (Expected("W", 6, units=3),)
    ),
    "modules in a list": Network(carried.modules, (BY_TIME, *CELL), (Expected("Wh", 6, batch=3, units=2),)),
    "a list from its end": Network(
        carried.list_from_its_end, ([*BY_TIME], *CELL), (Expected("Wh", 6, batch=3, direction="reverse"),)
    ),
    "a dict from its end": Network(
        carried.dict_from_its_end, (dict(enumerate(BY_TIME)), *CELL),
        (Expected("Wh", 6, batch=3, direction="reverse"),),
    ),
    "packed": Network(carried.packed, (BY_SAMPLE, THERE, *CELL), (Expected("Wh", 6, batch=3),)),
    "packed lstm": Network(
        carried.packed_lstm, (BY_SAMPLE, THERE, *draws((2, 16), (4, 16))), (Expected("U", 6, ("h", "c"), batch=3),)
    ),
    "packed by choice": Network(
        carried.packed_by_choice, (BY_SAMPLE, np.array([2, 6, 4]), *CELL), (Expected("Wh", 6, batch=3),)
    ),
    "packed in place": Network(carried.packed_in_place, (BY_SAMPLE, THERE, *CELL), (Expected("Wh", 6, batch=3),)),
    "packed back": Network(
        carried.packed_back, (BY_SAMPLE, THERE, *CELL), (Expected("Wh", 6, batch=3, direction="reverse"),)
    ),
    "minimal gated unit": Network(styles.minimal_gated, (ALONE, *CELL, *OTHER), (Expected("Uf", 6),)),
    "free running": Network(styles.free_running, (draw(2), *CELL, draw(4, 2)), (Expected("U", 6),)),
    "residual stack": Network(
        styles.residual_stack, (ALONE, [(draw(2, 2, seed=k), draw(2, 2, seed=k + 5)) for k in range(2)]),
        (Expected("layers_0_1", 6, units=2), Expected("layers_1_1", 6, units=2)),
    ),
    "by letters": Network(styles.by_letters, (BY_SAMPLE, *CELL, draw(4, 3)), (Expected("Wh", 6, batch=3),)),
    "errors in place": Network(styles.errors_in_place, (ALONE, *CELL, draw(4, 1)), (Expected("Wh", 6),)),
    "multiplied by its input": Network(
        styles.multiplied_by_its_input, (BY_SAMPLE, draw(2, 4, 4), W), (Expected("W", 6, batch=3),)
    ),
    "attends by letters": Network(
        styles.attends_by_letters, (BY_SAMPLE, draw(3, 9, 2), *CELL, *draws((6, 4), (4, 4))),
        (Expected("Wh", 6, batch=3), Expected("U", 9, batch=3)),
    ),
    "convolved lstm": Network(
        styles.convolved_lstm, (draw(5, 6, 2), *draws((3, 2, 8), (3, 2, 8))),
        (Expected("U", 5, ("h", "c"), batch=6, units=2),),
    ),
    "hopfield": Network(styles.hopfield, (draw(4), draw(3, 4)), (Expected("patterns", 5),)),
    "euler": Network(styles.euler, (draw(3, 4), *draws((4, 5), (5, 4))), (Expected("W1", 6, batch=3),)),
    "tied directions": Network(
        styles.tied_directions, (ALONE, *CELL), (Expected("Wh", 6), Expected("Wh_1", 6, direction="reverse"))
    ),
    "two inputs": Network(
        styles.two_inputs, (ALONE, draw(6, 2, seed=8), *CELL), (Expected("Wh", 6), Expected("Wh_1", 6))
    ),
    "two starts": Network(
        styles.two_starts, (ALONE, draw(4), draw(4, seed=3), *CELL), (Expected("Wh", 6), Expected("Wh_1", 6))
    ),
    "a written space over an rnn": Network(
        styles.written_space_over_rnn, (ALONE, *CELL), (Expected("Wh", 6), Expected("recurrence", 6))
    ),
    "level and trend": Network(styles.holt, (draw(8), draw(2)), (Expected("ab", 6, ("h", "c"), units=1),)),
    "returns": Network(styles.returns, (ALONE, draw(2)), (Expected("w", 6, units=1, direction="reverse"),)),
    "both over a list": Network(
        styles.both_over_a_list, (list(ALONE), *CELL, *OTHER),
        (Expected("Uf", 6), Expected("Ub", 6, direction="reverse")),
    ),
    "dilations": Network(
        styles.dilations, (draw(12, 2), [CELL, draws((4, 4), (4, 4)), draws((4, 4), (4, 4))]),
        tuple(Expected(f"layers_{k}_1", 12) for k in range(3)),
    ),
    "kalman": Network(
        styles.kalman, (draw(6, 1), np.eye(2) + draw(2, 2), draw(1, 2)),
        (Expected("move", 5, units=2), Expected("move_1", 5, batch=2, units=2)),
    ),
    "layers that were added": Network(
        styles.Added(nested_networks.GatesInDicts()).forward, (BY_SAMPLE,), (Expected("W", 6, ("h", "c"), batch=3),)
    ),
    "weighed means": Network(
        styles.weighed_means, (draw(12, 4), [draws((4,), (4,), *[(4, 4)] * 4) for _ in range(2)]),
        tuple(Expected(name, 11) for name in ("layers_0_0", "layers_0_0_1", "layers_1_0", "layers_1_0_1")),
    ),
    "begun by a layer": Network(
        styles.begun_by_a_layer, (draw(3), ALONE, draw(3, 4), *CELL), (Expected("Wh", 6),)
    ),
    "two halves": Network(styles.two_halves, (ALONE, *CELL), (Expected("Wh", 3), Expected("Wh_1", 3))),
    "dilated, of odd length": Network(carried.dilated_list, (draw(7, 2), *CELL), (Expected("Wh", 7),)),
    "a layer over a slice": Network(
        styles.layer_over_a_slice, (draw(12, 2), *CELL, *draws((4, 4), (4, 4))),
        (Expected("Wh", 12), Expected("U", 12)),
    ),
    "words from the end": Network(
        styles.words_from_the_end, ([1, 0, 2, 0, 3, 1], draw(4, 4), draw(4, 4)),
        (Expected("Wh", 6, direction="reverse"),),
    ),
    "a leak over a list": Network(
        styles.leak_over_a_list, ([draw(1, seed=k) for k in range(6)],), (Expected("recurrence", 5, units=1),)
    ),
    "series": Network(styles.series, (draw(3, 4),), ()),
    "applied twice": Network(styles.applied_twice, (draw(3, 4), draw(4, 4)), ()),
    "convolved": Network(styles.convolved, (ALONE, draw(3, 2, 4), draw(4)), ()),
    "residual layers": Network(styles.residual_layers, (draw(3, 4), DEEP), ()),
    "averaged layers": Network(styles.averaged_layers, (draw(3, 4), DEEP), ()),
    "normalized layers": Network(
        styles.normalized_layers, (draw(3, 4), DEEP, [draw(4, seed=k) for k in range(4)]), ()
    ),
    "smooth layers": Network(styles.smooth_layers, (draw(3, 4), DEEP), ()),
    "layers of one array": Network(styles.layers_of_one_array, (draw(3, 4), draw(4, 4, 4)), ()),
    "graph layers": Network(styles.graph_layers, draws((5, 5), (5, 4), (4, 4), (4, 4), (4, 4)), ()),
    "square root": Network(styles.square_root, (np.abs(draw(3, 4)),), ()),
    "pooled": Network(styles.pooled, (BY_TIME, W), ()),
    "finite impulse": Network(styles.finite_impulse, draws((8,), (3,)), ()),
}  # fmt: skip
