"""What `train.py` runs, with its outcomes as exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from ..errors import BadInput
from ..model import comfyui
from ..settings.command_line import read_settings
from ..settings.values import Settings
from ..step.processes import take_device

DONE, BAD_INPUT, INTERRUPTED, FAULT = 0, 2, 130, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the trainer; returns the exit code."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else list(arguments))
        return _run(settings)
    except BadInput as error:
        print(f"train.py: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            print(f"train.py: {error.filename} is too long a name for a file.", file=sys.stderr)
            return BAD_INPUT
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if error.errno not in (*full, errno.EROFS, errno.EACCES, errno.EIO):
            raise
        print(
            f"train.py: {error.filename or 'A file'} cannot be written ({error.strerror}): free "
            "some space or name another folder, then go on with --resume.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("train.py: Interrupted; go on with --resume.", file=sys.stderr)
        return INTERRUPTED


def _run(settings: Settings) -> int:
    if not settings.cpu:
        take_device()
    # ComfyUI's attention that has an efficient backward, on every device.
    flags = ["--use-pytorch-cross-attention", *(["--cpu"] if settings.cpu else [])]
    found = comfyui.find(
        settings.comfyui, settings.base_directory, settings.extra_model_paths_config
    )
    comfyui.start(found, flags)
    if os.environ.get("RANK", "0") == "0":
        print(found)
    # Only now: these import `comfy`.
    from ..step.memory import OutOfMemory, ran_out
    from .guard import Diverged
    from .loop import Interrupted
    from .start import run

    try:
        run(settings)
    except Interrupted:
        raise KeyboardInterrupt from None
    except (Diverged, OutOfMemory) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return FAULT
    except Exception as error:
        if not ran_out(error):
            raise
        print(
            "train.py: Memory ran out before the first step: close other programs that use the "
            "device, or use --cpu; what the cache holds already is kept.",
            file=sys.stderr,
        )
        return FAULT
    return DONE
