"""Which recurrences ran, read off the graph: their steps, states and weights, resets and masks."""
