"""Two networks beside each other: `side` opens them, `match` pairs their recurrences, `norms` finds where they part,
`comparison` gathers it all, `worse` holds one to the other, `sentences` says it.
"""  # noqa: D205
