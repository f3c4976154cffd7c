"""The model that ships: a recurrent network that captions images of handwritten digits.

In come the options of the command line, out comes the loss of one batch, on a tape, ready to be walked in reverse. The
image sets the initial state, the words of the caption come in one a step, and each step is asked for the next word.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cache
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rnngraph.errors import InputError
from rnngraph.nearest import check_known
from rnngraph.nn.cells import CELLS as KINDS
from rnngraph.nn.cells import OFFERED, Cell
from rnngraph.nn.cells.tanh_relu import Tanh
from rnngraph.nn.init import INITS
from rnngraph.sources import captions
from rnngraph.sources.digits import Digits, load_digits

if TYPE_CHECKING:
    from rnngraph.autodiff.tensor import Tensor
    from rnngraph.nn.recurrent import Recurrent

PLAIN = "rnn"  # what people call the plain cell, and its layers
CELLS = tuple(PLAIN if name == Tanh.facts.name else name for name in OFFERED)
DTYPES = ("float64", "float32")
LARGEST = 1_000_000  # of every size


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What of the demo's model can be chosen; `check` says whether the choices fit together."""

    cell: str = "rnn"
    hidden_size: int = 64
    layers: int = 1
    bidirectional: bool = False
    timesteps: int | None = None  # None: as many as the longest caption of the batch needs
    batch: int = 8
    init: str = "uniform"
    gain: float = 1.0
    forget_bias: float | None = None  # None: the layer's own
    seed: int = 0
    dtype: str = "float64"

    def __post_init__(self) -> None:
        """Take the cell's own name for what people call it."""
        if self.cell == Tanh.facts.name:
            object.__setattr__(self, "cell", PLAIN)

    @property
    def kind(self) -> Cell:
        """The cell itself."""
        return KINDS[Tanh.facts.name if self.cell == PLAIN else self.cell]

    def check(self) -> None:
        """Hold names and sizes to what there is; what does not suit the cell its layer refuses.

        Raises:
            InputError: the first choice that does not fit, in one sentence.
        """
        for name, value, known in (
            ("cell", self.cell, CELLS),
            ("initialiser", self.init, INITS),
            ("dtype", self.dtype, DTYPES),
        ):
            check_known([value], known, f"the {name} {{}} is not known: choose one of")
        for name, number in (
            ("hidden size", self.hidden_size),
            ("number of layers", self.layers),
            ("number of timesteps", 1 if self.timesteps is None else self.timesteps),
            ("batch", self.batch),
        ):
            if number < 1:
                raise InputError(f"the {name} is {number}, but it must be at least 1.")
            if number > LARGEST:
                raise InputError(f"the {name} is {number}, but it must be at most {LARGEST}.")
        self._check_memory()

    def _check_memory(self) -> None:
        """Refuse what the machine cannot hold, rather than fill its memory first."""
        gates, width = self.kind.blocks + len(self.kind.facts.kinds) - 1, self.hidden_size
        stack = self.layers * (2 if self.bidirectional else 1)
        steps = self.batch * (self.timesteps or 8)
        needed = 8 * stack * gates * (3 * width * width + 3 * steps * width)
        if needed > _memory():
            raise InputError(
                f"{self.layers} layers of {width} units over {self.timesteps or 8} timesteps of {self.batch} captions "
                f"need about {needed / 2**30:.0f} GiB of memory, more than there is: choose smaller numbers."
            )


def _memory() -> float:
    """Give the machine's memory in bytes; without bound where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def build(options: DemoOptions | None = None) -> Tensor:
    """Run the model forward on one batch and return its loss.

    The weights depend on the seed only, and the batch on its size and the number of timesteps only.

    Raises:
        InputError: the options do not fit together, or the batch is larger than the number of images.
    """
    from rnngraph import nn
    from rnngraph.autodiff.tape import Tape

    options = options or DemoOptions()
    options.check()
    images, words = batch_of(load_digits(), batch=options.batch, timesteps=options.timesteps)
    words_in, words_out = words[:, :-1], words[:, 1:]
    dtype = np.float32 if options.dtype == "float32" else np.float64

    tape = Tape()
    tape.model = title(options)
    tape.step_labels = [captions.VOCABULARY[token] for token in words_in[0]]
    features = tape.input(images.features(dtype), name="image")
    tokens = tape.input(words_in, name="words")

    width, directions = options.hidden_size, 2 if options.bidirectional else 1
    stack = options.layers * directions
    kind: dict[str, Any] = {"seed": options.seed, "dtype": dtype}
    project = nn.Linear(features.shape[1], stack * width, name="image", **kind)
    embed = nn.Embedding(len(captions.VOCABULARY), width, name="embedding", **kind)
    scores = nn.Linear(directions * width, len(captions.VOCABULARY), name="scores", **kind)

    initial = project(features)
    if stack > 1:
        initial = initial.reshape(options.batch, stack, width).transpose(1, 0, 2)
    hidden = recurrent_layer(options)(embed(tokens), h0=initial)
    return nn.temporal_softmax_loss(scores(hidden), words_out, words_out != captions.NULL)


def recurrent_layer(options: DemoOptions) -> Recurrent:
    """Make the recurrent layer that the options ask for."""
    from rnngraph.nn.recurrent import Recurrent

    return Recurrent(
        options.kind, options.hidden_size, options.hidden_size, num_layers=options.layers,
        bidirectional=options.bidirectional, init=options.init, gain=options.gain, forget_bias=options.forget_bias,
        seed=options.seed, dtype=np.float32 if options.dtype == "float32" else np.float64,
        name=options.cell if options.kind.facts.gates else PLAIN,
    )  # fmt: skip


def batch_of(data: Digits, *, batch: int, timesteps: int | None) -> tuple[Digits, NDArray[np.int64]]:
    """Take the first images with their captions, `(batch, timesteps + 1)` tokens, the longest caption first.

    Without `timesteps` a short caption is padded with `<NULL>`. With it every step has a real word: a longer
    caption is cut, and a shorter one goes on with the captions of further images.

    Raises:
        InputError: the batch is larger than the number of images.
    """
    available = len(data.images)
    if batch > available:
        raise InputError(f"the batch is {batch}, but there are {available} images: choose at most {available}.")

    @cache
    def caption(image: int) -> list[int]:
        return captions.encode(captions.describe(data.images[image], int(data.digits[image])))

    order = sorted(range(batch), key=lambda row: -len(caption(row)))
    chosen = Digits(data.images[order], data.digits[order])
    if timesteps is None:
        return chosen, captions.pad([caption(row) for row in order])
    tokens = timesteps + 1
    strung = (chain.from_iterable(caption(image % available) for image in count(row)) for row in order)
    return chosen, np.stack([np.fromiter(islice(words, tokens), np.int64, tokens) for words in strung])


def title(options: DemoOptions) -> str:
    """Name the model in a few words, such as `digit captions: 2-layer bidirectional lstm, 64 units`."""
    layers = f"{options.layers}-layer " if options.layers > 1 else ""
    both = "bidirectional " if options.bidirectional else ""
    units = f"{options.hidden_size} unit{'s' if options.hidden_size > 1 else ''}"
    return f"digit captions: {layers}{both}{options.cell}, {units}"
