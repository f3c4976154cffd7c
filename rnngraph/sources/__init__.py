"""Where a Trace comes from: the demo, a user's Python, a checkpoint, a PyTorch model."""
