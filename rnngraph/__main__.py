"""`python -m rnngraph`, and the command `rnngraph`."""

import os

from rnngraph.cli.stop import leave_quietly

# NumPy's BLAS reads it when it is loaded. Steps are small products, over which threads only wait for each other: they
# take two to three times as long. Whoever sets one of these variables has the last word.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def start() -> None:
    """Run the command line; Ctrl-C is heeded from the first line on, while everything else is still being loaded."""
    leave_quietly()
    if not any(name in os.environ for name in THREADS):
        os.environ[THREADS[0]] = "1"
    from rnngraph.cli.app import main

    main()


if __name__ == "__main__":
    start()
