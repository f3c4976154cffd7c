"""Half-lives of linear recurrences, read off the few tensors that hold their decays: public as `rnngraph.decay`.

In: a checkpoint, a module or a state dict. Out: a `DecayReport`. To add a family, add a row to `families` and a
fixture to its test.
"""
