"""Checkpoints: a file of weights and a batch become a loss on our tape; `load` is the way in."""

from rnngraph.sources.checkpoint.load import load as load
from rnngraph.sources.checkpoint.options import Loaded as Loaded
