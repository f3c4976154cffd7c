"""The tape, the tensors that write it, the table of operations, and the reverse sweep."""
