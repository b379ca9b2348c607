"""`training.batches`, for scripts that know it by this name: see `training.step.batches`."""

from .step.batches import *  # noqa: F403
