"""Strings that somebody could have put into a file to harm who reads it: the one table for every test that needs them.

`TERMINAL` holds what a terminal would obey, `MARKUP` what a browser, Graphviz, Mermaid or Rich would, `AWKWARD` what is
merely too long, empty or without a width. A script among them calls `alert`, which a browser under test reports.
"""

from __future__ import annotations

import unicodedata

TERMINAL = {
    "colour": "\x1b[31mred",
    "cursor": "\x1b[2J\x1b[H\x1b[?1049h",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "link": "\x1b]8;;http://example.invalid\x1b\\click\x1b]8;;\x1b\\",
    "device": '\x1bP$q"p\x1b\\\x1b[c',
    "one byte escape": "\x9b31m\x9d0;owned\x9c",
    "null": "a\0b",
    "bell": "\a\a",
    "backspace": "healthy\b\b\b\b\b\b\bdead   ",
    "carriage return": "exploding\rhealthy  ",
    "line": "a\nVerdict: healthy",
    "vertical tab": "a\v\fb",
    "delete": "a\x7fb",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066a\u2069\u2067b",
    "arabic mark": "\u061ca",
    "zero width": "a\u200bb\u2060c\ufeff",
    "line separator": "a\u2028b\u2029c",
    "soft hyphen": "a\u00adb",
    "tag": "a\U000e0041\U000e0042",
    "surrogate": "a\ud800b",
    "no character": "a\uffff\ufffeb",
}
MARKUP = {
    "script": "<script>alert(1)</script>",
    "end of script": "</script><script>alert(1)</script>",
    "comment": "<!--<script>alert(1)",
    "image": '<img src=x onerror="alert(1)">',
    "svg": "<svg onload=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x="',
    "single quote": "' onfocus='alert(1)' autofocus='",
    "address": "javascript:alert(1)",
    "style": "</style><style>*{background:url(http://example.invalid/x)}",
    "end of data": "]]><script>alert(1)</script>",
    "entity": "&lt;script&gt;&#x3c;script&#x3e;alert(1)&bogus;",
    "template": "${alert(1)} {{constructor.constructor('alert(1)')()}}",
    "dot": '"]; evil [label="x" URL="javascript:alert(1)"]; a [x="',
    "dot escape": "\\N \\G \\L \\",
    "dot html": "<b>bold</b>",
    "dot port": "a:b:c",
    "mermaid": '"] ; click a "javascript:alert(1)" \n evil["x',
    "rich": "[bold red]x[/] [link=http://example.invalid]y[/link] [/nothing]",
    "format": "%s%n{0.__class__}{x!r}",
    "json": '"},"verdict":"healthy","x":{"y":"',
    "shell": "$(touch canary) `touch canary` ; touch canary",
    "path": "../../../../tmp/canary",
}
AWKWARD = {
    "empty": "",
    "spaces": "   ",
    "tab": "a\tb",
    "long": "a" * 20_000,
    "long and wide": "漢" * 6_000,
    "ampersands": "&" * 17_000,
    "stacked marks": "a" + "\u0301" * 6_000,
    "family": "👩\u200d👩\u200d👧",
    "option": "--force",
    "minus": "-",
}
HOSTILE = TERMINAL | MARKUP | AWKWARD
_ALONE = ("null", "line", "surrogate", "no character")  # which change what becomes of a whole text


def signs_in_company() -> dict[str, str]:
    """Join the signs that a terminal would obey, few enough at a time that no label cuts one off.

    It is for pictures, to which a sequence of them says no more than each of them.
    """
    signs = sorted({sign for key, text in TERMINAL.items() if key not in _ALONE for sign in obeyed(text)})
    rows = ["".join(signs[at : at + 4]) for at in range(0, len(signs), 4)]
    return {ascii(row): row for row in rows} | {key: TERMINAL[key] for key in _ALONE}


def in_company(strings: dict[str, str]) -> dict[str, str]:
    """Join what a terminal would obey, four at a time, so that one run answers for all of them.

    It is for text that nothing cuts: a label of a picture would end before the second.
    """
    joined = [key for key in TERMINAL if key not in _ALONE]
    rows = [joined[at : at + 4] for at in range(0, len(joined), 4)]
    others = {key: text for key, text in strings.items() if key not in joined}
    return {", ".join(row): "".join(TERMINAL[key] for key in row) for row in rows} | others


def obeyed(text: str, *, lines: bool = True) -> set[str]:
    """Find what a terminal would obey: controls, marks of direction, separators; with `lines`, but line ends and tabs.

    Written by Unicode's categories, and not as the package does it.
    """
    allowed = "\n\t" if lines else ""
    return {
        sign
        for sign in set(text)
        if sign not in allowed
        and sign not in "\u200c\u200d"
        and unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"}
    }
