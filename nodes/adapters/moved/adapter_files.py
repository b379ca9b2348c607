"""`nodes.adapter_files`, for scripts that know it by this name: see `nodes.adapters`."""

from .adapters.adapter_files import *  # noqa: F403
