"""What artists combine an adapter with: ComfyUI's own nodes, and stand-ins for popular packs.

A partner takes a model and gives the model with its own patch. Stand-ins use the same extension
points, with the same tensor shapes, as the packs they are named after; row_partners.py has those
that change the text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.lora
import comfy.model_base
import comfy.sd
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy_extras import (
    nodes_easycache,
    nodes_freelunch,
    nodes_hypertile,
    nodes_model_advanced,
    nodes_model_downscale,
    nodes_pag,
    nodes_sag,
    nodes_sd3,
    nodes_tomesd,
)
from comfyui_softrepa.tests.control import row_partners
from comfyui_softrepa.tests.golden_models import seeded

UNETS = ("sd15", "sdxl")
ALL = (*UNETS, "sd3")


@dataclass(frozen=True)
class Partner:
    """name: the row of docs/combinations.md. archs: where it acts at all. size: of the latent, as
    small as it still acts. text: what its own encoder makes of a prompt."""

    name: str
    archs: tuple[str, ...]
    patch: Callable[[Any], Any]
    size: int = 8
    text: Callable[[torch.Tensor], torch.Tensor] | None = None


def lora(model: Any) -> Any:
    """A LoRA on every projection into keys, under the names kohya's trainer gives."""
    return _lora(model, "lora_unet_", "to_k", "x_block_attn_qkv")


def dpo_lora(model: Any) -> Any:
    """Diffusion-DPO's files are LoRAs under diffusers' names, on queries, keys and values."""
    return _lora(model, "unet.", "to_q", "to_q")


def _lora(model: Any, prefix: str, *ends: str) -> Any:
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    present = model.model.state_dict()
    weights, done = {}, set()
    for key, target in keys.items():
        name, *piece = (target,) if isinstance(target, str) else target
        # Several naming schemes stand for one weight; the table also lists deeper models' blocks.
        if not (key.startswith(prefix) and key.endswith(ends)) or name not in present:
            continue
        if str(target) in done:
            continue
        done.add(str(target))
        rows, columns = piece[0][2] if piece else present[name].shape[0], present[name].shape[1]
        weights[f"{key}.lora_up.weight"] = seeded(f"up {name}", (rows, 2), 3)
        weights[f"{key}.lora_down.weight"] = seeded(f"down {name}", (2, columns), 3, 0.05)
    assert weights, f"no key starts with {prefix}"
    return comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)[0]


def perturbed_attention(model: Any) -> Any:
    return nodes_pag.PerturbedAttentionGuidance.execute(model, 3.0).args[0]


def self_attention_guidance(model: Any) -> Any:
    return nodes_sag.SelfAttentionGuidance.execute(model, 0.5, 2.0).args[0]


def skip_layer_guidance(model: Any) -> Any:
    return nodes_sd3.SkipLayerGuidanceSD3.execute(model, "1", 3.0, 0.0, 1.0).args[0]


def token_merging(model: Any) -> Any:
    """Acts at full resolution only, where SDXL has no attention."""
    return nodes_tomesd.TomePatchModel.execute(model, 0.5).args[0]


def free_u(model: Any) -> Any:
    return nodes_freelunch.FreeU_V2().patch(model, 1.3, 1.4, 0.9, 0.2)[0]


def hyper_tile(model: Any) -> Any:
    return nodes_hypertile.HyperTile.execute(model, 32, 1, 1, False)[0]


def easy_cache(model: Any) -> Any:
    return nodes_easycache.EasyCacheNode.execute(model, 3.0, 0.0, 1.0, False).args[0]


def deep_shrink(model: Any) -> Any:
    return nodes_model_downscale.PatchModelAddDownscale.execute(
        model, 1, 2.0, 0.0, 0.5, True, "bicubic", "bicubic"
    ).args[0]


def rescaled_guidance(model: Any) -> Any:
    return nodes_model_advanced.RescaleCFG().patch(model, 0.7)[0]


def shift(model: Any) -> Any:
    return nodes_model_advanced.ModelSamplingSD3().patch(model, 7.0)[0]


def deep_cache(model: Any) -> Any:
    """Skips the middle block at every second call, and uses its earlier output instead."""
    patched, kept = model.clone(), {}

    def run(apply_model: Callable[..., torch.Tensor], call: dict[str, Any]) -> torch.Tensor:
        kept["calls"] = kept.get("calls", 0) + 1
        if kept["calls"] % 2 == 0 and kept["output"].shape == call["input"].shape:
            return kept["output"]
        kept["output"] = apply_model(call["input"], call["timestep"], **call["c"])
        return kept["output"]

    patched.set_model_unet_function_wrapper(run)
    return patched


class PictureAttention:
    """What ComfyUI_IPAdapter_plus puts in the place of cross-attention: that of the text, and one
    to the tokens of a picture, a row a sample, other tokens for the negative chunks."""

    def __call__(self, query, key, value, extra):
        found = optimized_attention(query, key, value, extra["n_heads"])
        kinds = extra["cond_or_uncond"]
        samples = query.shape[0] // len(kinds)
        pictures = [seeded(f"picture {n}", (1, 4, key.shape[-1]), 4) for n in (0, 1)]
        tokens = torch.cat([pictures[kind].repeat(samples, 1, 1) for kind in kinds])
        return found + optimized_attention(query, tokens, tokens, extra["n_heads"])

    def to(self, device, *args, **kwargs):
        return self


def ip_adapter(model: Any) -> Any:
    """Slots for whole blocks on SD1.x, for each transformer of a block on SDXL."""
    patched = model.clone()
    for group, number in itertools.product(("input", "middle", "output"), range(12)):
        for index in range(2) if _is_sdxl(model) else (None,):
            patched.set_model_attn2_replace(PictureAttention(), group, number, index)
    return patched


def _is_sdxl(model: Any) -> bool:
    return isinstance(model.model, comfy.model_base.SDXL)


def joint_block_replacement(model: Any) -> Any:
    """PAG and NAG for SD3 replace whole joint blocks, and call the original."""

    def replace(args, extra):
        out = extra["original_block"](args)
        return {**out, "img": out["img"] * 1.1}

    patched = model.clone()
    patched.set_model_patch_replace(replace, "dit", "double_block", 0)
    return patched


PARTNERS = (
    Partner("LoRA", ALL, lora),
    Partner("Diffusion-DPO LoRA", UNETS, dpo_lora),
    Partner("PAG", UNETS, perturbed_attention),
    Partner("SAG", UNETS, self_attention_guidance),
    Partner("SLG", ("sd3",), skip_layer_guidance),
    Partner("RescaleCFG", ALL, rescaled_guidance),
    Partner("NAG", ALL, row_partners.normalized_attention_guidance),
    Partner("IPAdapter", UNETS, ip_adapter),
    Partner("Joint block replacements", ("sd3",), joint_block_replacement),
    Partner("Attention couple", UNETS, row_partners.attention_couple),
    Partner("NegPip", UNETS, row_partners.negative_weights, text=row_partners.interleaved),
    Partner("ToMe", ("sd15",), token_merging),
    Partner("FreeU", UNETS, free_u),
    Partner("HyperTile", UNETS, hyper_tile, size=16),
    Partner("Deep Shrink", UNETS, deep_shrink),
    Partner("EasyCache", UNETS, easy_cache),
    Partner("DeepCache", ALL, deep_cache),
    Partner("ModelSamplingSD3", ("sd3",), shift),
)
