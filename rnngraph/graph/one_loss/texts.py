"""Numbers as the picture writes them: what is left, and what a step keeps."""

from __future__ import annotations

import math


def share_text(decades: float) -> str:
    """Write what is left: 100 %, 29 %, 1.2 %, 0.03 %, 1e-16, 0, or a growth: ×2.7, ×217, ×1e8."""
    if math.isnan(decades):
        return "?"
    if decades == -math.inf:
        return "0"
    if decades >= 3:
        return f"×{_scientific(decades)}"
    share = 10**decades
    if share >= 1.05:
        return f"×{share:.2g}" if share < 99.5 else f"×{share:.0f}"
    if share >= 0.995:
        return "100 %"
    percent = 100 * share
    if percent >= 9.95:
        return f"{percent:.0f} %"
    if percent >= 0.95:
        return f"{percent:.1f} %"
    return f"{percent:.1g} %" if percent >= 0.0095 else _scientific(decades)


def share_words(decades: float) -> str:
    """Say what is left in a sentence."""
    return "nothing" if decades == -math.inf else share_text(decades)


def factor_text(factor: float) -> str:
    """Write what a step keeps: ×0.50, ×1.37, ×130, ×2e-5."""
    if math.isnan(factor):
        return ""
    if factor == 0:
        return "×0"
    if 0.005 <= factor < 9.995:
        return f"×{factor:.2f}"
    return f"×{factor:.0f}" if 1 <= factor < 1000 else f"×{_scientific(math.log10(factor))}"


def _scientific(decades: float) -> str:
    exponent = math.floor(decades + 1e-9)
    mantissa = round(10 ** (decades - exponent))
    return f"1e{exponent + 1}" if mantissa == 10 else f"{mantissa}e{exponent}"
