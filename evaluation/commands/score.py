"""Score a trial's pictures. What has a score that still holds is not scored again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import EvaluationError
from ..scorers import SCORERS, load
from ..scorers.scoring import score_trial
from ..scorers.weights import register_folder
from . import places
from .progress import ProgressLine

HELP = "score a trial's pictures: CLIP, PickScore, a detector, …"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("trial", help="a trial's folder, or its name in ComfyUI's output")
    parser.add_argument(
        "--scorer", action="append", required=True, choices=SCORERS, help="may be given repeatedly"
    )
    parser.add_argument(
        "--file",
        metavar="FILE",
        help="the scorer's weights: a path, or a name in models/softrepa_scorers",
    )
    parser.add_argument("--batch", type=_pictures, metavar="N", help="pictures scored together")
    parser.add_argument("--cpu", action="store_true", help="without the accelerator")
    parser.add_argument(
        "--base-directory", metavar="FOLDER", type=Path, help="as ComfyUI's own flag"
    )
    parser.add_argument(
        "--extra-model-paths-config",
        metavar="FILE",
        type=Path,
        action="append",
        help="as ComfyUI's own flag",
    )
    places.add_comfyui(parser)


def _pictures(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 4096):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of pictures (1 to 4096)")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Scores with each scorer in turn and prints what was done. Returns 0."""
    trial = places.named_trial(arguments.trial, arguments.comfyui)
    if arguments.file and len(arguments.scorer) > 1:
        raise EvaluationError("--file is one scorer's: name a single --scorer with it.")
    if any(SCORERS[name].comfyui for name in arguments.scorer):
        from ..painting.here import start

        # Found and started as the trainer does: the scorers' models are ComfyUI's to move.
        start(
            Path(arguments.comfyui) if arguments.comfyui else None,
            ["--cpu"] if arguments.cpu else [],
            arguments.base_directory,
            arguments.extra_model_paths_config or (),
        )
        register_folder()
    for name in arguments.scorer:
        scorer = load(name, arguments.file)
        done = score_trial(trial, scorer, ProgressLine(name), arguments.batch)
        passed = f", {done.passed} have no expected objects" if done.passed else ""
        print(
            f"{name}: {done.new} pictures scored, {done.kept} were, {done.missing} are missing"
            f"{passed}."
        )
        for note in [f"{name}: {scorer.unit}.", *scorer.notes()]:
            print(note, file=sys.stderr)
    return 0
