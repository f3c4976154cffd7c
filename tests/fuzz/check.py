"""What must hold of every run, whatever it was given."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.hostile import obeyed

DOCUMENTED = {0, 1, 2, 3, 4}
MOST_SECONDS, MOST_BYTES = 20.0, 2**30
VERDICTS = ("check", "diagnose")  # the commands whose status 1 is an answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    status: int
    stdout: str
    stderr: str
    seconds: float  # of CPU
    memory: int  # bytes, at most
    appeared: tuple[str, ...] = ()  # files that were not there before
    changed: tuple[str, ...] = ()  # files that were, and are different


def failures(outcome: Outcome, arguments: tuple[str, ...], output: str | None) -> list[str]:
    """Name the properties that a run breaks."""
    found = []
    command = arguments[0] if arguments else ""
    if "Traceback (most recent call last)" in outcome.stderr.replace(
        "Traceback (most recent call last; your own code only)", ""
    ):
        found.append("a traceback")
    if outcome.status not in DOCUMENTED or (outcome.status == 1 and command not in VERDICTS):
        found.append(f"status {outcome.status}")
    complaints = [line for line in outcome.stderr.splitlines() if line.startswith("rnngraph: ")]
    if outcome.status >= 2 and (len(complaints) != 1 or outcome.stderr.splitlines()[-1:] != complaints):
        found.append(f"{len(complaints)} sentences")
    own = "your own code only" in outcome.stderr  # who raises our errors writes the sentence
    if complaints and not own and not complaints[-1].endswith((".", "!", "?")):
        found.append("a sentence without an end")
    if "allow_pickle" in outcome.stderr or "weights_only" in outcome.stderr:
        found.append("advice to trust the file")
    if output is None and "-" not in arguments:
        found += [f"{name} on {stream}" for stream, text in (("stdout", outcome.stdout), ("stderr", outcome.stderr))
                  for name in sorted(map(ascii, obeyed(text)))]  # fmt: skip
    if "--json" in arguments and outcome.status in (0, 1) and not _is_strict_json(outcome.stdout):
        found.append("JSON that is none")
    if outcome.seconds > MOST_SECONDS:
        found.append(f"{outcome.seconds:.0f} s of CPU")
    if outcome.memory > MOST_BYTES:
        found.append(f"{outcome.memory / 2**20:.0f} MB")
    found += [f"a file {name!r} beside the output" for name in outcome.appeared if name != output]
    found += [f"{name!r} changed" for name in outcome.changed if name != output]
    if outcome.status >= 2 and output in outcome.appeared:
        found.append("an output although it failed")
    return found


def _is_strict_json(text: str) -> bool:
    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True
