"""The unrolled graph as a picture: build and fold, lay out, style. In comes a trace, out goes a `Drawing`.

`draw` is the way in; `build`, `layout` and `style` are its three stages, and `model` and `sheet` what passes between.
"""
