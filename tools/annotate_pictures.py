"""Draw the pictures of the pages: those of the gallery with a number on each kind of mark, and those of two trainings.

In: pictures in `examples/gallery`, and `examples/two_trainings.py`. Out: `docs/pictures`.
"""

from __future__ import annotations

import re
import shutil
from contextlib import chdir
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import rnngraph as rg
from examples.gallery import demo
from examples.two_trainings import LATE, SYMBOLS, UNITS, Training
from rnngraph.graph.charts.lags_chart import lag_sheet
from rnngraph.render.picture.charts import chart_bytes

ROOT = Path(__file__).parent.parent
RADIUS = 9
AS_THEY_ARE = ("sum-over-all",)
# By picture: the text that a number stands at, and how far from it, in pixels.
NUMBERS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "dies": (
        (r"The gradient", -10, -7),
        (r"Why:", -10, -5),
        (r"Seen from", -10, -4),
        (r"L", 26, -4),
        (r"100 %", 36, -4),
        (r"×0\.55", 0, 14),
        (r"◂.*credit", 200, -4),
        (r"50 steps", 0, 18),
        (r"lag 59", -38, -10),
        (r"this loss alone", -10, -4),
        (r"all 60 losses", -10, -4),
        (r"gradient left:", -10, -4),
    ),
    "three-layers": ((r"layer 2", -10, -4), (r"◂.*credit", 178, -4), (r"100 %", 34, 30)),
    "encoder-decoder": ((r"encoder h", -10, -16), (r"handover", 0, -16), (r"decoder h", -10, -16)),
    "lag-map": (
        (r"at the input", -10, -4),
        (r"which step", -10, -4),
        (r"loss at step", 190, 14),
        (r"1 % left", -128, -4),
        (r"how much", -10, -4),
        (r"1 %$", 40, -4),
        (r"this loss", 112, -4),
        (r"smaller than", -218, -4),
    ),
    "both-ways": ((r"◂.*credit", -140, -4), (r"100 %", 36, -4), (r"reverse.*▸", 140, -4)),
}
_TEXT = re.compile(r'<text x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"[^>]*>(?P<text>[^<]*)')


def annotated(svg: str, marks: tuple[tuple[str, float, float], ...]) -> str:
    """Put a number at the first text that each pattern begins.

    Raises:
        ValueError: the picture has no such text.
    """
    texts = list(_TEXT.finditer(svg))
    circles = []
    for number, (pattern, right, down) in enumerate(marks, start=1):
        found = next((one for one in texts if re.match(pattern, one["text"])), None)
        if found is None:
            raise ValueError(f"no text begins with {pattern!r}")
        x, y = max(float(found["x"]) + right, RADIUS + 1), float(found["y"]) + down
        circles.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{RADIUS}" fill="#b42318" stroke="#ffffff"/>'
            f'<text x="{x:g}" y="{y + 4:g}" font-size="11" font-weight="700" text-anchor="middle" fill="#ffffff">'
            f"{number}</text>"
        )
    return svg.replace("</svg>", f'<g font-family="sans-serif">{"".join(circles)}</g></svg>')


def main() -> None:
    """Draw them all."""
    gallery = ROOT / "examples" / "gallery"
    (gallery / "lag-map.svg").write_bytes(chart_bytes(partial(lag_sheet, demo(timesteps=60)), "svg"))
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    for name in AS_THEY_ARE:
        shutil.copy(gallery / f"{name}.svg", folder)
    for name, marks in NUMBERS.items():
        svg = (gallery / f"{name}.svg").read_text(encoding="utf-8")
        (folder / f"{name}.svg").write_text(annotated(svg, marks), encoding="utf-8")
        print("wrote", folder / f"{name}.svg")
    draw_trainings(folder)


def draw_trainings(folder: Path) -> None:
    """Train the two networks that the page on trainings shows, and draw what became of them."""
    with TemporaryDirectory() as away, chdir(away):
        tanh, gru = Path("runs/tanh"), Path("runs/gru")
        Training(rg.nn.RNN(SYMBOLS, UNITS), tanh).until(LATE)
        Training(rg.nn.GRU(SYMBOLS, UNITS), gru).until(LATE)
        rg.render(rg.history(tanh), folder / "history.svg")
        rg.render(rg.compare(tanh, gru), folder / "compare.svg")


if __name__ == "__main__":
    main()
