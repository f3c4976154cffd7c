"""A callback for Stable-Baselines3 and sb3-contrib: `model.learn(100_000, callback=MonitorCallback())`.

In: the options of `rnngraph.torch.monitor`. Out: its traces; its scalars go to the model's logger. Steps are those of
the optimizer: of `RecurrentPPO` one a minibatch and epoch.
"""

from __future__ import annotations

from typing import Any

from rnngraph.errors import MissingToolError
from rnngraph.torch import Monitor, monitor

try:
    from stable_baselines3.common.callbacks import BaseCallback
except ImportError:
    raise MissingToolError("Stable-Baselines3 is not installed; pip install sb3-contrib brings it.") from None


class MonitorCallback(BaseCallback):  # type: ignore[misc]
    """Monitors the policy that is learned."""

    def __init__(self, verbose: int = 0, **options: Any) -> None:
        """Take the options of `monitor`; without `log` the model's logger is told."""
        super().__init__(verbose)
        self.options = options
        self.monitor: Monitor | None = None

    def _on_training_start(self) -> None:
        self._on_training_end()  # learning that ended in an exception has not closed it
        again = {} if self.monitor is None else {"start": self.monitor.step + 1}  # learn was called once more
        self.monitor = monitor(self.model.policy, **{"log": self._record, **again, **self.options})

    def _record(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.logger.record(name, value, exclude="stdout")  # its table refuses long names

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self.monitor is not None:
            self.monitor.close()
