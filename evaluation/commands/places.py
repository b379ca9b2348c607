"""Where the trials that a command line names lie."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import EvaluationError, TrialError
from ..trial import Trial, open_trial
from ..trial.folder import MANIFEST

OUTPUT = Path("output") / "softrepa"
"""What evaluation keeps in a ComfyUI."""
BELOW = OUTPUT / "trials"
"""The trials' folder in a ComfyUI."""


def add_comfyui(parser: argparse.ArgumentParser) -> None:
    """The flag that names the ComfyUI."""
    parser.add_argument("--comfyui", metavar="FOLDER", help="the ComfyUI whose trials are meant")


def named_trial(name: str, comfyui: str | None) -> Trial:
    """The trial in a folder, or of that name in ComfyUI's output. Raises TrialError."""
    places = [Path(name)]
    if not places[0].is_absolute():
        places += [folder / BELOW / name for folder in _comfyuis(comfyui)]
    for place in places:
        if (place / MANIFEST).is_file():
            return open_trial(place)
    looked = " or ".join(str(place) for place in places)
    raise TrialError(f"There is no trial {name}: no {MANIFEST} lies in {looked}.")


def new_trial(name: str, comfyui: str | None) -> Path:
    """The folder of a trial that may not be there yet: a path, a folder that is here, or a name in
    ComfyUI's output.

    Raises TrialError where it is a name and there is no ComfyUI.
    """
    path = Path(name)
    # Path would make one and the same of "./mine" and "mine".
    if path.is_absolute() or {"/", os.sep} & set(name) or path.is_dir():
        return path
    for folder in _comfyuis(comfyui):
        return folder / BELOW / name
    raise TrialError(
        f"There is no ComfyUI for a trial called {name}: name a folder, such as ./{name}, or "
        "ComfyUI's with --comfyui or COMFYUI_PATH."
    )


def output(comfyui: str | None) -> Path:
    """The folder where ComfyUI's nodes keep what is no trial. Raises EvaluationError."""
    for folder in _comfyuis(comfyui):
        return folder / OUTPUT
    raise EvaluationError("There is no ComfyUI here: name it with --comfyui or COMFYUI_PATH.")


def _comfyuis(flag: str | None) -> list[Path]:
    """The ComfyUI named by the flag, else by COMFYUI_PATH, else the one this pack lies in."""
    named = flag or os.environ.get("COMFYUI_PATH")
    if named:
        return [Path(named)]
    installed = Path(__file__).resolve().parents[4]
    return [installed] if (installed / "main.py").is_file() else []
