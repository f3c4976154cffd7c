"""The formula of every operation, for the panel that explains a box.

An operation that is not listed is shown by its own label.
"""

from __future__ import annotations

FORMULAS: dict[str, str] = {
    "input": "given",
    "parameter": "given, learned",
    "constant": "given",
    "embedding": "y[t] = W[token[t]]",
    "project": "y[t] = x[t]·Wx + b, for all t at once",
    "linear": "y[t] = x[t]·W + b",
    "rnn_tanh_step": "h[t] = tanh(x[t]·Wx + b + h[t-1]·Wh)",
    "rnn_relu_step": "h[t] = max(0, x[t]·Wx + b + h[t-1]·Wh)",
    "lstm_gates": "i, f, o = σ(x[t]·Wx + b + h[t-1]·Wh),  g = tanh(…)",
    "lstm_cell": "c[t] = f · c[t-1] + i · g",
    "lstm_hidden": "h[t] = o · tanh(c[t])",
    "gru_hidden": "h[t-1]·Wh + bh",
    "gru_gates": "r, z = σ(x[t]·Wx + b + h[t-1]·Wh + bh),  n = tanh(… + r · (h[t-1]·Wh + bh))",
    "gru_state": "h[t] = (1 - z) · n + z · h[t-1]",
    "temporal_softmax": "L[t] = -Σ log softmax(scores[t])[target[t]], where the mask is true",
    "add": "y = a + b",
    "subtract": "y = a - b",
    "multiply": "y = a · b, element by element",
    "divide": "y = a / b",
    "negate": "y = -a",
    "power": "y = a^p",
    "matmul": "y = a · b, a matrix product",
    "tanh": "y = tanh(a),  dy/da = 1 - y²",
    "sigmoid": "y = 1 / (1 + e^-a),  dy/da = y(1 - y)",
    "relu": "y = max(0, a)",
    "exp": "y = e^a",
    "log": "y = ln a",
    "sum": "y = Σ a",
    "mean": "y = the mean of a",
    "reshape": "the same numbers in another shape",
    "transpose": "the same numbers with other axes",
    "index": "a part of a",
    "concatenate": "inputs joined along an axis",
    "stack": "inputs joined along a new axis",
    "where": "y = a where the condition holds, else b",
    "detach": "y = a; no gradient passes",
}

# Parts of a step that the picture shows in detail although the tape recorded the step fused, by cell and part.
PARTS: dict[str, str] = {
    "x·Wx": "x[t]·Wx + b",
    "h·Wh": "h[t-1]·Wh",
    "+": "a[t] = x[t]·Wx + b + h[t-1]·Wh",
    "i": "i[t] = σ(a[t]), the input gate",
    "f": "f[t] = σ(a[t]), the forget gate",
    "o": "o[t] = σ(a[t]), the output gate",
    "g": "g[t] = tanh(a[t]), the candidate",
    "f*c": "f[t] · c[t-1]",
    "i*g": "i[t] · g[t]",
    "tanh c": "tanh(c[t])",
    "z": "z[t] = σ(…), the update gate",
    "r": "r[t] = σ(…), the reset gate",
    "n": "n[t] = tanh(x[t]·Wx + b + r[t] · (h[t-1]·Wh + bh))",
}
STATES: dict[str, str] = {
    "tanh.h": "h[t] = tanh(x[t]·Wx + b + h[t-1]·Wh)",
    "relu.h": "h[t] = max(0, x[t]·Wx + b + h[t-1]·Wh)",
    "lstm.c": "c[t] = f · c[t-1] + i · g",
    "lstm.h": "h[t] = o · tanh(c[t])",
    "gru.h": "h[t] = (1 - z) · n + z · h[t-1]",
}
