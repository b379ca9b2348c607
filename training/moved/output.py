"""`training.output`, for scripts that know it by this name: see `training.run.output.adapter`."""

from .run.output.adapter import *  # noqa: F403
