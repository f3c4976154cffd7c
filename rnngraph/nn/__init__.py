"""Layers that record themselves on a tape."""

from rnngraph.nn import functional as functional
from rnngraph.nn.layers import Embedding as Embedding
from rnngraph.nn.layers import Linear as Linear
from rnngraph.nn.losses import temporal_softmax_loss as temporal_softmax_loss
from rnngraph.nn.parameter import Module as Module
from rnngraph.nn.parameter import Parameter as Parameter
from rnngraph.nn.recurrent import GRU as GRU
from rnngraph.nn.recurrent import LSTM as LSTM
from rnngraph.nn.recurrent import RNN as RNN
from rnngraph.nn.recurrent import Recurrent as Recurrent

__all__ = [
    "GRU", "LSTM", "RNN", "Embedding", "Linear", "Module", "Parameter", "Recurrent", "functional",
    "temporal_softmax_loss",
]  # fmt: skip
