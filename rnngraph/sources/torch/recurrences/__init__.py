"""Which recurrences ran, read off the graph: their steps, states, weights, and what they are fed."""
