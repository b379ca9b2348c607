"""Which of a sampler's conditionings is the prompt, and how it is given to a gradient's call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import GuidanceError

POSITIVE = "positive"
_TOLERANCE = 1e-2
"""Of the largest value: text encoders round differently from run to run on some devices."""


def matching(conditions: Mapping[str, Sequence[dict[str, Any]]], text: Tensor) -> list[dict]:
    """The positive conditionings that begin with this text, (1, N, D)."""
    return [each for each in conditions.get(POSITIVE, ()) if _begins(each.get("cross_attn"), text)]


def require_prompt(conditions: Mapping[str, Sequence[dict[str, Any]]], text: Tensor) -> None:
    """Raises GuidanceError unless one of the positive conditionings begins with this text."""
    if not matching(conditions, text):
        raise GuidanceError(
            "The prompt to look after is not the sampler's positive prompt: connect one text, and "
            "one CLIP, to both."
        )


def _begins(context: Tensor | None, text: Tensor) -> bool:
    rows = text.shape[1]
    if context is None or context.shape[1] < rows or context.shape[-1] != text.shape[-1]:
        return False
    text = text.to(context)
    return bool((context[:1, :rows] - text).abs().amax() <= _TOLERANCE * text.abs().amax())


def constant(condition: dict[str, Any]) -> dict[str, Any]:
    """The same conditioning with a ControlNet that no gradient goes through."""
    control = condition.get("control")
    return condition if control is None else {**condition, "control": _Constant(control)}


class _Constant:
    """A ControlNet as it is, whose output is given and not differentiated."""

    def __init__(self, control: Any) -> None:
        self._control = control

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def get_control(self, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            return self._control.get_control(*args, **kwargs)
