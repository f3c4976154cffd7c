"""Where the loss of a step enters, and many losses walked back at once."""
