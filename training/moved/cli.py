"""`training.cli`, for scripts that know it by this name: see `run` and `settings`."""

from .run.command import main
from .settings.command_line import _as_flags, read_settings

__all__ = ["_as_flags", "main", "read_settings"]
