"""What enters the steps of recurrences, and what of it the network is fed."""
