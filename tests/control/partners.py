"""What artists combine an adapter with: ComfyUI's own nodes, and stand-ins for popular packs.

A partner takes a model and gives the model with its own patch. Stand-ins use the same extension
points, with the same tensor shapes, as the packs they are named after.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.lora
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
from comfyui_softrepa.tests.golden_models import seeded

UNETS = ("sd15", "sdxl")
ALL = (*UNETS, "sd3")


@dataclass(frozen=True)
class Partner:
    """name: the row of docs/combinations.md. archs: where it acts at all. size: of the latent, as
    small as it still acts."""

    name: str
    archs: tuple[str, ...]
    patch: Callable[[Any], Any]
    size: int = 8


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


def normalized_attention_guidance(model: Any) -> Any:
    """Cross-attention pushed away from what another context gives, then normalised."""

    def replace(query, key, value, extra):
        found = optimized_attention(query, key, value, extra["n_heads"])
        away = optimized_attention(query, key.flip(1), value.flip(-1), extra["n_heads"])
        pushed = found + 2.0 * (found - away)
        norms = [each.norm(p=1, dim=-1, keepdim=True) for each in (found, pushed)]
        scaled = pushed * torch.minimum(norms[1], norms[0] * 2.5) / norms[1]
        return 0.5 * scaled + 0.5 * found

    return _replace_cross_attention(model, replace)


def ip_adapter(model: Any) -> Any:
    """A second attention, to tokens of a picture, added to that of the text."""

    def replace(query, key, value, extra):
        found = optimized_attention(query, key, value, extra["n_heads"])
        tokens = seeded("picture", (1, 4, key.shape[-1]), 4).expand(query.shape[0], -1, -1)
        return found + optimized_attention(query, tokens, tokens, extra["n_heads"])

    return _replace_cross_attention(model, replace)


def _replace_cross_attention(model: Any, replace: Callable[..., torch.Tensor]) -> Any:
    patched = model.clone()
    for group in ("input", "middle", "output"):
        for number in range(12):
            patched.set_model_attn2_replace(replace, group, number, 0)
    return patched


def joint_block_replacement(model: Any) -> Any:
    """PAG and NAG for SD3 replace whole joint blocks, and call the original."""

    def replace(args, extra):
        out = extra["original_block"](args)
        return {**out, "img": out["img"] * 1.1}

    patched = model.clone()
    patched.set_model_patch_replace(replace, "dit", "double_block", 0)
    return patched


def attention_couple(model: Any) -> Any:
    """Two prompts for two halves: the batch doubles, contexts get a common multiple as length."""
    patched = model.clone()
    width = _context_width(model)
    region = seeded("region", (1, 154, width), 5)

    def before(query, context, value, extra):
        length = math.lcm(context.shape[1], region.shape[1])
        first = context.repeat(1, length // context.shape[1], 1)
        second = region.expand(context.shape[0], -1, -1).repeat(1, length // region.shape[1], 1)
        both = torch.cat((first, second))
        return query.repeat(2, 1, 1), both, both

    def after(output, extra):
        first, second = output.chunk(2)
        left = torch.arange(first.shape[1]) < first.shape[1] // 2
        return torch.where(left[None, :, None], first, second)

    patched.set_model_attn2_patch(before)
    patched.set_model_attn2_output_patch(after)
    return patched


def _context_width(model: Any) -> int:
    return model.model.model_config.unet_config["context_dim"]


PARTNERS = (
    Partner("LoRA", ALL, lora),
    Partner("Diffusion-DPO LoRA", UNETS, dpo_lora),
    Partner("PAG", UNETS, perturbed_attention),
    Partner("SAG", UNETS, self_attention_guidance),
    Partner("SLG", ("sd3",), skip_layer_guidance),
    Partner("RescaleCFG", ALL, rescaled_guidance),
    Partner("NAG", UNETS, normalized_attention_guidance),
    Partner("IPAdapter", UNETS, ip_adapter),
    Partner("Joint block replacements", ("sd3",), joint_block_replacement),
    Partner("Attention couple", UNETS, attention_couple),
    Partner("ToMe", ("sd15",), token_merging),
    Partner("FreeU", UNETS, free_u),
    Partner("HyperTile", UNETS, hyper_tile, size=16),
    Partner("Deep Shrink", UNETS, deep_shrink),
    Partner("EasyCache", UNETS, easy_cache),
    Partner("DeepCache", ALL, deep_cache),
    Partner("ModelSamplingSD3", ("sd3",), shift),
)
