"""One look at a training: from before a forward pass until the weights are about to change.

In: a model. Out: a trace with its place in the training. While a look is on, `watch` is; afterwards nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from rnngraph.measure.lag_options import LagOptions
from rnngraph.sources.torch.watch import Watch
from rnngraph.trace.model import Trace


class Look:
    """Is on from the beginning, until it is ended or asked for its trace."""

    def __init__(self, model: Any, only: Sequence[str] | None, lags: LagOptions, asleep: Callable[[], bool]) -> None:
        """Begin to watch.

        Args:
            model: what is trained.
            only: the modules that are wanted, where not all are.
            lags: which part of the lag matrix is measured.
            asleep: tells whether what runs is no training, so that its graph need not be kept.
        """
        self._watch, self._lags = Watch(model, only), lags
        self._watch.lags = lags
        self._watch.__enter__()
        self._watch.log.asleep = asleep

    def end(self) -> None:
        """Take everything off."""
        self._watch.__exit__(None, None, None)

    def trace(self, step: int) -> tuple[Trace, dict[str, list[Any]]]:
        """End, and measure the last backward pass; give also the weights of every recurrence, where they are whole.

        Raises:
            InputError: see `Watch.trace`.
        """
        self.end()
        with torch.enable_grad():
            trace = self._watch.trace(lags=self._lags)
            weights = self._watch.weights() if self._watch.passes.found else {}
        return replace(trace, training_step=step, training_loss=self._watch.passes.loss), weights
