"""What to do: advice in words (`advice`), the norms to clip at (`norms`), and what was tried (`search`, `treat`)."""
