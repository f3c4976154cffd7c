"""The picture that is seen from one loss: what is left of it, what is folded, and where everything stands.

`appearance` gathers what is known, `build` makes the graph, `compose` the sheet; `view` is what passes between them.
"""
