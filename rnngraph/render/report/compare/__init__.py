"""The report of a comparison: two networks beside each other, in numbers and in curves over each other."""
