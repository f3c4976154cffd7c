"""`python -m rnngraph`, and the command `rnngraph`."""

from rnngraph.cli.stop import leave_quietly


def start() -> None:
    """Run the command line; Ctrl-C is heeded from the first line on, while everything else is still being loaded."""
    leave_quietly()
    from rnngraph.cli.app import main

    main()


if __name__ == "__main__":
    start()
