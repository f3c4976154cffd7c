"""Python files whose functions raise, return, print and change what nobody expects; each is run in its own process."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.fuzz.case import Case, reader
from tests.fuzz.values import text

LOSS = """
from rnngraph import Tape, nn
import numpy as np
def loss(seed=0):
    tape = Tape()
    layer = nn.RNN(3, 4, seed=seed, name={name!r})
    return layer(tape.input(np.ones((2, 5, 3)), {name!r})).sum()
"""
BODIES = (
    "raise KeyError({text!r})",
    "raise BaseException({text!r})",
    "raise GeneratorExit",
    "raise SystemExit({text!r})",
    "raise MemoryError",
    "raise RecursionError",
    "raise BrokenPipeError",
    "raise OSError(5, {text!r}, {text!r})",
    "raise UnicodeDecodeError('utf-8', b'a', 0, 1, {text!r})",
    "class Mute(Exception):\n        def __str__(self): raise Mute\n    raise Mute",
    "class Mute(BaseException):\n        def __str__(self): return 3\n    raise Mute",
    "raise type({text!r}.replace(chr(0), '') or 'E', (Exception,), {{}})('x')",
    "import rnngraph; raise rnngraph.RnnGraphError({text!r})",
    "import rnngraph.errors; raise rnngraph.errors.FileError({text!r})",
    "raise ExceptionGroup({text!r}, [ValueError({text!r})])",
    "def deeper(): return deeper()\n    return deeper()",
    "return {text!r}",
    "return None",
    "return [1] * 3",
    "return (lambda: 0)",
    "return type('T', (), {{'__class__': property(lambda self: 1 / 0)}})()",
    "import os; os.chdir('/'); from rnngraph import Tape; t = Tape(); return t.input([[1.0]], 'x').sum()",
    "import os; os.write(1, b'noise'); print('noise'); return loss()",
    "import sys; sys.stdout.close(); return loss()",
    "import sys; sys.stdout = sys.stderr = None; return loss()",
    "import warnings; warnings.warn({text!r}); return loss()",
    "import sys; sys.setrecursionlimit(200); return loss()",
    "return loss()",
)
FILES = (b"", b"\0", b"def f(:\n", b"\xff\xfe", b"# coding: nonsense\n", b"import nothing_of_this_name", b"f = 3",
         b"raise BaseException", b"import sys; sys.exit(3)", b"\xef\xbb\xbfdef f(): return None",
         b"def f(x: " + b"(" * 500 + b"): pass",
         b"class f:\n    def __init__(self): raise OSError(2, 'x', 'y')")  # fmt: skip


def make(random: Random, good: Path) -> Case:
    """Write a file with a strange function, or a strange file."""
    if random.random() < 0.3:
        code = random.choice(FILES)
    else:
        body = random.choice(BODIES).format(text=text(random)[:5000])
        code = (LOSS.format(name=text(random)[:300]) + f"def f():\n    {body}\n").encode("utf-8", "replace")
    arguments, output = reader(random, random.choice(["t.py:f", "t.py:f", "t.py:loss", "t:f", "t.py:g", "t.py:f.g"]))
    if random.random() < 0.2:
        arguments, output = ("check", "t.py:f", "--directions", "1"), None
    extra: tuple[str, ...] = ()
    if random.random() < 0.2:
        extra = ("--set", f"seed={text(random)[:200]}".replace("\0", ""))
    extra = tuple(one.encode("utf-8", "replace").decode() for one in extra)
    return Case("targets", (*arguments, *extra), {"t.py": code}, whole=True, output=output)
