"""A lag matrix as a small PNG, one pixel an entry, so that a matrix of hundreds of steps stays a small file.

In come log10 norms and a scale, out come the bytes of the file.
"""

from __future__ import annotations

import struct
import zlib
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnngraph.graph.style.palette import Scale
from rnngraph.trace.magnitudes import Floats, Integers

Pixels: TypeAlias = NDArray[np.uint8]
_ZERO, _NOTHING = (90, 120, 200, 255), (0, 0, 0, 0)


def matrix_png(matrix: Floats, losses: Integers, scale: Scale, *, most: int) -> bytes:
    """Draw a matrix (S, columns) of the given loss steps (S,), the last on top, in at least `most` rows if it can."""
    return _png(_pixels(matrix[_rows(losses, most)], scale))


def _rows(losses: Integers, most: int) -> Integers:
    """Choose the rows from the last loss down to the first, so that their heights are true to time."""
    span = int(losses[-1] - losses[0])
    wanted = np.linspace(losses[-1], losses[0], min(span + 1, max(most, len(losses))))
    nearest: Integers = np.abs(losses[:, None] - wanted).argmin(axis=0)
    return nearest


def _pixels(matrix: Floats, scale: Scale) -> Pixels:
    """Colour a matrix, (rows, columns, 4)."""
    levels = [scale.colour(scale.low + (scale.high - scale.low) * step / 255) for step in range(256)]
    table = np.array([[int(one[k : k + 2], 16) for k in (1, 3, 5)] + [255] for one in levels], dtype=np.uint8)
    share = np.clip(
        (np.nan_to_num(matrix, posinf=scale.high, neginf=scale.low) - scale.low) / (scale.high - scale.low), 0, 1
    )
    pixels: Pixels = table[np.round(share * 255).astype(int)]
    pixels[np.isnan(matrix)] = _NOTHING
    pixels[matrix == -np.inf] = _ZERO
    return pixels


def _png(pixels: Pixels) -> bytes:
    """Encode (rows, columns, 4) bytes of red, green, blue and opacity as a PNG."""
    rows, columns, _ = pixels.shape
    filtered = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(filtered.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
