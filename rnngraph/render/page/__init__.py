"""The parts of the interactive page: its data, taken from a trace, and its HTML, CSS and JavaScript."""
