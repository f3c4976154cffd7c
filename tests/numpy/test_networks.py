"""Hand-written networks, unchanged: gradients against central differences, recurrences as declared by hand."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.numpy.outcome import choose, picked, scalar_of
from rnngraph.numpy.reach import rebuilt
from tests.draws import draw
from tests.numpy import nested_networks, networks, styles
from tests.numpy.networks import Network
from tests.numpy.plain_networks import PARAMETERS
from tests.numpy.style_table import STYLES

NETWORKS = networks.NETWORKS | STYLES


def own(forward: Any) -> Any:
    """Give the object that a method is bound to; a function has none."""
    return getattr(forward, "__self__", forward if hasattr(forward, "step") else None)


def plain_loss(network: Network, moved: Any) -> float:
    """Run the function on plain arrays, some of them moved."""
    forward = copy.deepcopy(network.forward) if own(network.forward) is None else network.forward
    holder = own(network.forward)
    arrays = rebuilt(list(network.arguments), "", lambda array, name: moved.get(id(array), array).copy(), {})
    if holder is not None:
        replaced = rebuilt(holder, "", lambda array, name: moved.get(id(array), array).copy(), {})
        forward = replaced if forward is holder else getattr(replaced, forward.__name__)
    outputs = forward(*arrays)
    return float(scalar_of([np.asarray(one) for one in picked(outputs, choose(outputs), None)]))


def leaves_of(network: Network) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def note(array: Any, name: str) -> Any:
        found[name] = array
        return array

    holder = own(network.forward)
    if holder is not None:
        rebuilt(holder, "", note, {})
    names = list(inspect.signature(network.forward).parameters)
    for name, one in zip(names, network.arguments, strict=False):
        rebuilt(one, name, note, {})
    return found


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "objects in a default"])
def test_gradients_agree_with_central_differences(name: str) -> None:
    network = NETWORKS[name]
    traced = rg.trace_function(network.forward, *network.arguments, **network.options)
    assert traced.notes == ()
    assert float(traced.value.reshape(())) == pytest.approx(plain_loss(network, {}), rel=1e-12)
    leaves = leaves_of(network)
    assert set(traced.gradients) == set(leaves)
    for label, array in leaves.items():
        direction = np.random.default_rng(7).normal(size=array.shape)
        values = [plain_loss(network, {id(array): array + k * 1e-4 * direction}) for k in (-2, -1, 1, 2)]
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * 1e-4)
        assert np.sum(traced.gradients[label] * direction) == pytest.approx(slope, rel=1e-7, abs=1e-9), label


def test_a_callable_model_in_a_closure_is_recorded() -> None:
    model, x = styles.Added(nested_networks.GatesInDicts()), draw(3, 6, 2, scale=1.0)

    def loss(x: Any) -> Any:
        return np.sum(model(x)[-1] ** 2)

    gradients, array = rg.trace_function(loss, x).gradients, model.layers[0].W["f"]
    ends = []
    for step in (1e-5, -2e-5):
        array[1, 2] += step
        ends.append(loss(x))
    assert gradients["model.layers.0.W.f"][1, 2] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_gradients_of_objects_that_a_function_holds_in_a_default() -> None:
    network = NETWORKS["objects in a default"]
    gradients = rg.trace_function(network.forward, *network.arguments).gradients
    for gate in "fico":
        array = getattr(PARAMETERS, f"W_{gate}").v
        place, ends = (1, 2), []
        for step in (1e-5, -2e-5, 1e-5):  # there, back, and where it was
            array[place] += step
            ends.append(network.forward(*network.arguments))
        assert gradients[f"p.W_{gate}.v"][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)
        assert not gradients[f"p.W_{gate}.d"].any()


def test_only_what_is_wanted_is_declared() -> None:
    network = NETWORKS["a written space over an rnn"]
    every = rg.trace_function(network.forward, *network.arguments)
    one = rg.trace_function(network.forward, *network.arguments, only="Wh")
    assert [each.name for each in one.tape.recurrences] == ["Wh"] == [each.name for each in every.tape.recurrences][:1]
    states = [[float(one) for one in rg.record(each).states[0].grad.value] for each in (every, one)]
    assert states[0] == states[1]
    with pytest.raises(InputError, match="there is no recurrence 'U'; only= can name Wh, recurrence"):
        rg.trace_function(network.forward, *network.arguments, only=["Wh", "U"])


@pytest.mark.parametrize("name", list(NETWORKS))
def test_recurrences_are_those_that_a_person_would_declare(name: str) -> None:
    network = NETWORKS[name]
    traced = rg.trace_function(network.forward, *network.arguments, **network.options)
    found = []
    for one in traced.tape.recurrences:
        shape = traced.tape.entry(one.states["h"][0]).value.shape
        batch = 1 if one.batch_axis is None else shape[one.batch_axis]
        found.append((one.stem, one.timesteps, one.kinds, batch, int(np.prod(shape)) // batch, one.direction))
    wanted = [(one.name, one.time, one.kinds, one.batch, one.units, one.direction) for one in network.expected]
    assert found == wanted, traced.found
    if wanted:
        trace = rg.record(traced, lags=True)
        assert trace.timesteps == max(one[1] for one in wanted)
