"""Many traces, seen beside each other: what a training did to the reach, and what tells two networks apart.

`measurement` takes from one trace the few numbers and curves that are compared. `folder` reads a folder of them,
`course` is what they are in a row and what that says, `trend` tells where it leads; `training` is the way through.
`compare` sets two networks beside each other. `front` has the public functions.
"""
