"""A drawing as a file of one picture: DOT, what Graphviz makes of it, JSON, Mermaid."""
