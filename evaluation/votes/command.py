"""`evaluate.py vote`: serves the voting page of one trial until it is stopped."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path

from .errors import VotingError
from .serving.answers import Poll
from .serving.server import PORT, VotingServer, key_of
from .store import Store, read_votes
from .trial import read_trial, trials_in

HELP = "blind votes on a trial's pictures, in the browser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trial", type=Path, help="the trial's folder")
    parser.add_argument("--port", type=int, default=PORT, help="of the page (default: %(default)s)")
    parser.add_argument(
        "--lan",
        action="store_true",
        help="let other machines of the local network in, by a link with a key",
    )
    parser.add_argument(
        "--goal",
        type=_positive,
        help="votes asked of each voter (default: one for each prompt); they may go on after",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(arguments: argparse.Namespace) -> int:
    """Returns 0 when stopped by Ctrl-C, 2 where there is nothing to vote on (one sentence)."""
    try:
        trial = read_trial(arguments.trial)
        if not trial.painted():
            raise VotingError(
                "No prompt has pictures of two arms yet: paint the trial first, then vote."
            )
        key = key_of(Store(trial.votes).secret()) if arguments.lan else ""
        poll = Poll(trials_in([trial.folder]), arguments.goal)
        server = VotingServer(poll, arguments.port, key)
    except VotingError as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, OverflowError):
        print(f"Port {arguments.port} cannot be used: choose another --port.", file=sys.stderr)
        return 2
    with server:
        print(f"Vote at {server.address} (Ctrl-C ends it; every vote is kept at once)", flush=True)
        if arguments.open:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
    votes = read_votes(trial.votes)
    print(f"{len(votes)} votes of {len({vote.voter for vote in votes})} voters in this trial.")
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
