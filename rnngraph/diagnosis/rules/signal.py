"""Rules on whether there is a gradient at all: in the network, in a layer, at its inputs, and in every sample."""

from __future__ import annotations

import math

import numpy as np

from rnngraph.diagnosis.causes import dead_share
from rnngraph.diagnosis.finding import ERROR, NOTE, WARNING, Finding, Value
from rnngraph.diagnosis.layer import Layer, silence_of
from rnngraph.diagnosis.network import Network
from rnngraph.diagnosis.sentences import amount_text, counted, part_text
from rnngraph.trace.magnitudes import Booleans, Status
from rnngraph.trace.precision import precision_of

_NAMED = 5  # samples that a sentence lists


def find_non_finite(network: Network) -> Finding | None:
    """NaN or infinity, with the operation that it first came out of."""
    graph = network.trace.graph
    for way, node in graph.first_nonfinite().items():
        where: dict[str, Value] = {
            "node": node, "op": graph.ops[int(graph.op[node])], "scope": graph.scopes[int(graph.scope[node])]
        }  # fmt: skip
        if graph.timestep[node] >= 0:
            where["timestep"] = int(graph.timestep[node])
        if name := graph.names.get(str(node)):
            where["name"] = name
        advice = (
            "Look at this operation's inputs: a logarithm or division of 0, an overflow of exp, or a diverged weight."
            if way == "forward"
            else "Clipping cannot help once it is infinite: lower the gain, use float64 or a shorter window."
        )
        return Finding(
            "non_finite", ERROR, where, {"direction": way}, way, advice,
            f"In the {way} pass NaN or infinity first comes out of {graph.describe(node)}.",
        )  # fmt: skip
    for layer in network.layers:
        count = layer.credit.nonfinite + sum(int(state.nonfinite.sum()) for state in layer.states)
        if count:
            return Finding(
                "non_finite", ERROR, layer.where, {"entries": count}, "backward",
                "Lower the gain of the recurrence, use float64, or a shorter window.",
                f"NaN or infinity in {count} entries of the gradients of {layer.name}.",
            )  # fmt: skip
    return None


def find_no_signal(network: Network, layer: Layer) -> Finding | None:
    """No loss reaches the layer: not connected, masked everywhere, or solved exactly; grave where none learns."""
    why = silence_of(layer)
    if not why:
        return None
    off = ", and none of its units fires" if layer.cell.switches_off and dead_share(layer) == 1 else ""
    alone = any(not silence_of(other) for other in network.layers)
    advice = "Check that the loss depends on this layer, that the mask leaves a step, and that the task is not solved."
    if alone:
        advice = (
            "Nothing need be done where it gives targets alone, or where its loss weighs nothing for now; else check "
            "that the loss depends on it, and that the mask leaves a step."
        )
    return Finding(
        "no_signal", WARNING if alone else ERROR, layer.where, {"losses": layer.credit.seeds},
        "no loss with a gradient", advice, f"No loss reaches {layer.name}: {why}{off}.",
    )  # fmt: skip


def find_masked_samples(layer: Layer) -> Finding | None:
    """Some samples are masked from their first step to their last."""
    return _silent(layer, "masked_samples", _masked(layer), "mask", "all of it is masked")


def find_silent_samples(layer: Layer) -> Finding | None:
    """No loss gives some samples a gradient, although they are not masked."""
    silent = _without_gradient(layer) & ~_masked(layer)
    return _silent(layer, "silent_samples", silent, "loss", "the gradient is exactly zero")


def find_dead(layer: Layer) -> Finding | None:
    """Every unit's derivative is exactly zero, at most steps."""
    share = dead_share(layer)
    if not share > layer.limits.dead:
        return None
    known = layer.cell.switches_off
    return Finding(
        "dead", ERROR, layer.where, {"share": share}, "activation" if known else "activation or weights",
        f"{'' if known else 'Look whether the recurrent weight is zero. '}"
        "Lower the learning rate and start again, the recurrent weight as the identity and biases at or above 0; or "
        "use an activation without a flat half.",
        f"{layer.name} is dead: at {part_text(share)} of the steps no unit lets a gradient through.",
    )  # fmt: skip


def find_dead_inputs(network: Network) -> Finding | None:
    """A gradient is in the states of the lowest layer, but none comes out at the inputs."""
    silent = {layer.name for layer in network.layers if silence_of(layer)}
    lowest = [layer for layer in network.layers if layer.recurrence.layer == 0]
    first = next((layer for layer in lowest if layer.name not in silent), None)
    if first is None or find_dead(first) is not None:
        return None
    grads = [state.grad.value[state.grad.status == Status.OK] for state in first.states]
    largest = max((float(part.max()) for part in grads if part.size), default=0.0)
    known = [path.input for path in network.paths if path.input is not None]
    # What a recurrence reads that no loss reaches gets nothing, and need not.
    read = {one.name: one.weight for one in known if one.recurrences[0] not in silent}
    for entry in [one for one in network.trace.inputs if one.name in read or not (known or silent)]:
        steps, weight = entry.steps, read.get(entry.name, math.nan)
        seen = steps.status != Status.UNOBSERVED
        if largest == 0 or not seen.any() or not np.isin(steps.status[seen], (Status.OK, Status.ZERO)).all():
            continue
        top = float(steps.value[seen].max())
        if top == 0 or top < precision_of(network.trace.dtype).eps * weight * largest:
            how = "exactly zero" if top == 0 else f"at most {amount_text(top)}"
            return Finding(
                "dead_inputs", WARNING, {"input": entry.name},
                {"largest_input_gradient": top, "largest_state_gradient": largest}, "input weights or saturated units",
                "Check that the input is used, that its weights are not zero, and that the units are not saturated.",
                f"The gradient of the input {entry.name} is {how}, while that of {first.name} is up to "
                f"{amount_text(largest)}.",
            )  # fmt: skip
    return None


def _masked(layer: Layer) -> Booleans:
    return np.asarray(~layer.recurrence.valid.any(axis=1))


def _without_gradient(layer: Layer) -> Booleans:
    """Tell of every sample whether it was taken and no loss gives it a gradient."""
    silent = np.zeros(layer.recurrence.batch, bool)
    first = layer.lags[0]
    # Of a few losses only, the last of every sample is among them; there must have been room for it.
    if len(first.losses) < first.available and len(first.losses) < len(first.samples) + 2:
        return silent
    largest = [np.fmax.reduce(lags.log, axis=(1, 2), initial=-np.inf) for lags in layer.lags]
    felt = np.any([one > -np.inf for one in largest], axis=0)
    silent[first.samples] = ~felt
    return silent


def _silent(layer: Layer, rule: str, silent: Booleans, reason: str, why: str) -> Finding | None:
    if not silent.any():
        return None
    samples = np.flatnonzero(silent)
    named = ", ".join(map(str, samples[:_NAMED])) + (", ..." if samples.size > _NAMED else "")
    return Finding(
        rule, NOTE, {**layer.where, "sample": int(samples[0])}, {"samples": int(samples.size)}, reason,
        f"Leave these samples out, or check their {reason}.",
        f"No loss reaches {layer.name} in {counted(samples.size, 'sample')} ({named}): {why}.",
    )  # fmt: skip
