"""Names that are not known: the one that a misspelt one was meant to be, and the sentence that refuses it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from rnngraph.errors import InputError

_ALIKE = 0.6  # of the letters
_LONGEST = 60  # what is longer is no slip of the hand


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Find the name that is most like a word, in any case of its letters; None where none is near."""
    names = list(dict.fromkeys(known))
    if len(word) > _LONGEST:
        return None
    lower = {name.lower().replace("_", "-"): name for name in reversed(names)}
    found = get_close_matches(word.lower().replace("_", "-"), lower, n=1, cutoff=_ALIKE)
    return lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Ask for the nearest name, as the second half of a sentence; nothing where none is near."""
    found = nearest(word, known)
    return f"; did you mean {found}?" if found is not None else ""


def check_known(names: Iterable[str], known: Iterable[str], sentence: str) -> None:
    """Refuse the first name that is not known; `{}` in the sentence is its place, and the known ones stand behind it.

    Raises:
        InputError: there is one.
    """
    known = list(known)
    for name in names:
        if name not in known:
            meant = did_you_mean(str(name), known) or "."
            raise InputError(f"{sentence.replace('{}', repr(name))} {', '.join(known)}{meant}")
