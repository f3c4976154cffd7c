"""The compiled programs that compute what is measured, all of one `step` with taps.

`programs` has them: whole losses go back `through_scan`, single ones by `row_walk`. `samples` finds the axis of the
samples, and a loss that is `read_together` is one.
"""
