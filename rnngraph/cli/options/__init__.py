"""The options that several commands take, each declared once, and what a command line said with them.

A command is a function. Its parameter `source: SourceArguments` stands for SOURCE and all options of a model, `wanted:
LagArguments` for those of the lag matrix; `declare.with_options` puts them in its place. What a command's help shows is
in `demo`, `own_model` and `lag_matrix`, which are loaded once a command is called.
"""

from rnngraph.cli.options.arguments import LagArguments, SourceArguments, refuse_for_saved

__all__ = ["LagArguments", "SourceArguments", "refuse_for_saved"]
