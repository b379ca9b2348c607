"""A small SD1.x U-Net with cross-attention at every level, and prompts for it."""

from __future__ import annotations

import functools
from typing import Any

import comfy.model_patcher
import comfy.sample
import comfy.supported_models
import torch
from comfy.sd1_clip import SD1Tokenizer
from comfyui_softrepa.tests.golden_models import seed_weights, seeded
from torch import Tensor

CONFIG: dict[str, Any] = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32,
    "num_res_blocks": [1, 1, 1], "channel_mult": [1, 2, 2], "transformer_depth": [1, 1, 1],
    "transformer_depth_output": [1] * 6, "transformer_depth_middle": 1, "context_dim": 768,
    "num_heads": 4, "num_head_channels": -1, "use_linear_in_transformer": False,
    "adm_in_channels": None, "use_checkpoint": False, "legacy": False,
    "use_spatial_transformer": True, "use_temporal_attention": False,
}  # fmt: skip
SEED = 23
TIMES = (999, 640, 273)
PROMPT = "a red cat and a blue dog"


def model() -> torch.nn.Module:
    """Its `comfy.model_base.BaseModel`, a new one."""
    config = comfy.supported_models.SD15(dict(CONFIG))
    config.unet_config = {**CONFIG, "dtype": torch.float32}
    built = config.get_model({}, device=None)
    seed_weights(built.diffusion_model, SEED)
    with torch.no_grad():
        # At the seeded scale attention is nearly even, and no word ever has much of it.
        for name, weight in built.diffusion_model.named_parameters():
            if name.endswith(("attn2.to_q.weight", "attn2.to_k.weight")):
                weight.mul_(2.0)
    return built


def patcher() -> comfy.model_patcher.ModelPatcher:
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model(), cpu, cpu)


def context(name: str) -> Tensor:
    return seeded(f"attend.{name}", (1, 77, CONFIG["context_dim"]), SEED)


def latents(count: int, side: int = 32) -> Tensor:
    """count: which, 1 for a sampling's noise."""
    return seeded(f"attend.latents.{count}", (1, 4, side, side), SEED)


class Clip:
    """Stands for a `comfy.sd.CLIP`: ComfyUI's own tokenizer, and an embedding for each token."""

    def __init__(self, width: int = CONFIG["context_dim"], pooled: int = 768) -> None:
        self.width, self.pooled = width, pooled

    def tokenize(self, text: str) -> dict[str, Any]:
        return _tokenizer().tokenize_with_weights(text)

    def encode_from_tokens_scheduled(self, tokens: dict[str, Any]) -> list[Any]:
        rows = [
            seeded(f"{token}.{at}", (self.width,), SEED)
            for chunk in tokens["l"]
            for at, (token, *_) in enumerate(chunk)
        ]
        pooled = seeded("pooled", (1, self.pooled), SEED)
        return [[torch.stack(rows)[None], {"pooled_output": pooled}]]

    def prompt(self, text: str) -> list[Any]:
        """What CLIPTextEncode gives."""
        return self.encode_from_tokens_scheduled(self.tokenize(text))


@functools.cache
def _tokenizer() -> SD1Tokenizer:
    return SD1Tokenizer()


def sample(model: Any, clip: Clip, side: int = 16, **changes: Any) -> Tensor:
    """Latents as KSampler gives them. changes: text, positive, negative, batch, steps, cfg, seed,
    sampler, mask."""
    batch, seed = changes.get("batch", 1), changes.get("seed", 3)
    latent = torch.zeros(batch, 4, side, side)
    positive = changes.get("positive") or clip.prompt(changes.get("text", PROMPT))
    return comfy.sample.sample(
        model,
        changes.get("noise", comfy.sample.prepare_noise(latent, seed)),
        changes.get("steps", 4),
        changes.get("cfg", 4.0),
        changes.get("sampler", "euler"),
        "normal",
        positive,
        changes.get("negative") or clip.prompt("blurred"),
        latent,
        noise_mask=changes.get("mask"),
        disable_pbar=True,
        seed=seed,
    )
