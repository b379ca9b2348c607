"""The method inside a ComfyUI model: one file an architecture, one table, one wrapper."""

from pathlib import Path

from .application import Application
from .conditioning import Unfitted, attach
from .patching import STRENGTH_AS, apply, make_application
from .wrapper import model_options

__all__ = [
    "STRENGTH_AS",
    "Application",
    "Unfitted",
    "apply",
    "attach",
    "make_application",
    "model_options",
]

# Where scripts that were written before the folders look for modules, as in `training`.
__path__.append(str(Path(__file__).with_name("moved")))
