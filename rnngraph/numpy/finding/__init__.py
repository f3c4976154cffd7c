"""Find recurrences on a tape that knows none: `products` and `chains` find the weights, `states` what is carried.

`declare` puts every node at its timestep and declares the states. numpy.md of the docs says the rules in words.
"""
