"""What is kept while the model runs: its calls, and what is put around PyTorch's functions meanwhile."""
