"""The report of the gradient norms of every timestep."""
