"""Find recurrences on a tape that knows none: `chains` by their weights, `ways` by steps that repeat.

`carried` finds their states, `recurrences` says which there are, and `placing` puts every node at its timestep and
declares the states. numpy.md of the docs says the rules in words.
"""
