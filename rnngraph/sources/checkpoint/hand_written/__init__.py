"""Recurrences written by hand, told by the names and shapes of their weights, under names that are known."""
