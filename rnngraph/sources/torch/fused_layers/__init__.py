"""Layers whose kernel hides their steps, walked by blocks of our own around PyTorch's states."""
