"""What an earlier run left under the output's name: gone on with, already done, or in the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....softrepa import files
from ....softrepa.errors import AdapterError
from ....softrepa.files import modelspec
from ...errors import BadInput
from ...settings.values import Settings
from .adapter import Output, start_date
from .state import Progress, changes, check_same_run, differing, read_run, same_data, told

_WAYS = "name another --output, or replace it by --overwrite."


def progress_of(settings: Settings, output: Output) -> Progress:
    """Where to go on: from the start, from where an unfinished run stopped, or at the end of one
    that may be the one asked for (see `is_done`).

    Looks at nothing but the output's own files. Raises BadInput where work would be lost unasked.
    """
    if settings.overwrite or settings.dry_run:
        return Progress(started=start_date())
    if not output.state.is_file():
        _check_free(settings, output)
        return Progress(started=start_date())
    progress, saved = read_run(output.state)
    _check_own(output, progress)
    if settings.resume:
        return progress
    name = output.adapter.name
    if not progress.ended(settings.steps, settings.patience):
        raise BadInput(
            f"{name} belongs to a run that stopped at step {progress.step}: go on with --resume, "
            f"{_WAYS}"
        )
    given = {key: value for key, value in settings.decisive().items() if value is not None}
    # The model and its family's defaults are not known yet: what is told of them is compared later.
    known = {key: saved.get(key) for key in given if key != "layers"}
    if progress.step > settings.steps or differing(known, {key: given[key] for key in known}):
        raise _finished(name, progress, known, given)
    return progress


def _check_free(settings: Settings, output: Output) -> None:
    """Files without a state: of another make, or of a run that was killed before its first one."""
    killed = settings.resume and output.log.is_file() and not output.adapter.exists()
    others = (output.best, output.plot, *output.all_numbered())
    for path in (output.adapter, *(() if killed else others)):
        if path.exists():
            raise BadInput(
                f"{path.name} is there already, and no run to go on with (no "
                f"{output.state.name}): {_WAYS}"
            )


def _check_own(output: Output, progress: Progress) -> None:
    """The adapter beside a state is of the same run, or was put there in the meantime."""
    if not output.adapter.exists():
        return
    try:
        ours = files.read(output.adapter).metadata.get(modelspec.DATE) == progress.started
    except AdapterError:
        ours = False
    if not ours:
        raise BadInput(
            f"{output.adapter.name} is not of the run that {output.state.name} belongs to: move "
            "or delete one of the two, or name another --output."
        )


def _finished(
    name: str, progress: Progress, saved: Mapping[str, Any], wanted: Mapping[str, Any]
) -> BadInput:
    names = differing(saved, {key: value for key, value in wanted.items() if key in saved})
    other = f", with {told(names[0], saved[names[0]])}" if names else ""
    return BadInput(
        f"{name} belongs to a finished run of {progress.step} steps{other}: {_WAYS[:-1]}, or take "
        "that run further by --resume and more --steps."
    )


def take_up(
    settings: Settings, output: Output, progress: Progress, wanted: Mapping[str, Any]
) -> None:
    """Checks that the run to go on with is the one asked for, and notes what changes from here.

    wanted: what the run shares with the saved one. Raises BadInput that names what differs.
    """
    saved = read_run(output.state)[1]
    if not settings.resume and (names := differing(saved, wanted)):
        raise _finished(output.adapter.name, progress, {n: saved.get(n) for n in names}, wanted)
    check_same_run(output.state, saved, wanted, settings.accept_changed_data)
    if not same_data(saved, wanted):
        progress.best_loss, progress.stale = float("inf"), 0  # measured on other held-out pairs
    progress.changes += changes(saved, wanted, progress.step)


def is_done(
    settings: Settings, output: Output, progress: Progress, labels: Mapping[str, str]
) -> bool:
    """Whether the adapter asked for is there, as it would be written. False where it is to be
    written from the state; raises BadInput where it has other labels, and --resume is not given."""
    if not progress.ended(settings.steps, settings.patience):
        return False
    if not output.adapter.exists():
        return False
    metadata = files.read(output.adapter).metadata
    if metadata.get("softrepa.steps") != str(progress.step):
        return False  # killed between the state and the adapter
    if all(metadata.get(key) == value for key, value in labels.items()):
        return True
    if not settings.resume:
        raise _finished(output.adapter.name, progress, {}, {})
    return False
