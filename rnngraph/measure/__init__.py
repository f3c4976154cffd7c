"""From a recording to a trace: norms, lags, spectrum. Nothing here knows a tape or a framework."""
