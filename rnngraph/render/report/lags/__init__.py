"""The report of the lags: how far back each step's loss is felt."""
