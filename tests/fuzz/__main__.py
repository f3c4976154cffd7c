"""Search for an input that breaks the program: `python -m tests.fuzz --minutes 5 --seed 0`.

Every case is made from the seed and its number, so that `--only NUMBER` shows it again; what it was given is kept in a
folder of its own.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before anything counts cores

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

from tests.fuzz.makers import case_of
from tests.fuzz.run import run_alone
from tests.fuzz.search import Found, search


def main() -> int:
    """Search, and say what was tried and what broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10**9, help="stop after so many inputs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, help="show one case again")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where what broke it is kept")
    wanted = parser.parse_args()
    if wanted.only is not None:
        return _again(wanted.seed, wanted.only)
    found = search(wanted.seed, count=wanted.count, minutes=wanted.minutes, jobs=wanted.jobs)
    for failure in found.failures:
        _keep(failure, wanted.seed, wanted.keep)
    _report(found, wanted.seed)
    return 1 if found.failures else 0


def _again(seed: int, number: int) -> int:
    from tests.fuzz.search import good_files

    with good_files() as good:
        case = case_of(seed, number, good)
        outcome, failures = run_alone(case)
    print(shlex.join(("rnngraph", *case.arguments))[:3000])
    print(ascii(outcome.stdout[:3000]), outcome.stderr[:6000].encode("ascii", "backslashreplace").decode(), sep="\n")
    print(
        f"status {outcome.status}, {outcome.seconds:.2f} s, {outcome.memory / 2**20:.0f} MB: {failures or 'no failure'}"
    )
    return 1 if failures else 0


def _keep(failure: dict[str, object], seed: int, folder: Path) -> None:
    from tests.fuzz.search import good_files

    place = folder / f"{seed}-{failure['number']}"
    place.mkdir(parents=True, exist_ok=True)
    with good_files() as good:
        case = case_of(seed, int(str(failure["number"])), good)
    case.write(place)
    (place / "command.json").write_text(json.dumps({"arguments": case.arguments, **failure}, indent=1))
    print(f"{place}: {failure['failures']}: rnngraph {shlex.join(case.arguments)[:300]!r}", file=sys.stderr)


def _report(found: Found, seed: int) -> None:
    total = sum(found.tried.values())
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(found.tried.items()))
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items()))
    print(f"seed {seed}: {total} inputs in {found.seconds:.0f} s ({kinds}); status {statuses}; "
          f"{len(found.failures)} failures")  # fmt: skip


if __name__ == "__main__":
    tempfile.tempdir = os.environ.get("FUZZ_FOLDER")
    sys.exit(main())
