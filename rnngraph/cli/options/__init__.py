"""The options that several commands take, each declared once, and what a command line said with them.

A command is a function. Its parameter `source: SourceArguments` stands for SOURCE and all options of a model, `wanted:
LagArguments` for those of the lag matrix; `declare.with_options` puts them in its place once the command is called.
"""

from rnngraph.cli.options.alike import FORCE as FORCE
from rnngraph.cli.options.alike import FROM as FROM
from rnngraph.cli.options.alike import JSON as JSON
from rnngraph.cli.options.chart import ChartArguments as ChartArguments
from rnngraph.cli.options.lag_matrix import LagArguments as LagArguments
from rnngraph.cli.options.lag_matrix import is_saved as is_saved
from rnngraph.cli.options.lag_matrix import refuse_for_saved as refuse_for_saved
from rnngraph.cli.options.source import SourceArguments as SourceArguments
