"""What a command line says, gathered: where the trace comes from, and how much of its lags is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.sources.demo import DemoOptions
    from rnngraph.sources.resolve import ModelOptions

MOST_DIGITS = 18  # more than any machine counts to; Python refuses to read thousands


@dataclass(frozen=True, slots=True)
class SourceArguments:
    """What a command line says about where the trace comes from."""

    source: str | None
    demo: DemoOptions
    model: ModelOptions
    given: tuple[str, ...] = ()  # the demo's options that were written out, such as `--cell`

    def refuse_demo_options(self, reason: str, *, but: tuple[str, ...] = ()) -> None:
        """Hold the options back from a source that they cannot change.

        Raises:
            InputError: one of them was given.
        """
        for name in self.given:
            if name not in but:
                raise InputError(f"{name} changes the demo's model, but {reason}: leave it out.")


@dataclass(frozen=True, slots=True)
class LagArguments:
    """What a command line says about the lag matrix; None where nothing was said."""

    losses: str | None = None
    samples: str | None = None
    max_lag: int | None = None

    def options(self, source: str | None) -> LagOptions:
        """Read the options for SOURCE.

        Raises:
            InputError: a value that does not fit, or any of them for a saved run.
        """
        from rnngraph.measure.lag_options import LagOptions

        refuse_for_saved(source, losses=self.losses, samples=self.samples, max_lag=self.max_lag)
        losses, samples = _count("--losses", self.losses, 32), _count("--samples", self.samples, 8)
        return LagOptions(losses=losses, samples=samples, max_lag=self.max_lag)


def refuse_for_saved(source: str | None, **given: Any) -> None:
    """Hold options of the recording back from a saved run.

    Raises:
        InputError: SOURCE is a saved run and one of them was given.
    """
    if source is None or not source.endswith(".npz"):
        return
    for name, value in given.items():
        if value is not None:
            option = name.replace("_", "-")
            raise InputError(f"--{option} chooses what is recorded, but {source} is a saved run: leave it out.")


def _count(name: str, text: str | None, default: int) -> Any:
    if text is None:
        return default
    if text == "all":
        return "all"
    if not text.isdecimal() or len(text) > MOST_DIGITS or int(text) < 1:
        raise InputError(f"{name} is {text!r}; give a whole number of at least 1, or all.")
    return int(text)
