"""Models whose weights ComfyUI moves, as it does with its own. Needs ComfyUI and torch."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from torch import nn


class Managed(nn.Module):
    """A model that is on ComfyUI's device while it is used, and makes room when others need it.

    Wrapped, for ComfyUI writes attributes on what it manages that transformers' models refuse.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model.eval().requires_grad_(False)
        # Beside the modules: a patcher holds this one.
        self.__dict__["_patcher"] = comfy.model_patcher.ModelPatcher(
            self,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.text_encoder_offload_device(),
        )

    def ready(self, memory: float = 0) -> torch.device:
        """Loads the weights; the device. memory: bytes that the pictures will take besides."""
        comfy.model_management.load_models_gpu(
            [self._patcher], memory_required=memory, force_full_load=True
        )
        return self._patcher.load_device


def default_dtype() -> torch.dtype:
    """What large language models are loaded in: half precision where the device is fast at it."""
    device = comfy.model_management.get_torch_device()
    if comfy.model_management.should_use_bf16(device):
        return torch.bfloat16
    return torch.float16 if comfy.model_management.should_use_fp16(device) else torch.float32


def cosines(one: Any, other: Any) -> list[float]:
    """Of rows of (B, D) with rows of (B, D)."""
    return nn.functional.cosine_similarity(one.float(), other.float()).tolist()
