"""Draw the gallery: what the pictures show, one file a subject. Run `python examples/gallery.py [folder] [suffix]`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.sources.demo import DemoOptions, build


def demo(**options: Any) -> rg.Trace:
    """Trace the caption model that ships."""
    return rg.record(build(DemoOptions(**options)), lags=True)


def trained(layer: Any, *, timesteps: int = 60, scale: float = 1.0, last: bool = False, mask: Any = None) -> rg.Trace:
    """Trace a layer with a loss at every step, or at the last alone."""
    x = rg.Tape().input(np.random.default_rng(5).normal(0, scale, size=(8, timesteps, 16)))
    h = layer(x, mask=mask)
    read = h[:, timesteps - 1] if last else h if mask is None else h * mask[:, :, None].astype(float)
    return rg.record((read * np.random.default_rng(6).normal(size=read.shape)).sum(), lags=True)


def biased() -> rg.Trace:
    """Trace a layer whose bias pushes its units to the ends of tanh."""
    layer = rg.nn.RNN(16, 64, init="orthogonal", seed=1)
    layer.parameter("b").value[...] = 2.5 * np.where(np.arange(64) % 2, 1, -1)
    return trained(layer)


def encoder_decoder() -> rg.Trace:
    """Trace an encoder of 40 steps whose last state begins a decoder of 8."""
    tape, rng = rg.Tape(), np.random.default_rng(5)
    source, target = (tape.input(rng.normal(0, 0.7, size=(8, steps, 16))) for steps in (40, 8))
    encoder = rg.nn.RNN(16, 64, init="orthogonal", gain=0.8, seed=1, name="encoder")
    decoder = rg.nn.RNN(16, 64, init="orthogonal", seed=2, name="decoder")
    h = decoder(target, encoder(source)[:, 39])
    return rg.record((h * rng.normal(size=h.shape)).sum(), lags=True)


def rnn(gain: float, **options: Any) -> Any:
    """Make an orthogonal tanh layer."""
    return rg.nn.RNN(16, 64, init="orthogonal", gain=gain, seed=1, **options)


ENDS = np.arange(30) < np.arange(22, 6, -2)[:, None]
# name -> (trace, options of the picture)
PICTURES: dict[str, tuple[Callable[[], rg.Trace], dict[str, Any]]] = {
    "dies": (lambda: trained(rnn(0.58), scale=0.35), {"theme": "light"}),
    "dies-phone": (lambda: trained(rnn(0.58), scale=0.35), {"width": 390}),
    "dies-dark": (lambda: trained(rnn(0.58), scale=0.35), {"theme": "dark"}),
    "remembers": (lambda: trained(rg.nn.LSTM(16, 64, forget_bias=3.0, seed=1), last=True), {}),
    "explodes": (lambda: trained(rnn(3.0), scale=0.5), {}),
    "saturated": (biased, {}),
    "three-layers": (lambda: trained(rnn(0.9, num_layers=3)), {}),
    "lstm-three-layers": (lambda: trained(rg.nn.LSTM(16, 48, num_layers=3, seed=1)), {}),
    "gru": (lambda: trained(rg.nn.GRU(16, 64, seed=1)), {}),
    "encoder-decoder": (encoder_decoder, {}),
    "both-ways": (lambda: trained(rnn(0.75, bidirectional=True)), {}),
    "padded": (lambda: trained(rnn(0.8), timesteps=30, mask=ENDS), {"seen_from": 13, "steps": "0,6:15,20:24"}),
    "truncated": (lambda: trained(rnn(0.9, truncate=7), timesteps=30), {}),
    "words": (lambda: demo(cell="gru", timesteps=8), {}),
    "sum-over-all": (lambda: demo(cell="lstm", timesteps=6), {"seen_from": "total"}),
    "operations": (lambda: demo(cell="lstm", timesteps=3), {"detail": "op", "seen_from": "total"}),
    "gain": (lambda: trained(rnn(0.9), timesteps=20), {"color": "gain"}),
    "rolled": (lambda: demo(cell="lstm", timesteps=60), {"view": "rolled"}),
}

if __name__ == "__main__":
    folder, suffix = Path(sys.argv[1] if len(sys.argv) > 1 else "gallery"), (*sys.argv, "", ".svg")[2] or ".svg"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (trace, options) in PICTURES.items():
        print("wrote", rg.render(trace(), folder / (name + suffix), **options))
