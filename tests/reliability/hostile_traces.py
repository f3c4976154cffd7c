"""Traces in which every name, label and note is a string of somebody who means harm."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from unittest import mock

import numpy as np

import rnngraph
from rnngraph import Tape, Trace, nn
from rnngraph.history import course
from rnngraph.history.course import History
from rnngraph.history.folder import Skipped
from rnngraph.history.measurement import measured
from rnngraph.trace.decay import DecayReport, LayerDecay, Unread


@cache
def _recorded(timesteps: int) -> Trace:
    tape = Tape()
    x = tape.input(np.random.default_rng(0).normal(size=(2, timesteps, 3)), "x")
    return rnngraph.record((nn.LSTM(3, 2, seed=0)(x) ** 2).sum(), lags=True)


def hostile_trace(*texts: str) -> Trace:
    """Record a network of a few steps and put the texts into every place that holds a name of a file's or a user's."""
    steps = max(3, len(texts))
    trace, text = _recorded(steps), texts[0]
    names = {state.name: f"{text}{state.kind}" for state in trace.states}
    return replace(
        trace,
        model=text,
        source=text,
        labels=tuple(texts[number % len(texts)] for number in range(steps)),
        notes=texts,
        states=tuple(replace(state, name=names[state.name]) for state in trace.states),
        gates=tuple(replace(gate, name=f"{text}{number}") for number, gate in enumerate(trace.gates)),
        parameters=tuple(replace(one, name=f"{text}{number}") for number, one in enumerate(trace.parameters)),
        inputs=tuple(replace(one, name=text) for one in trace.inputs),
        lags=tuple(replace(lag, state=names[lag.state]) for lag in trace.lags),
        graph=replace(trace.graph, names=dict.fromkeys(trace.graph.names, text)),
    )


def hostile_decay(text: str) -> DecayReport:
    """Make a report on two layers, with a text in every place that holds a name of a file's or a user's."""
    layers = tuple(
        LayerDecay(f"{text}{number}", text, text, np.array([1.0, 7.0]), origin=text, settings={text: 1.0})
        for number in range(2)
    )
    return DecayReport(text, layers, (Unread(text, (2,), text),), False, 100, {}, (text,))


@cache
def hostile_history(text: str) -> History:
    """Make the history of two measurements, with a text in every place that holds a name of a file's or a user's."""
    one = replace(measured(replace(hostile_trace(text), training_step=0), text), said=text)
    read = (one, replace(one, step=1)), (Skipped(text, text),)
    with mock.patch.multiple(course, read_folder=lambda place, horizon: read, folder_of=lambda given: given):
        return course.history_of(text)
