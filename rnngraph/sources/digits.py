"""The demo's images: 1,000 handwritten digits of 8 x 8 pixels, held by the package; no network, no download.

They are a selection of the UCI set "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak (1998),
licensed CC BY 4.0, in the copy that scikit-learn distributes; `digits.txt` beside the data has the details. Out come
the pixels and the digit of each image, in a part to train on and a part from other writers to hold out.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

INK_LEVELS = 16


@dataclass(frozen=True, slots=True)
class Digits:
    """Images with the digit that each shows; the digits alternate, so any first few are balanced."""

    images: NDArray[np.uint8]  # (N, 8, 8), 0 for paper to 16 for full ink
    digits: NDArray[np.uint8]  # (N,)

    def features(self, dtype: type[np.floating] = np.float64) -> NDArray[np.floating]:
        """Lay the pixels out as rows of numbers from 0 to 1, `(N, 64)`."""
        pixels = self.images.reshape(len(self.images), -1).astype(dtype)
        pixels /= INK_LEVELS
        return pixels


def load_digits(split: str = "train") -> Digits:
    """Read one part of the images: `train` (800) or `held_out` (200)."""
    with files("rnngraph.sources").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        return Digits(arrays[f"{split}_images"], arrays[f"{split}_digits"])
