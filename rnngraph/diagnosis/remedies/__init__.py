"""What to do: advice in words (`advice`), the norms it clips at (`norms`), and what was tried on the batch (`search`)."""
