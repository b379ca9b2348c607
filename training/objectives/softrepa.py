"""SoftREPA (arXiv 2503.08250): an image's denoising error must be lowest under its own caption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .row import NORMALISE, Regression, Row, from_errors, hyperparameter, mean_squared_error


@dataclass(frozen=True)
class SoftREPA:
    """The contrastive loss of the paper, as the authors' code computes it.

        e_ij  = mean over channels and pixels of (u_i − p_ij)²
        logit = scale · exp(−e_ij / temperature)
        loss  = cross entropy over j, row i's answer being j = i,  + own_weight · mean_i e_ii

    temperature: > 0. With `normalise` it is a share of the row's mean error (detached), because
        errors differ tenfold between timesteps and a fixed temperature saturates.
    own_weight: w, 10 for SD1.5 and SDXL, 0 for SD3.
    """

    NAME: ClassVar[str] = "softrepa"
    TITLE: ClassVar[str] = "SoftREPA"
    ABOUT: ClassVar[str] = "contrastive (arXiv 2503.08250)"
    BANKS: ClassVar[int] = 1
    SURVEY: ClassVar[Literal["live", "average"]] = "live"
    COMPARES: ClassVar[Literal["captions", "pictures"]] = "captions"
    APPENDED: ClassVar[bool] = False
    NORMALISED: ClassVar[Mapping[str, Any]] = MappingProxyType({"temperature": 0.3})
    BY_FAMILY: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {family: {"own_weight": 10.0} for family in ("SD1.x", "SD2.x", "SDXL")}
    )

    temperature: float = hyperparameter(0.07, "softrepa 0.07, with --normalise 0.3", 1e-6)
    normalise: bool = hyperparameter(False, NORMALISE)
    own_weight: float = hyperparameter(
        0.0, "softrepa: weight of the own caption's error (by model: 10, SD3 0)"
    )
    scale: float = 4.0

    def __call__(self, row: Row) -> Regression:
        targets = row.target[None]
        errors = mean_squared_error(row.predictions, targets)
        return from_errors(errors, targets, lambda each: self.loss(each) / row.rows)

    def loss(self, errors: Tensor) -> Tensor:
        """One row's loss, (), from its errors (n,), the own caption's first."""
        temperature = (
            errors.detach().mean() * self.temperature if self.normalise else (self.temperature)
        )
        logits = self.scale * torch.exp(-errors / temperature)
        return -F.log_softmax(logits, dim=0)[0] + self.own_weight * errors[0]
