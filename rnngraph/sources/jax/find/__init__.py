"""Tell recurrences over time from everything else in a jaxpr; nothing is computed here."""
