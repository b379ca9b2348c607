"""The trainer's sentences in the words of the nodes: inputs where it speaks of flags."""

from __future__ import annotations

import re

from ...training.errors import BadInput

_PHRASES = (
    ("go on with --resume and", "run again with"),
    ("go on with --resume", "run again"),
    ("by --resume and more --steps", "by more steps"),
    ("resume with the same settings", "run with the same settings"),
    ("give --data a folder", "name a folder"),
    (
        "name a folder on another disk with --cache",
        "free some, or let extra_model_paths.yaml name a softrepa folder on another disk first",
    ),
    ("--output", "name"),
    ("--data", "folder"),
    ("--val-fraction", "validation"),
    ("--checkpoint", "model"),
    ("--overwrite", "overwrite in SoftREPA Train Settings"),
)


class TrainingError(Exception):
    """One plain sentence on what to do."""


def worded(sentence: str) -> str:
    """A sentence of the command line as the node says it."""
    for flags, words in _PHRASES:
        sentence = sentence.replace(flags, words)
    named = re.sub(r"--([a-z][a-z-]*[a-z])", lambda found: found[1].replace("-", "_"), sentence)
    return named[:1].upper() + named[1:]


def check_name(name: str) -> None:
    """Raises BadInput unless this is a plain name for a file in models/softrepa."""
    if re.search(r'[\x00-\x1f\x7f/\\<>:"|?*]', name) or name.strip(" .") != name or not name:
        raise BadInput(
            f'"{re.sub(r"[^ -~]", "?", name)}" is no name for an adapter: take letters and digits, '
            "such as my_adapter; it is written into models/softrepa."
        )
