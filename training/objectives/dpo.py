"""Diffusion-DPO (arXiv 2311.12908) on soft tokens: better pictures in place of worse ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from .row import Regression, Row, from_errors, hyperparameter, mean_squared_error


@dataclass(frozen=True)
class DPO:
    """The loss of the paper, whose reference is the model without tokens.

        e = mean over channels and pixels of (u − p)², of the better picture and of the worse one,
            both at one timestep, with one noise and one caption
        r = the same of the bare model
        loss = −log σ(−β/2 · ((e_better − r_better) − (e_worse − r_worse)))

    beta: β, > 0: how soon a pair counts as learned. 5000 for SD1.5 and 2000 for SDXL in the paper.
    """

    NAME: ClassVar[str] = "dpo"
    TITLE: ClassVar[str] = "Diffusion-DPO"
    ABOUT: ClassVar[str] = (
        "preference, from pictures with a worse one beside them, NAME.lose.png (arXiv 2311.12908)"
    )
    BANKS: ClassVar[int] = 1
    SURVEY: ClassVar[Literal["live", "average"]] = "live"
    COMPARES: ClassVar[Literal["captions", "pictures"]] = "pictures"
    APPENDED: ClassVar[bool] = False
    NORMALISED: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    BY_FAMILY: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {family: {"beta": 5000.0} for family in ("SD1.x", "SD2.x")}
    )

    beta: float = hyperparameter(
        2000.0, "dpo: higher stays nearer to the bare model (by model: 2000, SD1.x 5000)", 1e-6
    )

    def __call__(self, row: Row) -> Regression:
        before = mean_squared_error(row.reference, row.target)
        errors = mean_squared_error(row.predictions, row.target)
        return from_errors(errors, row.target, lambda each: self.loss(each - before) / row.rows)

    def loss(self, relative: Tensor) -> Tensor:
        """One pair's loss, (), from its errors less the bare model's, (2,), the better's first."""
        return -F.logsigmoid(-0.5 * self.beta * (relative[0] - relative[1]))
