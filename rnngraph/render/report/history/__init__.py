"""The report of a training: its measurements in a table, its curves over each other, and where it leads."""
