"""Many traces, seen beside each other: what a training did to the reach, and what tells two networks apart.

`measurement` takes from one trace the few numbers and curves that are compared. `folder` reads a folder of them,
`history` puts them in a row, and `trend` says where the row leads. `compare` sets two beside each other.
"""
