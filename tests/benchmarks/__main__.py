"""What it costs, in one table with the goal beside each row: `python -m tests.benchmarks [--json] [--only TEXT]`.

Medians of ratios of two things that are timed in turn in one run, with one BLAS thread; nothing fails on a time.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from itertools import chain

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.benchmarks import jax_watch, lag_matrices, remedies, torch_monitor, traced_pass, whole_programs
from tests.benchmarks.timing import one_thread


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name holds this text")
    options = parser.parse_args()
    one_thread()
    tables = (traced_pass, lag_matrices, remedies, torch_monitor, whole_programs, jax_watch)
    rows = [one for one in chain(*(table.rows() for table in tables)) if options.only in one.name]
    table = Table("what", "goal ≤", "median", "lowest", "highest", "")
    measured = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for row in progress.track(rows, description="measuring"):
            values = row.measure()
            found = statistics.median(values)
            measured.append({"what": row.name, "goal": row.goal, "value": None if math.isnan(found) else found})
            judged = "not measured" if math.isnan(found) else "reached" if found <= row.goal else "not reached"
            table.add_row(row.name, f"{row.goal:g}", f"{found:.3g}", f"{min(values):.3g}", f"{max(values):.3g}", judged)
    if options.json:
        print(json.dumps(measured, indent=2))
    else:
        Console().print(table)


if __name__ == "__main__":
    main()
