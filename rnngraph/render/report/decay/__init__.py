"""The report of linear recurrences' decays: terminal, JSON and picture. In: a `DecayReport`. Out: text or bytes."""
