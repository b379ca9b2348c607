"""What `evaluate.py` can do: one file a command, with `add_flags(parser)` and `run(arguments)`.

The first line of a command's docstring is its help. A new command is one file and one line here.
"""

from . import compare, report

COMMANDS = {"report": report, "compare": compare}
