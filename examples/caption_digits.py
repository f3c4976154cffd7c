"""Train the demo's caption model, with this package's layers alone, until it describes images that it has not seen.

Prints the share of right words and the gradient norms, before and after. An argument sets the iterations.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg
from rnngraph.sources.captions import NULL, START, VOCABULARY, decode, describe, encode, pad
from rnngraph.sources.digits import load_digits

Array = NDArray[Any]
SIZE, WORDS = 64, len(VOCABULARY)
IMAGE, EMBED = rg.nn.Linear(64, SIZE, name="image", seed=1), rg.nn.Embedding(WORDS, SIZE, seed=2)
LSTM, SCORES = rg.nn.LSTM(SIZE, SIZE, forget_bias=1.0, seed=3), rg.nn.Linear(SIZE, WORDS, name="scores", seed=4)
PARAMETERS = [one for layer in (IMAGE, EMBED, LSTM, SCORES) for one in layer.parameters()]


def scores(images: Array, words: Array) -> rg.Tensor:
    """Score the next word at every step, (N, T, V): the image sets the first hidden state."""
    tape = rg.Tape(model="digit captions, LSTM")
    return SCORES(LSTM(EMBED(tape.input(words, "words")), h0=IMAGE(tape.input(images, "image"))))


def loss(images: Array, captions: Array) -> rg.Tensor:
    """Give the caption loss: words in are all but the last, words out all but the first."""
    return rg.nn.temporal_softmax_loss(scores(images, captions[:, :-1]), captions[:, 1:], captions[:, 1:] != NULL)


def say(images: Array, length: int) -> Array:
    """Take the most likely word again and again, (N, length + 1)."""
    words = np.full((len(images), 1), START)
    for _ in range(length):
        words = np.concatenate([words, scores(images, words).value[:, -1:].argmax(axis=-1)], axis=1)
    return words


def train(images: Array, captions: Array, iterations: int) -> None:
    """Run Adam (Kingma and Ba, 2015) with a rate that falls to zero, on images that are shaken by a little noise."""
    rng = np.random.default_rng(0)
    moments = {one.name: (np.zeros_like(one.value), np.zeros_like(one.value)) for one in PARAMETERS}
    for iteration in range(1, iterations + 1):
        chosen = rng.choice(len(captions), 64, replace=False)
        gradients = rg.gradients(loss(images[chosen] + rng.normal(0, 0.3, (64, 64)), captions[chosen]))
        rate = 1e-2 * (1 - iteration / iterations) * np.sqrt(1 - 0.99**iteration) / (1 - 0.9**iteration)
        for one in PARAMETERS:
            first, second = moments[one.name]
            first += 0.1 * (gradients[one.name] - first)
            second += 0.01 * (gradients[one.name] ** 2 - second)
            one.value = one.value - rate * first / (np.sqrt(second) + 1e-8)


def main() -> None:
    """Train, and show before and after."""
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    parts = {}
    for split in ("train", "held_out"):
        data = load_digits(split)
        said = [encode(describe(image, int(digit))) for image, digit in zip(data.images, data.digits, strict=True)]
        parts[split] = 4 * data.features() - 1.2, pad(said)  # about zero mean and unit variance
    images, truth = parts["held_out"]
    for moment in ("before", "after"):
        if moment == "after":
            train(*parts["train"], iterations)
        trace, words = rg.record(loss(images, truth)), say(images, truth.shape[1] - 1)
        right = (words == truth)[:, 1:][truth[:, 1:] != NULL].mean()
        print(f"{moment}: loss {trace.loss:.2f}, {right:.0%} of the words are right on {len(images)} images not seen")
        print("   ‖∂L/∂h‖ by step:", "  ".join(f"{norm:.1e}" for norm in trace.states[0].grad.value))
    print("\n".join(f"   {decode(row)}" for row in words[:4].tolist()))


if __name__ == "__main__":
    main()
