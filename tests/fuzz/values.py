"""Mutations of single things: bytes, numbers, texts, and trees as JSON has them."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.hostile import HOSTILE

NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 7, 255, 256, 2**31 - 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0,
    1e-320, 1e300, -3e300, float("nan"), float("inf"), float("-inf"), 1e16, True, False,
)  # fmt: skip


def text(random: Random) -> str:
    """Choose a text that somebody could have meant badly."""
    return random.choice(list(HOSTILE.values()))


def scalar(random: Random) -> Any:
    """Choose anything that JSON can hold at one place."""
    return random.choice([None, *NUMBERS, text(random), [], {}, [[]], "nan", "all", {"array": "header"}])


def mutate_bytes(random: Random, data: bytes) -> bytes:
    """Damage bytes: flip, cut, insert, repeat, overwrite with what counts as large."""
    kind = random.randrange(7)
    changed = bytearray(data)
    place = random.randrange(len(data) + 1)
    length = min(len(data) - place, random.choice([1, 2, 4, 8, 64, 1000]))
    if kind == 0 and changed:
        for _ in range(random.choice([1, 1, 2, 8, 64])):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    elif kind == 1:
        del changed[place:]
    elif kind == 2:
        del changed[place : place + length]
    elif kind == 3:
        changed[place:place] = random.randbytes(random.choice([1, 4, 100]))
    elif kind == 4:
        changed[place:place] = changed[place : place + length]
    elif kind == 5:
        changed[place : place + length] = random.choice([b"\xff", b"\0", b"\x80", b"\x7f"]) * length
    else:
        changed[:0] = random.choice(
            [b"PK\x03\x04", b"\x80\x02", b"\x93NUMPY\x01\0", b"\x89HDF\r\n\x1a\n", b"\xef\xbb\xbf"]
        )
    return bytes(changed)


def mutate_tree(random: Random, tree: Any) -> Any:
    """Change one place of a tree of lists and tables."""
    if isinstance(tree, dict) and tree and random.random() < 0.85:
        key = random.choice(list(tree))
        kind = random.randrange(8)
        if kind == 0:
            return {name: one for name, one in tree.items() if name != key}
        if kind == 1:
            return {**tree, text(random): tree[key]}
        if kind == 2:
            return {(text(random) if name == key else name): one for name, one in tree.items()}
        return {**tree, key: mutate_tree(random, tree[key])}
    if isinstance(tree, list) and tree and random.random() < 0.85:
        place = random.randrange(len(tree))
        kind = random.randrange(8)
        if kind == 0:
            return tree[:place] + tree[place + 1 :]
        if kind == 1:
            return tree[:place] + [tree[place]] * random.choice([2, 3, 50]) + tree[place + 1 :]
        if kind == 2:
            return tree[::-1]
        return [*tree[:place], mutate_tree(random, tree[place]), *tree[place + 1 :]]
    return scalar(random)


def deep(levels: int) -> str:
    """Write JSON that is nested as deep as this."""
    return "[" * levels + "]" * levels
