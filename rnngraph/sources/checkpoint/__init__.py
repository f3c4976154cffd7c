"""Checkpoints: a file of weights and a batch become a loss on our tape; `load` is the way in."""

from rnngraph.sources.checkpoint.load import Loaded as Loaded
from rnngraph.sources.checkpoint.load import load as load
