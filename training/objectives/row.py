"""What an objective is shown of one image, and what it answers.

Every objective here is told as *weighted regression*. It looks at one image's predictions under all
candidate captions (the survey, made without a graph) and answers, for each candidate j, a fixed
target T_j and a fixed weight a_j such that, at the surveyed predictions,

    d loss / d p_j  =  a_j · d mse(p_j, T_j) / d p_j.

So the engine never holds the graphs of two candidates at once: it replays any few of them and
backpropagates the sum of their a_j · mse(p_j, T_j). This is no restriction: any gradient g wrt a
prediction p of N numbers is that of mse(p, T) with T = p − N·g/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One image of the batch under its candidate captions; candidate 0 is its own caption.

    Captions equal to the own one are no candidates.

    predictions: (n, C, h, w) float32, the survey: made with the tokens that the objective asks for.
    target: (C, h, w), what a perfect prediction is: the noise, or the velocity noise − x_0.
    rows: images in the whole batch, over all processes.
    negatives: candidates other than the own captions in the whole batch.
    """

    predictions: Tensor
    target: Tensor
    rows: int
    negatives: int


@dataclass(frozen=True)
class Regression:
    """One row's share of the batch's loss, and its gradient as weighted regression.

    The loss is constant + Σ_j weights_j · mse(p_j, targets_j), exact at the surveyed predictions.

    targets: (n or 1, C, h, w). weights: (n,). constant: (). None carries a graph.
    """

    targets: Tensor
    weights: Tensor
    constant: Tensor


class Objective(Protocol):
    """One file an objective. Immutable.

    NAME: as in --objective.
    BANKS: banks of tokens it trains. With two, own captions use bank 0, others bank 1.
    SURVEY: which tokens make the survey: those in training, or their moving average.
    """

    NAME: ClassVar[str]
    BANKS: ClassVar[int]
    SURVEY: ClassVar[Literal["live", "average"]]

    def __call__(self, row: Row) -> Regression: ...


def mean_squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """(n,): the mean over channels and pixels of (n, C, h, w) against (n or 1, C, h, w)."""
    return (predictions - targets).square().mean(dim=(1, 2, 3))
