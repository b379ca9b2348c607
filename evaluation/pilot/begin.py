"""A trial that keeps to a plan: the plan is fixed when the first picture is painted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import TrialError
from ..trial import Manifest, Trial, start
from ..trial.files import write_whole
from .plan import NAME, Plan, decode, read_bytes


def begin(folder: Path, manifest: Manifest, plan: Path | None = None) -> Trial:
    """`trial.start`, with the plan's hash in the manifest where there is a plan.

    The plan is `plan`, of which the trial's folder gets a copy, or else the `pilot.toml` that lies
    in that folder; without either the trial is no pilot. Until the first picture is there another
    plan may take its place, afterwards a changed one is refused like any other change. Raises
    TrialError for a plan that is not sound.
    """
    folder = Path(folder)
    kept = folder / NAME
    if plan is None and not kept.exists():
        return start(folder, manifest)
    data = read_bytes(_own(kept) if plan is None else plan)
    digest = decode(data, NAME).digest
    begun = start(folder, replace(manifest, pilot=digest))
    if not kept.is_file() or kept.read_bytes() != data:
        write_whole(kept, data)
    return begun


def plan_of(trial: Trial) -> Plan | None:
    """The plan that lies in a trial's folder, changed or not; None where the trial is no pilot.

    Raises TrialError where it cannot be read, or is gone.
    """
    path = trial.folder / NAME
    if trial.manifest.pilot is None and not path.exists():
        return None
    if not path.exists():
        raise TrialError(
            f"{path} is gone: put the plan back that this trial was painted by (SHA-256 "
            f"{trial.manifest.pilot})."
        )
    return decode(read_bytes(_own(path)), str(path))


def _own(path: Path) -> Path:
    if path.is_symlink():
        raise TrialError(f"{path} is a link: put the file itself into the trial.")
    return path
