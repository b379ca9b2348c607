"""ImageReward's network over transformers' BLIP parts. Needs torch and transformers.

Written from the published code (ImageReward 1.5: a ViT as timm names its weights, a BERT that
crosses over to it, and a head of five linear layers without activations).
"""

from __future__ import annotations

import re

import torch
from torch import nn
from transformers import BlipTextConfig, BlipVisionConfig
from transformers.models.blip.modeling_blip import BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

HEAD = 64
"""Width of an attention head in both parts."""
MEAN, SPREAD = 0.16717362830052426, 1.0333394966054072
"""Of the raw reward on the authors' data."""
_LINEAR = (0, 2, 4, 6, 7)
"""Places of the head's linear layers: dropout lies at the others."""
_VISION = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^norm\.", "post_layernorm."),
    (r"^blocks\.(\d+)\.norm(\d)\.", r"encoder.layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
)


class BlipReward(nn.Module):
    """Pixels and tokens to a number. `state`: the authors' file; its sizes are taken from it.

    Raises KeyError or RuntimeError where the file is another network's.
    """

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        vision, text = _part(state, "blip.visual_encoder."), _part(state, "blip.text_encoder.")
        config = _vision_config(vision)
        self.image_size = config.image_size
        self.vision = BlipVisionModel(config)
        self.text = BlipTextModel(_text_config(text), add_pooling_layer=False)
        shapes = [state[f"mlp.layers.{at}.weight"].shape for at in _LINEAR]
        self.head = nn.Sequential(*(nn.Linear(wide, out) for out, wide in shapes))
        self.vision.load_state_dict({_renamed(key): value for key, value in vision.items()})
        missing, unknown = self.text.load_state_dict(text, strict=False)
        strange = [key for key in (*missing, *unknown) if not key.endswith("position_ids")]
        if strange:
            raise KeyError(strange[0])
        for own, at in zip(self.head, _LINEAR, strict=True):
            own.load_state_dict(_part(state, f"mlp.layers.{at}."))

    def forward(
        self, pixels: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """(B,) rewards of pixels (B, 3, H, W), tokens (B, T) and which of them are no padding."""
        seen = self.vision(pixel_values=pixels).last_hidden_state
        read = self.text(
            input_ids=tokens,
            attention_mask=mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=mask.dtype, device=mask.device),
            is_decoder=False,  # Every token sees every other, as in BERT.
        )
        return (self.head(read.last_hidden_state[:, 0])[:, 0] - MEAN) / SPREAD


def _part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    found = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not found:
        raise KeyError(prefix)
    return found


def _renamed(key: str) -> str:
    for pattern, name in _VISION:
        if re.match(pattern, key):
            return re.sub(pattern, name, key)
    return key


def _depth(part: dict[str, torch.Tensor], prefix: str) -> int:
    return 1 + max(int(k.removeprefix(prefix).split(".")[0]) for k in part if k.startswith(prefix))


def _vision_config(part: dict[str, torch.Tensor]) -> BlipVisionConfig:
    width, _, patch, _ = part["patch_embed.proj.weight"].shape
    side = round((part["pos_embed"].shape[1] - 1) ** 0.5)
    return BlipVisionConfig(
        hidden_size=width,
        intermediate_size=part["blocks.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=_depth(part, "blocks."),
        num_attention_heads=width // HEAD,
        image_size=side * patch,
        patch_size=patch,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
    )


def _text_config(part: dict[str, torch.Tensor]) -> BlipTextConfig:
    vocabulary, width = part["embeddings.word_embeddings.weight"].shape
    crossing = part["encoder.layer.0.crossattention.self.key.weight"]
    return BlipTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        encoder_hidden_size=crossing.shape[1],
        intermediate_size=part["encoder.layer.0.intermediate.dense.weight"].shape[0],
        num_hidden_layers=_depth(part, "encoder.layer."),
        num_attention_heads=width // HEAD,
        max_position_embeddings=part["embeddings.position_embeddings.weight"].shape[0],
        hidden_act="gelu",
        layer_norm_eps=1e-12,
        is_decoder=True,  # It has the attention that crosses over to the picture.
    )
