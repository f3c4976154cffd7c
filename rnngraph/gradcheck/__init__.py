"""The gradient check: claimed gradients against central differences, for tapes, hand-written pairs and single ops.

`front` is the door. Whatever is checked is a `Subject`; `slopes` makes a row of each argument. A `Replay` of what was
recorded gives the right gradients, and those of a backward that hands something else back on some edges: `locate`
names the guess, from the table in `guesses`, that makes what was claimed; else `where` says where it is wrong. Nothing
that is checked is changed.
"""
