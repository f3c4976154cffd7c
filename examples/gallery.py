"""Draw the gallery: what the pictures show, one file a subject. Run `python examples/gallery.py [folder] [suffix]`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.sources.demo import DemoOptions, build

RNG = np.random.default_rng(0)


def demo(**options: Any) -> rg.Trace:
    """Trace the caption model that ships."""
    return rg.record(build(DemoOptions(**options)))


def last_step(layer: rg.nn.RNN, *, timesteps: int = 20, scale: float = 1.0) -> rg.Trace:
    """Trace a layer whose loss is on the last step only: what the early steps get has been carried all the way."""
    tape = rg.Tape()
    x = tape.input(RNG.normal(0, scale, size=(4, timesteps, 8)))
    last = layer(x)[:, timesteps - 1]
    return rg.record((last * last).mean())


# name -> (trace, options of the picture)
PICTURES: dict[str, tuple[Callable[[], rg.Trace], dict[str, Any]]] = {
    "captions": (lambda: demo(timesteps=8), {}),
    "vanishing": (lambda: last_step(rg.nn.RNN(8, 32, init="orthogonal", gain=0.2, seed=1), timesteps=7), {}),
    "folded": (lambda: last_step(rg.nn.RNN(8, 32, init="orthogonal", gain=0.5, seed=1), timesteps=200), {}),
    "exploding": (lambda: last_step(rg.nn.RNN(8, 32, init="orthogonal", gain=3.0, nonlinearity="relu", seed=1)), {}),
    "gain": (lambda: last_step(rg.nn.RNN(8, 32, init="orthogonal", gain=0.9, seed=1)), {"color": "gain"}),
    "saturated": (lambda: last_step(rg.nn.RNN(8, 32, seed=1), scale=9.0, timesteps=8), {"color": "saturation"}),
    "truncated": (lambda: last_step(rg.nn.RNN(8, 32, truncate=4, seed=1), timesteps=10), {}),
    "lstm": (lambda: demo(cell="lstm", timesteps=6), {}),
    "lstm-operations": (lambda: demo(cell="lstm", timesteps=3), {"detail": "op"}),
    "gru-both-ways": (lambda: demo(cell="gru", timesteps=6, bidirectional=True), {}),
    "three-layers-folded": (lambda: demo(timesteps=60, layers=3), {}),
    "rolled": (lambda: demo(cell="lstm", timesteps=60), {"view": "rolled"}),
    "layers": (lambda: demo(timesteps=60, layers=2, bidirectional=True), {"detail": "layer"}),
}


def main() -> None:
    """Write every picture to the folder, and name it."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "gallery")
    suffix = sys.argv[2] if len(sys.argv) > 2 else ".svg"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (trace, options) in PICTURES.items():
        print("wrote", rg.render(trace(), folder / (name + suffix), **options))


if __name__ == "__main__":
    main()
