"""Many traces, seen beside each other: what a training did to the reach, and what tells two networks apart.

`measurement` takes from one trace the few numbers and curves that are compared. `folder` reads a folder of them,
`course` puts them in a row and says what it means, `trend` tells where it leads.
`compare` sets two networks beside each other. `front` has the public functions.
"""
