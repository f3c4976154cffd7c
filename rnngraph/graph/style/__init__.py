"""From a placed `Graph` to shapes and curves: what a colour, a width and a dash mean, and every text around."""
