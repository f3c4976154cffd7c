"""Two networks beside each other.

`side` opens them, `match` pairs their recurrences, `norms` finds where they part, `contrast` is what was found and
`comparison` the way through; `worse` holds one to the other, `sentences` says it.
"""
