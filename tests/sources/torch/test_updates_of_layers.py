"""What the weights of fused layers get from losses so many steps away, against autograd with weights a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.sources.torch.losses import loss_rows
from rnngraph.trace.model import Trace

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 9, 4, 5


def losses_of(head: Any, output: Any) -> list[Any]:
    """The loss of every step, of samples that weigh differently."""
    return [(head(one).square().sum(dim=1) * torch.arange(1, len(one) + 1)).sum() for one in output.unbind(1)]


def watched(layers: Sequence[Any], head: Any, x: Any, samples: Any = "all") -> Trace:
    """Record layers one above the other, and a head."""
    model = nn.ModuleList([*layers, head])
    with rnngraph.torch.watch(model) as watch:
        output = x
        for layer in layers:
            output = layer(output)[0]
        sum(losses_of(head, output)).backward()
    return watch.trace(lags=rnngraph.LagOptions("all", samples, updates=True))


def by_step(layers: Sequence[Any], head: Any, x: Any) -> dict[str, list[float]]:
    """The norms by lag, of a weight of its own at every step: one call a step of PyTorch's own layers."""
    output, copies = x, []
    for place, layer in enumerate(layers):
        state, found = None, []
        for t in range(T):
            own = {f"{place}.{name}": one.detach().clone().requires_grad_() for name, one in layer.named_parameters()}
            plain = {name.partition(".")[2]: one for name, one in own.items()}
            given = (output[:, t : t + 1],) if state is None else (output[:, t : t + 1], state)
            one, state = torch.func.functional_call(layer, plain, given)
            found.append(one)
            copies.append((t, own))
        output = torch.cat(found, dim=1)
    sums: dict[int, dict[str, Any]] = {lag: {} for lag in (0, 1, 2, 4, 8)}
    for s, loss in enumerate(losses_of(head, output)):
        for k, own in copies:
            parts = torch.autograd.grad(loss, list(own.values()), retain_graph=True, allow_unused=True)
            for lag, total in sums.items():
                for name, part in zip(own, parts, strict=True):
                    if part is not None and s - k >= lag:
                        total[name] = total.get(name, 0) + part
    norms: dict[str, list[float]] = {}
    for total in sums.values():
        recurrences: dict[str, float] = {}
        for name, part in total.items():
            if "bias_hh" in name and not isinstance(layers[int(name[0])], nn.GRU):
                continue  # the same as the other bias's, with which it is one
            key = f"{name[0]}{name[name.rindex('_l') :]}"
            recurrences[key] = recurrences.get(key, 0.0) + float(part.square().sum())
        for key, square in recurrences.items():
            norms.setdefault(key, []).append(math.sqrt(square))
    return norms


@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNN", {}), ("LSTM", {"num_layers": 2}), ("GRU", {"num_layers": 2}), ("LSTM", {"proj_size": 3}),
     ("RNN", {"nonlinearity": "relu", "bias": False})],
)  # fmt: skip
@pytest.mark.parametrize("most", [64, 4])
def test_one_layer_or_several_in_a_module(
    kind: str, options: dict[str, Any], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_rows, "_MOST", most)
    torch.manual_seed(0)
    layer = getattr(nn, kind)(D, H, batch_first=True, **options).double()
    head, x = nn.Linear(options.get("proj_size", H), 2).double(), torch.randn(N, T, D).double()
    expected = by_step([layer], head, x)
    trace = watched([layer], head, x)
    assert len(trace.updates) == len(expected) == options.get("num_layers", 1)
    for found, norms in zip(trace.updates, expected.values(), strict=True):
        assert found.lags.tolist() == [0, 1, 2, 4, 8]
        np.testing.assert_allclose(np.exp(found.log), norms, rtol=1e-9)


def test_of_modules_on_each_other_the_same_samples_are_summed() -> None:
    torch.manual_seed(1)
    layers = [nn.LSTM(D, H, batch_first=True).double(), nn.GRU(H, H, batch_first=True).double()]
    head, x = nn.Linear(H, 2).double(), torch.randn(N, T, D).double()
    expected = by_step(layers, head, x)
    for found, norms in zip(watched(layers, head, x).updates, expected.values(), strict=True):
        np.testing.assert_allclose(np.exp(found.log), norms, rtol=1e-9)
    one, other = watched(layers, head, x[:1], [0]), watched(layers, head, x, [0])  # the first weighs the same in both
    for alone, chosen in zip(one.updates, other.updates, strict=True):
        np.testing.assert_allclose(alone.log, chosen.log, rtol=1e-9)


def test_they_are_measured_where_they_are_asked_for() -> None:
    layer, head = nn.RNN(D, H, batch_first=True), nn.Linear(H, 2)
    with rnngraph.torch.watch(nn.ModuleList([layer, head])) as watch:
        sum(losses_of(head, layer(torch.randn(N, T, D))[0])).backward()
    asked, without = watch.trace(lags=rnngraph.LagOptions(updates=True)), watch.trace()
    assert asked.updates
    assert without.updates == ()
    np.testing.assert_array_equal(without.lags[0].log, asked.lags[0].log)


def test_of_a_layer_that_is_called_twice_it_is_not_known() -> None:
    layer, head = nn.RNN(D, H, batch_first=True), nn.Linear(H, 2)
    with rnngraph.torch.watch(nn.ModuleList([layer, head])) as watch:
        output, state = layer(torch.randn(N, T, D))
        sum(losses_of(head, torch.cat([output, layer(torch.randn(N, T, D), state)[0]], 1))).backward()
    assert watch.trace(lags=rnngraph.LagOptions(updates=True)).updates == ()


def test_whether_they_are_asked_for_is_yes_or_no() -> None:
    with pytest.raises(rnngraph.InputError, match="updates is 'no'"):
        rnngraph.LagOptions(updates="no")  # type: ignore[arg-type]
