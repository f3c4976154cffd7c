"""From a trace to a `Graph`: rows, columns, boxes and arrows, with no position and no colour."""
