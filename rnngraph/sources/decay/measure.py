"""`rnngraph.decay`: read the decays of a checkpoint or a module, and judge them.

In: a path, a module or a state dict, and what the user says of it. Out: a `DecayReport`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.sources.decay.config import config_of
from rnngraph.sources.decay.read import ReadLayer, ambiguous, read_layers
from rnngraph.sources.decay.rule_functions import THRESHOLDS, Judging
from rnngraph.sources.decay.rules import judged
from rnngraph.sources.decay.tensors import Weights, file_weights, module_weights, state_weights
from rnngraph.trace.decay import DecayReport, LayerDecay


def decay(
    source: Any,
    *,
    config: Any = None,
    fresh: bool = False,
    context: int | None = None,
    batch: Any = None,
    loss: str = "sum",
) -> DecayReport:
    """Report the half-life of every decay of the linear recurrences in a model, at zero input.

    Args:
        source: a `torch.nn.Module`, a state dict of tensors or arrays, or the path of a checkpoint: a file, an index
            of shards, or a folder as Hugging Face writes it. Nothing in a file is executed.
        config: what the tensors do not say: a table, an object with `to_dict`, or the path of a `config.json`; by
            default the one beside the weights, or the module's own.
        fresh: the weights are an initialisation, which is then judged as one.
        context: the steps of the sequences that the model is for; with `fresh` only.
        batch: what a module is called with to see its decays at work; a tuple is spread, a mapping gives keywords.
        loss: `sum`, `mean` or `every`: what is differentiated where the module returns no scalar.

    Raises:
        InputError: the source is none of these, holds no linear recurrence, or an option does not fit.
        FileError: a file cannot be read.
        MissingToolError: the format needs PyTorch, which is not installed.
    """
    if context is not None:
        context = whole_number(context, "context", least=1)
        if not fresh:
            raise InputError("context is judged of an initialisation only: pass fresh=True (--fresh) as well.")
    weights = _weights(source)
    if config is not None:
        weights = replace(weights, config=config_of(config))
    groups, unread = read_layers(weights)
    if not groups and not unread:
        raise InputError(
            f"{weights.source} holds no linear recurrence: none of its {len(weights.weights)} tensors is a decay of a "
            "family that is known; fixed decays stand in no tensor."
        )
    judging = Judging(fresh, context)
    layers = [layer for group in groups for layer in _judged(group, judging)]
    notes = [ambiguous(weights.config, tuple(one.reading for one in group)) for group in groups if len(group) > 1]
    if batch is not None:
        layers = _observed(source, batch, loss, groups, layers)
    return DecayReport(
        weights.source, tuple(layers), tuple(unread), fresh, context, dict(THRESHOLDS), tuple(dict.fromkeys(notes))
    )


def _weights(source: Any) -> Weights:
    if isinstance(source, str | os.PathLike):
        return file_weights(Path(source))
    if isinstance(source, Mapping):
        return state_weights(source)
    if hasattr(source, "state_dict") and hasattr(source, "named_modules"):
        return module_weights(source)
    raise InputError(
        f"a {type(source).__name__} has no decays to read; pass a torch.nn.Module, a state dict, or the path of a "
        "checkpoint."
    )


def _judged(group: list[ReadLayer], judging: Judging) -> list[LayerDecay]:
    alone = len(group) == 1
    return [
        replace(one.decay, judged=alone, findings=findings)
        for one, findings in zip(group, judged(group, judging), strict=True)
    ]


def _observed(
    module: Any, batch: Any, loss: str, groups: list[list[ReadLayer]], layers: list[LayerDecay]
) -> list[LayerDecay]:
    if not hasattr(module, "named_modules"):
        raise InputError(f"a batch needs a torch.nn.Module to run, but the source is a {type(module).__name__}.")
    from rnngraph.sources.decay.live import observe

    read = [one for group in groups for one in group]
    return [replace(layer, live=live) for layer, live in zip(layers, observe(module, batch, read, loss), strict=True)]
