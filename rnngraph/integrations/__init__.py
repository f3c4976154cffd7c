"""Callbacks for what people train with, each a few lines over `rnngraph.torch.monitor`; each needs its library."""
