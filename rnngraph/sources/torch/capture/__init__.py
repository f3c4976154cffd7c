"""What is put around PyTorch's functions while the model runs, and what is kept: calls, backward passes and hooks."""
