"""FlowEdit and FlowAlign as arithmetic on latents: torch alone, whatever predicts the velocities.

Throughout, x_sigma = (1 - sigma) x_0 + sigma noise, and a velocity is dx / dsigma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""velocity(x, sigma): x (B, ...), sigma (), the result as x."""


class EditError(ValueError):
    """Settings or a model that no editing can be done with; the message says what to do."""


@dataclass(frozen=True)
class Velocities:
    """What the model predicts of the source picture and of the edited one, guided as asked for."""

    source: Velocity
    target: Velocity


@dataclass(frozen=True)
class Plan:
    """Which of the schedule's steps do what, counted from its end as the authors count.

    n_max: so many of the last steps take part, >= 0; the others are left out, and the picture stays
    nearer to the source. n_min: of these, so many of the last are ordinary sampling under the
    target prompt. n_avg: each step averages over so many noises, >= 1. Raises EditError.
    """

    n_min: int = 0
    n_max: int = 33
    n_avg: int = 1

    def __post_init__(self) -> None:
        if self.n_min > self.n_max:
            raise EditError(
                f"n_min ({self.n_min}) steps are ordinary sampling, out of n_max ({self.n_max}) in "
                "all: lower n_min or raise n_max."
            )

    def split(self, steps: int) -> tuple[range, range]:
        """The steps that edit, and those that sample."""
        first, sampled = max(0, steps - self.n_max), max(0, steps - self.n_min)
        return range(first, sampled), range(sampled, steps)


@dataclass(frozen=True)
class State:
    """A step of the edit: edited and source are clean latents, noise of their shape."""

    edited: Tensor
    source: Tensor
    noise: Tensor
    sigma: Tensor
    following: Tensor

    @property
    def noised_source(self) -> Tensor:
        return noised(self.source, self.noise, self.sigma)

    @property
    def noised_target(self) -> Tensor:
        """As far from the noised source as the edited latent is from the source."""
        return self.edited + self.noised_source - self.source


class Method(Protocol):
    """How far one step with one noise moves the edited latent."""

    def __call__(self, state: State, velocities: Velocities) -> Tensor: ...


def flow_edit(state: State, velocities: Velocities) -> Tensor:
    """FlowEdit (arXiv 2412.08629): the difference of both velocities."""
    there = velocities.target(state.noised_target, state.sigma)
    return (state.following - state.sigma) * (
        there - velocities.source(state.noised_source, state.sigma)
    )


@dataclass(frozen=True)
class FlowAlign:
    """FlowAlign (arXiv 2505.23145), after its authors' code: FlowEdit's step, and a pull that keeps
    the pictures both are heading for together.

    Its velocities are guided otherwise: the target's away from the source prompt, the source's not
    at all. zeta: the pull's weight, 0.01 there.
    """

    zeta: float = 0.01

    def __call__(self, state: State, velocities: Velocities) -> Tensor:
        p, q, sigma = state.noised_target, state.noised_source, state.sigma
        at_p, at_q = velocities.target(p, sigma), velocities.source(q, sigma)
        pull = (q - sigma * at_q) - (p - sigma * at_p)
        return (state.following - sigma) * (at_p - at_q) + self.zeta * pull


def edit(
    source: Tensor,
    sigmas: Tensor,
    plan: Plan,
    method: Method,
    velocities: Velocities,
    draw: Callable[[], Tensor],
    mask: Tensor | None = None,
    told: Callable[[int, int, Tensor], None] = lambda at, steps, latent: None,
) -> Tensor:
    """The edited latent, of source's shape.

    source: clean. sigmas: (steps + 1,), falling to 0. draw: a new noise of source's shape, asked
    for once a step and average, and once where sampling begins. mask: broadcast over source, 1
    where it may change; where it is 0 it does not. told: after each step that is done, which of how
    many it is, and the latent as it is.
    """
    editing, sampling = plan.split(len(sigmas) - 1)
    steps = len(editing) + len(sampling)
    x = source
    for at in editing:
        changes = [
            method(State(x, source, draw(), sigmas[at], sigmas[at + 1]), velocities)
            for _ in range(plan.n_avg)
        ]
        x = x + _masked(torch.stack(changes).mean(dim=0), mask)
        told(at - editing.start, steps, x)
    if sampling:
        noise = draw()
        x = x + noised(source, noise, sigmas[sampling.start]) - source
        for at in sampling:
            sigma, following = sigmas[at], sigmas[at + 1]
            velocity = velocities.target(x, sigma)
            clean = x - sigma * velocity
            kept = noised(source, noise, following)
            x = kept + _masked(x + (following - sigma) * velocity - kept, mask)
            told(at - editing.start, steps, clean)
    return x


def noised(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The latent at a noise level, as flow models have it."""
    return (1.0 - sigma) * clean + sigma * noise


def _masked(change: Tensor, mask: Tensor | None) -> Tensor:
    return change if mask is None else change * mask
