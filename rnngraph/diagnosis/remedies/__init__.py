"""What to do: `advice` in words, and what is `tried`: by `search`, for a finding that `treat` puts it into."""
