"""The compiled programs that compute what is measured, all of one `step` with taps.

`programs` has them: losses go back `through_scan`. `samples` finds the axis of the samples, and a loss that is
`read_together` is one.
"""
