"""AGSM (arXiv 2605.30038), SoftREPA's successor, which repairs its over-counting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from .row import NORMALISE, Regression, Row, hyperparameter, mean_squared_error


@dataclass(frozen=True)
class AGSM:
    """Regression towards targets that a moving average of the tokens sets.

    p are predictions with the tokens in training, q those with their moving average; a pair (i, i)
    uses the positive bank, every other pair the negative one.

        r_j = −mean (u − q_j)²              w_j = softmax_j(r_j / temperature)
        Δ_j = q_j − Σ_m w_m q_m
        L   = mean_i mse(p_ii, u_i + γ⁺ Δ_ii) + mean_{i≠j} mse(p_ij, u_i − γ⁻ Δ_ij)

    temperature: > 0; with `normalise` a share of the row's mean error, as for SoftREPA.
    gamma_positive, gamma_negative: 1 and 1 for SD1.5, 1 and 0.1 for SDXL and SD3.
    """

    NAME: ClassVar[str] = "agsm"
    TITLE: ClassVar[str] = "AGSM"
    ABOUT: ClassVar[str] = "its successor, which does not over-count (arXiv 2605.30038)"
    BANKS: ClassVar[int] = 2
    SURVEY: ClassVar[Literal["live", "average"]] = "average"
    COMPARES: ClassVar[Literal["captions", "pictures"]] = "captions"
    APPENDED: ClassVar[bool] = True
    NORMALISED: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    BY_FAMILY: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {family: {"gamma_negative": 1.0} for family in ("SD1.x", "SD2.x")}
    )

    temperature: float = hyperparameter(0.1, "agsm 0.1", 1e-6)
    normalise: bool = hyperparameter(False, NORMALISE)
    gamma_positive: float = hyperparameter(1.0, "agsm (by model: 1)")
    gamma_negative: float = hyperparameter(0.1, "agsm (by model: SD1.x 1, SDXL and SD3 0.1)")

    def __call__(self, row: Row) -> Regression:
        survey = row.predictions.detach()
        shift = self.shift(survey, row.target)
        own = row.target + self.gamma_positive * shift[:1]
        others = row.target - self.gamma_negative * shift[1:]
        # Put together, not written into: on a GPU a number put in one place is a copy to wait for.
        first = survey.new_full((1,), 1.0 / row.rows)
        others_share = 1.0 / max(row.negatives, 1)
        weights = torch.cat((first, first.new_full((len(survey) - 1,), others_share)))
        return Regression(
            targets=torch.cat((own, others)), weights=weights, constant=weights.new_zeros(())
        )

    def shift(self, survey: Tensor, target: Tensor) -> Tensor:
        """Δ, (n, C, h, w): how far each prediction lies from the reward-weighted mean of all."""
        errors = mean_squared_error(survey, target[None])
        temperature = errors.mean() * self.temperature if self.normalise else self.temperature
        weights = torch.softmax(-errors / temperature, dim=0)
        return survey - torch.einsum("m,mchw->chw", weights, survey)
