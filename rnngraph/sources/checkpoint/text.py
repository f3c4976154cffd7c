"""A text as the batch of a character or word model.

In: `--text` and `--vocabulary`. Out: `Data` with tokens, the next token as the target, and a label for every step.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from rnngraph.errors import FileError, InputError, VocabularyError, said
from rnngraph.files import open_to_read
from rnngraph.sources.checkpoint.data import Data

_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\s": " ", "<space>": " ", "<newline>": "\n"}
_TAKEN = 200  # tokens, from the start of the text
_UNKNOWN = ("<unk>", "<UNK>", "[UNK]")


def read_text(path: str | Path, vocabulary: str | Path | None, words: int | None) -> Data:
    """Turn a text into one sequence of tokens, with the next token as the target.

    Args:
        path: a UTF-8 text.
        vocabulary: a file of one token a line; a character model where every line is one character long, else
            a word model. None takes the bytes of the text as tokens.
        words: the size of the model's vocabulary, where it is known.

    Raises:
        FileError: a file cannot be read as text.
        InputError: the text is too short, or it needs a vocabulary.
        VocabularyError: a token is not in the vocabulary.
    """
    text = _decoded(Path(path))
    if vocabulary is None:
        if words is not None and words < 256:
            raise InputError(
                f"the model has {words} tokens and {path} is text; name its tokens with --vocabulary FILE."
            )
        raw = text.encode()[: _TAKEN + 1]
        tokens, labels = list(raw), [chr(byte) if 32 < byte < 127 else f"\\x{byte:02x}" for byte in raw]
    else:
        known = _decoded(Path(vocabulary)).replace("\r\n", "\n").removesuffix("\n").split("\n")
        tokens, labels = _tokens(text, known, _TAKEN + 1, str(path), str(vocabulary))
    if len(tokens) < 2:
        raise InputError(f"{path} holds {len(tokens)} tokens; at least 2 are needed, one to read and one to expect.")
    sequence = np.array([tokens], dtype=np.int64)
    return Data(tokens=sequence[:, :-1], targets=sequence[:, 1:], labels=labels[:-1])


def _tokens(text: str, known: list[str], limit: int, path: str, vocabulary: str) -> tuple[list[int], list[str]]:
    names = [_ESCAPES.get(word, word) for word in known]
    number = {word: place for place, word in reversed(list(enumerate(names)))}
    if names == [""]:
        raise InputError(f"{vocabulary} holds no tokens; give one a line.")
    characters = sum(len(name) == 1 for name in names) > len(names) / 2
    pieces = list(text[:limit]) if characters else text.split()[:limit]
    fallback = next((number[name] for name in _UNKNOWN if name in number), None)
    found = [number.get(piece, fallback) for piece in pieces]
    for place, token in enumerate(found):
        if token is None:
            raise VocabularyError(
                f"{pieces[place]!r}, token {place} of {path}, is not among the {len(names)} of {vocabulary}."
            )
    return [token for token in found if token is not None], [
        piece if piece.strip() else repr(piece) for piece in pieces
    ]


def _decoded(path: Path) -> str:
    file = open_to_read(path, wanted="a UTF-8 text")
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        try:
            return text.read(10_000_000)
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{path} cannot be read as UTF-8 text: {said(error)}.") from None
