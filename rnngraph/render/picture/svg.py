"""Write a sheet as an SVG document: no other program is asked, so that it can say what it shows and be light and dark.

In: a sheet. Out: text. Every coloured thing has its light colour as an attribute; where the theme is left to the
reader, one style sheet puts the dark ones over them. What has a hint is a group with a title, which a pointer or a
screen reader finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from rnngraph.graph.layout.geometry import Point, one_line
from rnngraph.graph.sheet import Curve, Shape, Sheet
from rnngraph.graph.style.left import colour

# All but the last have the same widths, on every system; the last may be as wide as the layout reckons.
FONT = "Helvetica,Arial,'Liberation Sans','Nimbus Sans',Roboto,sans-serif"
BASELINE = 0.35  # of the font size, from the middle of a line down to its baseline
_ANCHORS = {"left": "start", "middle": "middle", "right": "end"}
_DASHES = {"solid": "", "dashed": "4 3", "dotted": "2 3"}


def svg(sheet: Sheet) -> str:
    """Return a sheet as an SVG document."""
    return "\n".join(_Writer(sheet).lines()) + "\n"


class _Writer:
    """Knows the frame and the theme."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet, self.left, self.top = sheet, sheet.frame.left, sheet.frame.top
        self.dark, self.both = sheet.theme == "dark", sheet.theme == "auto"
        self.paints: set[tuple[str, str]] = set()  # what the dark style sheet must know

    def lines(self) -> Iterator[str]:
        sheet, frame = self.sheet, self.sheet.frame
        body = [*map(self._shape, sheet.shapes), *map(self._curve, sheet.curves)]
        width, height = plain(frame.width), plain(frame.height)
        paper = f'<rect width="{width}" height="{height}"{self._paint("fill", "paper")}/>'
        yield '<?xml version="1.0" encoding="UTF-8"?>'
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="rnngraph" viewBox="0 0 {width} {height}" '
            f'width="{width}px" height="{height}px" role="img" font-family="{FONT}">'
        )
        yield f"<title>{_text(sheet.title)}</title>"
        yield f"<desc>{_text(sheet.description)}</desc>"
        yield from self._style()
        yield paper
        yield from body
        yield "</svg>"

    def _style(self) -> Iterator[str]:
        if self.both:
            rules = "".join(
                f".rnngraph .{attribute[0]}-{name}{{{attribute}:{colour(name, dark=True)}}}"
                for attribute, name in sorted(self.paints)
            )
            yield f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"

    def _paint(self, *pairs: str) -> str:
        """Write fill and stroke, given as attribute, colour, attribute, colour."""
        found, classes = "", []
        for attribute, name in zip(pairs[::2], pairs[1::2], strict=True):
            if not name:
                found += f' {attribute}="none"' if attribute == "fill" else ""
                continue
            found += f' {attribute}="{colour(name, dark=self.dark)}"'
            if self.both:
                classes.append(f"{attribute[0]}-{name}")
                self.paints.add((attribute, name))
        return (f' class="{" ".join(classes)}"' if classes else "") + found

    def _shape(self, shape: Shape) -> str:
        box = shape.box
        parts = [] if shape.form == "text" else [self._form(shape)]
        lines = shape.text.split("\n") if shape.text else []
        at = {"left": box.left, "middle": box.x, "right": box.right}[shape.align]
        for number, line in enumerate(lines):
            y = box.y + (number - (len(lines) - 1) / 2) * shape.leading * shape.size
            parts.append(self._line(line, (at, y), shape.size, shape.ink, _ANCHORS[shape.align], bold=shape.bold,
                                    halo=shape.halo))  # fmt: skip
        kind = f' class="{shape.role}"' if shape.role == "vertex" else ""
        hint = f"<title>{_text(shape.hint)}</title>" if shape.hint else ""
        return f"<g{kind}>{hint}{''.join(parts)}</g>" if hint or kind else "".join(parts)

    def _form(self, shape: Shape) -> str:
        box, line = shape.box, f' stroke-width="{plain(shape.thickness)}"{_dashes(shape.line)}'
        paint = self._paint("fill", shape.fill, "stroke", shape.stroke if shape.thickness else "")
        line = line if shape.stroke and shape.thickness else ""
        x, y = self._at((box.left, box.top))
        if shape.form == "ellipse":
            x, y = self._at((box.x, box.y))
            return f'<ellipse cx="{x}" cy="{y}" rx="{plain(box.width / 2)}" ry="{plain(box.height / 2)}"{paint}{line}/>'
        corner = ' rx="6"' if shape.form == "box" else ""
        return f'<rect x="{x}" y="{y}" width="{plain(box.width)}" height="{plain(box.height)}"{corner}{paint}{line}/>'

    def _line(self, line: str, at: Point, size: float, ink: str, anchor: str, *, bold: bool, halo: bool) -> str:
        x, y = self._at((at[0], at[1] + BASELINE * size))
        weight = ' font-weight="700"' if bold else ""
        around = ' paint-order="stroke" stroke-width="4" stroke-linejoin="round"' if halo else ""
        paint = self._paint("fill", ink, "stroke", "paper" if halo else "")
        return (
            f'<text x="{x}" y="{y}" font-size="{plain(size)}" text-anchor="{anchor}"{weight}{paint}{around}>'
            f"{_text(line)}</text>"
        )

    def _curve(self, curve: Curve) -> str:
        points, head = curve.points, ""
        if curve.head != "none":
            points, head = self._head(curve)
        chain = [self._pair(point) for point in points]
        if curve.kind == "line":  # every piece is straight
            pieces = " ".join(f"L{point}" for point in chain[3::3])
        else:
            pieces = " ".join(f"C{' '.join(chain[at : at + 3])}" for at in range(1, len(chain), 3))
        line = f' stroke-width="{plain(curve.thickness)}"{_dashes(curve.line)}'
        text = ""
        if curve.text:
            text = self._line(
                curve.text, curve.text_at, curve.text_size, curve.ink, "middle", bold=curve.bold, halo=True
            )
        path = f'<path d="M{chain[0]} {pieces}"{self._paint("fill", "", "stroke", curve.stroke)}{line}/>'
        hint = f"<title>{_text(curve.hint)}</title>" if curve.hint else ""
        return f'<g class="{curve.kind}">{hint}{path}{head}{text}</g>'

    def _head(self, curve: Curve) -> tuple[tuple[Point, ...], str]:
        """Return the line up to the arrow head, and the head."""
        length, half = curve.head_length, curve.head_length * 0.36 + curve.thickness / 2
        (x, y), (a, b) = curve.points[-1], curve.points[-2]
        far = ((x - a) ** 2 + (y - b) ** 2) ** 0.5 or 1.0
        u, v = (a - x) / far, (b - y) / far
        corners = ((x, y), *((x + u * length + s * v * half, y + v * length - s * u * half) for s in (1, -1)))
        fill = "paper" if curve.head == "hollow" else curve.stroke
        paint = self._paint("fill", fill, "stroke", curve.stroke if curve.head == "hollow" else "")
        base = x + u * length * 0.8, y + v * length * 0.8
        shown = " ".join(self._pair(corner) for corner in corners)
        return (*curve.points[:-1], base), f'<polygon points="{shown}"{paint}/>'

    def _at(self, point: Point) -> tuple[str, str]:
        return plain(point[0] - self.left), plain(point[1] - self.top)

    def _pair(self, point: Point) -> str:
        return ",".join(self._at(point))


def _dashes(line: str) -> str:
    return f' stroke-dasharray="{_DASHES[line]}"' if line != "solid" else ""


def _text(text: str) -> str:
    return escape(text if text.isprintable() else one_line(text), quote=False)


def plain(value: float) -> str:
    """Write a length, at most two digits behind the point."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
