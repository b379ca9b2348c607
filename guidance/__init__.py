"""Leading a picture by the attention that its prompt's words get: Attend-and-Excite, FOCUS."""

from .attend import Attend, apply
from .errors import GuidanceError
from .focus import Focus
from .focus import apply as apply_focus
from .losses import LOSSES
from .planning import parse_thresholds, plan, plan_focus

__all__ = [
    "LOSSES",
    "Attend",
    "Focus",
    "GuidanceError",
    "apply",
    "apply_focus",
    "parse_thresholds",
    "plan",
    "plan_focus",
]
