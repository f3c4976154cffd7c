"""From a trace to a verdict: how far back the network learns, why it stops, and what to do.

`diagnose` is the way through: a `layer` with its `credit` and its `curve` is shown to the `rules`, each of which gives
a `finding` with `evidence`, a cause (`causes`) and advice (`remedies`); `report` says them. `thresholds` are the
numbers that it all depends on.
"""
