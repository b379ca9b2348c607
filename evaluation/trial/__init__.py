"""A trial: a folder with its manifest, pictures and append-only records."""

from .folder import Cell, Trial, open_trial, start
from .manifest import Arm, Manifest, Model, Prompt, Sampling, read_manifest
from .records import Score

__all__ = [
    "Arm",
    "Cell",
    "Manifest",
    "Model",
    "Prompt",
    "Sampling",
    "Score",
    "Trial",
    "open_trial",
    "read_manifest",
    "start",
]
