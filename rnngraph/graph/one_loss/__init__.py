"""The picture that is seen from one loss: which loss, what is left of it, what is folded, and where everything stands.

`choose` picks the loss, `build` makes the graph, `compose` the sheet; `model` is what passes between them.
"""
