"""A tape as a source: the recording that its reverse sweep answers."""
