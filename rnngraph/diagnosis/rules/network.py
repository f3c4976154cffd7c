"""What a rule sees that looks at more than one layer: all of them, each with the verdict on it alone."""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.diagnosis.layer import Layer
from rnngraph.trace.model import Trace


@dataclass(frozen=True, slots=True)
class Network:
    """A trace and its layers with their labels, such as "vanishing"."""

    trace: Trace
    layers: tuple[Layer, ...]
    labels: tuple[str, ...]
