"""Strength over the sampling schedule and over blocks, as data.

Written as keyframes, `0:1, 0.5:0.8, 1:0` (share of the schedule : strength), or as bare strengths
that are spread evenly over the schedule, `1, 0.8, 0`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import AdapterError
from .layers import LayerChoice, choose_layers, parse_layers

INTERPOLATIONS = ("linear", "smooth", "step")
RESOLUTION = 1000
"""Places at which a curve is read, between the schedule's beginning and its end."""
_HELP = 'write keyframes such as "0:1, 0.5:0.8, 1:0", or strengths such as "1, 0.8, 0"'


@dataclass(frozen=True)
class Curve:
    """points: (share of the schedule 0 ... 1, strength), in order; constant before the first and
    after the last. interpolation: one of INTERPOLATIONS. layers: the blocks it is for, with
    weights; none for all."""

    points: tuple[tuple[float, float], ...]
    interpolation: str = "linear"
    layers: tuple[LayerChoice, ...] = ()

    @property
    def constant(self) -> float | None:
        """The one strength it has everywhere; None where it changes."""
        strengths = {strength for _, strength in self.points}
        return strengths.pop() if len(strengths) == 1 else None

    def at(self, percent: float) -> float:
        """The strength at this share of the schedule."""
        before = [point for point in self.points if point[0] <= percent]
        after = [point for point in self.points if point[0] > percent]
        if not before or not after:
            return before[-1][1] if before else after[0][1]
        (start, low), (end, high) = before[-1], after[0]
        share = (percent - start) / (end - start)
        if self.interpolation == "step":
            share = 0.0
        elif self.interpolation == "smooth":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        return low + (high - low) * share


@dataclass(frozen=True)
class Schedule:
    """Curves of strength. Of several that are for one block the last counts; a block that none is
    for keeps its full strength."""

    curves: tuple[Curve, ...]

    def fit(self, blocks: Sequence[str]) -> dict[str, tuple[Curve, float]]:
        """Curve and weight of each block among `blocks` that has one.

        Raises AdapterError where a curve is for a block that is not among them.
        """
        fitted: dict[str, tuple[Curve, float]] = {}
        for curve in self.curves:
            weights = choose_layers(curve.layers, blocks) or dict.fromkeys(blocks, 1.0)
            fitted.update({block: (curve, weight) for block, weight in weights.items()})
        return fitted


def parse_curve(keyframes: str, interpolation: str = "linear", layers: str = "") -> Curve:
    """The curve in a text of keyframes or bare strengths. Raises AdapterError."""
    if interpolation not in INTERPOLATIONS:
        raise AdapterError(
            f'"{interpolation}" is no interpolation: choose among {", ".join(INTERPOLATIONS)}.'
        )
    items = [item.strip() for item in keyframes.replace("\n", ",").split(",") if item.strip()]
    if not items:
        raise AdapterError(f"The schedule is empty: {_HELP}.")
    if any(":" in item for item in items):
        points = [_keyframe(item) for item in items]
    else:
        points = [
            (index / max(len(items) - 1, 1), _number(item, item))
            for index, item in enumerate(items)
        ]
    shares = [share for share, _ in points]
    if shares != sorted(set(shares)):
        raise AdapterError(
            "The keyframes of a schedule must follow one another: "
            "write each share of the schedule once, the lowest first."
        )
    return Curve(tuple(points), interpolation, parse_layers(layers))


def _keyframe(item: str) -> tuple[float, float]:
    share, colon, strength = item.partition(":")
    if not colon:
        raise AdapterError(f'"{item}" lacks its share of the schedule: {_HELP}.')
    percent = _number(share, item)
    if not 0.0 <= percent <= 1.0:
        raise AdapterError(f'"{item}" lies outside the schedule, which runs from 0 to 1: {_HELP}.')
    return percent, _number(strength, item)


def _number(text: str, item: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise AdapterError(f'"{item}" is not a keyframe of a schedule: {_HELP}.')
    return number


def table(curves: Sequence[Curve]) -> Tensor:
    """(curves, RESOLUTION + 1) float32: the strengths, from the schedule's beginning to its end."""
    rows = [[curve.at(place / RESOLUTION) for place in range(RESOLUTION + 1)] for curve in curves]
    return torch.tensor(rows, dtype=torch.float32)


def read_table(curves: Tensor, sigma: Tensor, sigmas: Tensor) -> Tensor:
    """The strength of each curve of a `table` at this noise level.

    sigma: (B,), of which the highest counts. sigmas: the model's noise levels, ascending, evenly
    spaced over its schedule. Returns (curves,). All tensors lie on one device; no host sync.
    """
    current = sigma.amax().reshape(1)
    steps = sigmas.shape[0] - 1
    high = torch.searchsorted(sigmas, current).clamp(1, steps)
    below, above = sigmas.index_select(0, high - 1), sigmas.index_select(0, high)
    share = ((current - below) / (above - below)).clamp(0.0, 1.0)
    percent = 1.0 - (high - 1 + share) / steps
    return curves.index_select(1, (percent * RESOLUTION).round().to(torch.int64)).squeeze(1)
