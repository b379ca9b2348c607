"""Leading a picture by the attention that its prompt's words get: Attend-and-Excite."""

from .attend import Attend, apply
from .errors import GuidanceError
from .losses import LOSSES
from .planning import parse_thresholds, plan

__all__ = ["LOSSES", "Attend", "GuidanceError", "apply", "parse_thresholds", "plan"]
