"""`evaluate.py`: a command and its flags, outcomes to exit codes."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from typing import NoReturn

from .commands import COMMANDS
from .errors import EvaluationError

BAD_INPUT, INTERRUPTED = 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise EvaluationError(f"{message[:1].upper()}{message[1:]} (see {self.prog} --help).")


def parser() -> argparse.ArgumentParser:
    """All commands' flags."""
    made = _Parser(prog="evaluate.py", description="Shows whether an adapter helps.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        flags = commands.add_parser(name, help=command.HELP, description=command.__doc__)
        command.add_arguments(flags)
        flags.set_defaults(run=command.run)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A console that cannot show a name shows the rest.
            stream.reconfigure(errors="replace")
    try:
        made = parser()
        given = made.parse_args(arguments)
        # For a command that reads more flags from a file, and then these once more over them.
        given.line, given.parser = list(sys.argv[1:] if arguments is None else arguments), made
        return given.run(given)
    except EvaluationError as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        print(
            f"evaluate.py: {error.filename or 'A file'} cannot be written ({error.strerror}): free "
            "some space or name another folder, then run this again.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("evaluate.py: Interrupted; run it again to go on.", file=sys.stderr)
        return INTERRUPTED
