"""What an objective is shown of one image, and what it answers.

Every objective here is told as *weighted regression*. It looks at one image's predictions under all
candidate captions (the survey, made without a graph), or at those of a better and a worse picture
under one caption, and answers, for each candidate j, a fixed target T_j and a fixed weight a_j such
that, at the surveyed predictions,

    d loss / d p_j  =  a_j · d mse(p_j, T_j) / d p_j.

So the engine never holds the graphs of two candidates at once: it replays any few of them and
backpropagates the sum of their a_j · mse(p_j, T_j). This is no restriction: any gradient g wrt a
prediction p of N numbers is that of mse(p, T) with T = p − N·g/2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One image of the batch under its candidate captions; candidate 0 is its own caption.

    Captions equal to the own one are no candidates. Where the objective compares pictures, the
    candidates are two pictures under one caption, the better first.

    predictions: (n, C, h, w) float32, the survey: made with the tokens that the objective asks for.
    target: (C, h, w), what a perfect prediction is: the noise, or the velocity noise − x_0; of each
    candidate, (n, C, h, w), where these are pictures.
    rows: images in the whole batch, over all processes.
    negatives: candidates other than the own captions in the whole batch.
    reference: (n, C, h, w), the bare model's predictions, where the objective compares pictures.
    """

    predictions: Tensor
    target: Tensor
    rows: int
    negatives: int
    reference: Tensor | None = None


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
    """One file an objective: a frozen dataclass, whose hyper-parameters become flags.

    NAME: as in --objective. TITLE: as people write it. ABOUT: a line for --help.
    BANKS: banks of tokens it trains. With two, own captions use bank 0, others bank 1.
    SURVEY: which tokens make the survey: those in training, or their moving average.
    COMPARES: what a row's candidates are: captions of one picture, or pictures of one caption.
    APPENDED: its authors put an MMDiT's tokens behind the text, not before it.
    NORMALISED: hyper-parameters' defaults where errors are taken relative to their mean.
    BY_FAMILY: their defaults by model family ("SD3"), where they are not the fields' own.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    ABOUT: ClassVar[str]
    BANKS: ClassVar[int]
    SURVEY: ClassVar[Literal["live", "average"]]
    COMPARES: ClassVar[Literal["captions", "pictures"]]
    APPENDED: ClassVar[bool]
    NORMALISED: ClassVar[Mapping[str, Any]]
    BY_FAMILY: ClassVar[Mapping[str, Mapping[str, Any]]]

    def __call__(self, row: Row) -> Regression: ...


NORMALISE = (
    "temperature as a share of the row's mean error, which differs tenfold between timesteps"
)
"""What the hyper-parameter `normalise`, of those that compare captions, does."""


def hyperparameter(default: Any, about: str, least: float = 0.0) -> Any:
    """A field that is a flag too: a number from `least` up, or a switch where it is a bool.

    Objectives may share one by name, with the same meaning.
    """
    return field(default=default, metadata={"about": about, "least": least})


def hyperparameters(objective: type[Objective]) -> dict[str, Field]:
    """An objective's fields that are flags, by name."""
    return {one.name: one for one in fields(objective) if "about" in one.metadata}


def defaults(objective: type[Objective], family: str, normalise: bool) -> dict[str, Any]:
    """Every hyper-parameter of an objective for a model family."""
    own = {name: one.default for name, one in hyperparameters(objective).items()}
    relative = objective.NORMALISED if normalise else {}
    chosen = {**own, **objective.BY_FAMILY.get(family, {}), **relative}
    return {**chosen, "normalise": normalise} if "normalise" in own else chosen


def from_errors(errors: Tensor, targets: Tensor, loss_of: Callable[[Tensor], Tensor]) -> Regression:
    """The regression of a loss that depends on predictions through their errors only.

    errors: (n,), against the targets. loss_of: errors -> (), this row's share of the loss.
    """
    # The chain rule ends at the errors: weight_j = d loss / d e_j.
    with torch.enable_grad():
        errors = errors.detach().requires_grad_()
        loss = loss_of(errors)
        (weights,) = torch.autograd.grad(loss, errors)
    return Regression(targets, weights, constant=(loss - weights @ errors).detach())


def mean_squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """(n,): the mean over channels and pixels of (n, C, ...) against (n or 1, C, ...)."""
    return (predictions - targets).square().mean(dim=tuple(range(1, predictions.dim())))
