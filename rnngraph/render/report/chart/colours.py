"""The colours of charts with a dark side: each light colour, and what it becomes on a dark page."""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.graph.style.palette import Colour, Scale

PAPER, INK, MUTED, LINE, GRID, SHADE = "#ffffff", "#0f172a", "#526077", "#8a97a8", "#e2e8f0", "#f6f8fb"
DARK = {PAPER: "#0d1117", INK: "#f0f4f9", MUTED: "#a7b3c4", LINE: "#74839a", GRID: "#222b38", SHADE: "#131a24"}
# How much of a gradient is left, from little to all: pale to strong on either paper.
STRENGTH: tuple[Colour, ...] = ((0xB9, 0xCD, 0xE8), (0x5B, 0x8F, 0xD6), (0x25, 0x63, 0xB8), (0x0B, 0x2F, 0x6B))
STRENGTH_DARK: tuple[Colour, ...] = ((0x2C, 0x4D, 0x78), (0x3D, 0x86, 0xDC), (0x7D, 0xB8, 0xFB), (0xD6, 0xE9, 0xFF))
A_OF_TWO, B_OF_TWO = "#c2560c", "#0b2f6b"
DARK_TWO = {A_OF_TWO: "#e8792f", B_OF_TWO: "#7db8fb"}


def ramp(count: int) -> Sequence[tuple[str, str]]:
    """Give as many colours from pale to strong, each with its dark counterpart; a single one is strong."""
    light, dark = Scale(0.0, 1.0, STRENGTH), Scale(0.0, 1.0, STRENGTH_DARK)
    places = [place / (count - 1) for place in range(count)] if count > 1 else [1.0]
    return [(light.colour(place), dark.colour(place)) for place in places]
