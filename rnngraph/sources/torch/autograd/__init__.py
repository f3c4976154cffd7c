"""PyTorch's graph as it is walked and asked: edges, passes, questions, and what comes back."""
