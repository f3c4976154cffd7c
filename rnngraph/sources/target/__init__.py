"""A Python target that the command line names: imported, called, and made into a trace or a loss."""
