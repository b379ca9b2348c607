"""`training.engine`, for scripts that know it by this name: see `training.step.engine`."""

from .step.engine import *  # noqa: F403
