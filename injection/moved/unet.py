"""`injection.unet`, for scripts that know it by this name: see `injection.architectures`."""

from .architectures.unet import *  # noqa: F403
