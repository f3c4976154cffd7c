"""PyTorch's graph as it is walked and asked: its edges, a vector-Jacobian product, and what comes back."""
