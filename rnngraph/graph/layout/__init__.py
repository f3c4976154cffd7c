"""From a `Graph` to positions: a box a vertex, a curve an arrow."""
