"""Two networks beside each other.

`side` opens them, `match` pairs their recurrences, `norms_apart` finds where they part, `contrast` is what was found
and says it, `comparison` the way through; `worse` holds one to the other.
"""
