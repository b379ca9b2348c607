"""`training.files`, for scripts that know it by this name: see `training.run.output.files`."""

from .run.output.files import *  # noqa: F403
