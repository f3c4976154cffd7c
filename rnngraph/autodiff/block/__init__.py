"""The run of steps of one layer and direction: forward, back for one cotangent, and back for many at once."""

from rnngraph.autodiff.block.columns import Block

__all__ = ["Block"]
