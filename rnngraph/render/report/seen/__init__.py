"""What is left of one loss, in characters: a row a state, as every report of a terminal shows it."""
