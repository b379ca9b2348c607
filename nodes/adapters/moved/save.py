"""`nodes.save`, for scripts that know it by this name: see `nodes.adapters`."""

from .adapters.save import *  # noqa: F403
