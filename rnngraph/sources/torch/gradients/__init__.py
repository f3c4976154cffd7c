"""The gradients of states and weights by step, with all that a trace shows of them, and how far they can be trusted."""
