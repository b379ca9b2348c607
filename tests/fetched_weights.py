"""Weights that ComfyUI fetches for each use, as newer cores do with dynamic VRAM, on a CPU."""

from __future__ import annotations

from typing import Any

import comfy.ops
import pytest
import torch
from torch import Tensor

KINDS = (comfy.ops.disable_weight_init.Linear, comfy.ops.disable_weight_init.Conv2d)


def cast_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The network's layers whose weights are fetched where `comfy_cast_weights` says so."""
    return [each for each in model.diffusion_model.modules() if isinstance(each, KINDS)]


class Fetching:
    """Stands for `comfy.ops.cast_bias_weight`. kept: copies stay where they are, and are taken
    again while the layer's signature stands; else all share one memory, which torch knows nothing
    about. Small weights, as of norms, are loaded once."""

    def __init__(self, kept: bool) -> None:
        self.kept, self.made = kept, 0
        self.memory = bytearray(1 << 24)

    def __call__(self, s: Any, input: Any = None, dtype: Any = None, **others: Any) -> Any:
        dtype = input.dtype if input is not None else dtype or s.weight.dtype
        bias = None if getattr(s, "bias", None) is None else s.bias.to(dtype)
        if not isinstance(s, KINDS):
            return s.weight.to(dtype, copy=True), bias, None
        if not self.kept:
            return self._view(s.weight), bias, None
        if getattr(s, "_v_signature", None) is None:
            self.made += 1
            s._v_weight, s._v_signature = s.weight.to(dtype, copy=True), self.made
        return s._v_weight, bias, None

    def take_place(self, monkeypatch: pytest.MonkeyPatch) -> Fetching:
        monkeypatch.setattr(comfy.ops, "cast_bias_weight", self)
        monkeypatch.setattr(comfy.ops, "uncast_bias_weight", lambda *given: None)
        return self

    def _view(self, weight: Tensor) -> Tensor:
        found = torch.frombuffer(self.memory, dtype=torch.float32, count=weight.numel())
        return found.view(weight.shape).copy_(weight)
