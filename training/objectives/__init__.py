"""The table of training objectives: a new one is one file and one row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .agsm import AGSM
from .dpo import DPO
from .row import (
    Objective,
    Regression,
    Row,
    defaults,
    hyperparameters,
    mean_squared_error,
)
from .softrepa import SoftREPA

OBJECTIVES: Mapping[str, type[Objective]] = MappingProxyType(
    {objective.NAME: objective for objective in (SoftREPA, AGSM, DPO)}
)
"""By the name that --objective takes."""

__all__ = [
    "AGSM",
    "DPO",
    "OBJECTIVES",
    "Objective",
    "Regression",
    "Row",
    "SoftREPA",
    "defaults",
    "hyperparameters",
    "mean_squared_error",
]
