"""The conventions by which somebody names and lays out the arrays of a layer; a new one is a file and a line here."""

from rnngraph.sources.checkpoint.conventions.convention import Convention
from rnngraph.sources.checkpoint.conventions.keras_arrays import KERAS
from rnngraph.sources.checkpoint.conventions.our_arrays import OURS
from rnngraph.sources.checkpoint.conventions.torch_arrays import TORCH as TORCH

CONVENTIONS: tuple[Convention, ...] = (TORCH, OURS, KERAS)
