"""The table of training objectives: a new one is one file and one row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .agsm import AGSM
from .row import Objective, Regression, Row, mean_squared_error
from .softrepa import SoftREPA

OBJECTIVES: Mapping[str, type[Objective]] = MappingProxyType({"softrepa": SoftREPA, "agsm": AGSM})
"""By the name that --objective takes."""

__all__ = ["AGSM", "OBJECTIVES", "Objective", "Regression", "Row", "SoftREPA", "mean_squared_error"]
