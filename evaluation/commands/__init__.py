"""What `evaluate.py` can do: a module a command, and a line here.

Each has `HELP`, `add_arguments(parser)` and `run(arguments)`, which returns the exit code.
"""

from ..votes import command as vote
from . import compare, paint, pilot, preferences, report, score

COMMANDS = {
    "paint": paint,
    "score": score,
    "vote": vote,
    "report": report,
    "compare": compare,
    "pilot": pilot,
    "preferences": preferences,
}
