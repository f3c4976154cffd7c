"""Which scans of a loss are recurrences over time, and what each step does: read off the operations, nothing is run.

`finder` is the way through, and what it finds is `sites`. It asks where values come from (`flow`), what a step is made
of (`form`), whether it is a chunk of steps (`chunks`), where it keeps or forgets a state (`masks`), which weights and
gate it has (`step_cell`), and how all this is called (`names`).
"""
