"""`python -m rnngraph`: the same as the command `rnngraph`."""

from rnngraph.cli.app import main

if __name__ == "__main__":
    main()
