"""Write the demo's images, `rnngraph/sources/digits.npz`, from the copy of the UCI digits in scikit-learn.

Needs scikit-learn, which the package does not. For every digit it takes the first 80 images to train on and
the last 20 to hold out: the set lists its writers one after another, so the held-out images come from other
hands. The digits alternate (0, 1, … 9, 0, …), so that any first few images are balanced too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped, import-not-found, unused-ignore]

TRAIN, HELD_OUT = 80, 20
TARGET = Path(__file__).parent.parent / "rnngraph" / "sources" / "digits.npz"


def main() -> None:
    """Write the file; the same version of the set gives the same bytes."""
    images, digits = load_digits(return_X_y=True)
    of_digit = [np.flatnonzero(digits == digit) for digit in range(10)]
    train = np.stack([rows[:TRAIN] for rows in of_digit], axis=1).ravel()
    held_out = np.stack([rows[-HELD_OUT:] for rows in of_digit], axis=1).ravel()
    np.savez_compressed(
        TARGET,
        train_images=images[train].reshape(-1, 8, 8).astype(np.uint8),
        train_digits=digits[train].astype(np.uint8),
        held_out_images=images[held_out].reshape(-1, 8, 8).astype(np.uint8),
        held_out_digits=digits[held_out].astype(np.uint8),
    )
    print(f"{TARGET}: {len(train)} + {len(held_out)} images, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
