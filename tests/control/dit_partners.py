"""Stand-ins for packs on the newer models: each calls the network as the pack named does.

Read in November 2026: ComfyUI-NAG (flux, and in a fork lumina2), comfyui-prompt-control and
ComfyUI-ppm (attention couple and NegPip on Anima's cross-attention). The others are ComfyUI's own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import comfy.sd
import torch
from comfy.ldm.flux.layers import timestep_embedding
from comfy.ldm.flux.math import attention
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from comfyui_softrepa.tests.control.row_partners import replaced
from comfyui_softrepa.tests.golden_models import seeded
from torch import Tensor

COND = 0
SHORTER = 5
"""Rows of the negative prompt of NAG's: fewer than the prompt has."""


def lora(model: Any, *ends: str) -> Any:
    """A LoRA on the weights whose names end so, under ComfyUI's own names for them."""
    weights = {}
    for name, weight in model.model.state_dict().items():
        if name.endswith(tuple(f"{end}.weight" for end in ends)) and weight.dim() == 2:
            key = name.removesuffix(".weight")
            weights[f"{key}.lora_up.weight"] = seeded(f"up {name}", (weight.shape[0], 2), 3)
            weights[f"{key}.lora_down.weight"] = seeded(
                f"down {name}", (2, weight.shape[1]), 3, 0.1
            )
    assert weights
    return comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)[0]


def skipped(model: Any, *blocks: int) -> Any:
    """What SkipLayerGuidanceDiT puts in place of double blocks for its own pass."""
    patched = model.clone()
    for block in blocks:
        patched.set_model_patch_replace(lambda args, extra: args, "dit", "double_block", block)
    return patched


def perturbed(model: Any, block: int) -> Any:
    """Perturbed attention in one double block: the picture's rows keep their values."""

    def override(function, query, key, value, heads, *args, **named):
        found = function(query, key, value, heads, *args, **named)
        rows = named["transformer_options"]["picture_rows"]
        kept = value.transpose(1, 2).flatten(2)
        return torch.cat((found[:, :-rows], kept[:, -rows:]), dim=1)

    def replace(args, extra):
        options = {
            **args["transformer_options"],
            "optimized_attention_override": override,
            "picture_rows": args["img"].shape[1],
        }
        return extra["original_block"]({**args, "transformer_options": options})

    patched = model.clone()
    patched.set_model_patch_replace(replace, "dit", "double_block", block)
    return patched


def nag_on_flux(model: Any, beside: Tensor | None = None) -> Any:
    """NAG: the network's forward is replaced while it runs. A second negative prompt, one row a
    sample, stands behind the text; both end together, so the shorter one has padding in front,
    which each block cuts, and rotations of its own.

    beside: rows (K, W) that each double block's text is given at its end, by hand: what an adapter
    with these tokens has to equal.
    """
    patched = model.clone()

    def wrap(executor, x, sigma, *args, **kwargs):
        network = executor.class_obj.diffusion_model
        with replaced({network: functools.partial(_guided_flux, network, beside)}):
            return executor(x, sigma, *args, **kwargs)

    options = patched.model_options["transformer_options"]
    add_wrapper_with_key(WrappersMP.APPLY_MODEL, "nag", wrap, options)
    return patched


def _guided_flux(network, beside, x, timestep, context, y=None, guidance=None, control=None,
                 transformer_options=None, **_):  # fmt: skip
    samples, length = x.shape[0], context.shape[1]
    img, img_ids = network.process_img(x)
    negative = seeded("nag", (1, SHORTER, context.shape[2]), 4)
    padded = negative.repeat(samples, math.ceil(length / SHORTER), 1)[:, -length:]
    vec = network.time_in(timestep_embedding(timestep, 256))
    vec = vec + network.guidance_in(timestep_embedding(guidance, 256))
    vec = torch.cat((vec, vec)) + network.vector_in(torch.cat((y, y * 0.5)))
    img, txt = network.img_in(img), network.txt_in(torch.cat((context, padded)))
    pes = [
        network.pe_embedder(torch.cat((torch.zeros(samples, rows, 3), img_ids), dim=1))
        for rows in (length, SHORTER)
    ]
    options = transformer_options or {}
    replacements = options.get("patches_replace", {}).get("dit", {})
    for index, block in enumerate(network.double_blocks):

        def run(args, block=block):
            texts = (args["pe"], args["pe_negative"])
            img, txt = _guided_block(block, args["img"], args["txt"], args["vec"], texts, length)
            return {"img": img, "txt": txt}

        args = {"img": img, "txt": txt, "vec": vec, "pe": pes[0], "pe_negative": pes[1],
                "attn_mask": None, "transformer_options": options}  # fmt: skip
        if beside is not None:
            out = _by_hand(run, args, beside)
        elif ("double_block", index) in replacements:
            out = replacements[("double_block", index)](args, {"original_block": run})
        else:
            out = run(args)
        img, txt = out["img"], out["txt"]
    return _finished(network, img, vec[:samples], x)


def _by_hand(run: Callable[..., Any], args: dict[str, Any], beside: Tensor) -> dict[str, Any]:
    count, txt = beside.shape[0], args["txt"]
    longer = {**args, "txt": torch.cat((txt, beside.expand(len(txt), -1, -1)), dim=1)}
    for name in ("pe", "pe_negative"):
        pe = args[name]
        longer[name] = torch.cat((pe[:, :, :1].expand(-1, -1, count, -1, -1, -1), pe), dim=2)
    out = run(longer)
    return {**out, "txt": out["txt"][:, :-count]}


def _guided_block(block, img, txt, vec, pes, length):
    """A double block whose picture has fewer rows than its text, the shorter text at the end."""
    samples = len(img)
    pad = length - SHORTER
    first, second = block.img_mod(vec[:samples])
    text_first, text_second = block.txt_mod(vec)

    def heads(attend, norm, sequence, told):
        qkv = attend.qkv(norm(sequence) * (1 + told.scale) + told.shift)
        query, key, value = qkv.unflatten(-1, (3, block.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return (*attend.norm(query, key, value), value)

    picture = heads(block.img_attn, block.img_norm1, img, first)
    text = heads(block.txt_attn, block.txt_norm1, txt, text_first)
    parts = ([each[:samples] for each in text], [each[samples:, :, pad:] for each in text])
    found = [
        attention(*(torch.cat(pair, dim=2) for pair in zip(part, picture, strict=True)), pe=pe)
        for part, pe in zip(parts, pes, strict=True)
    ]
    rows = img.shape[1]
    guided = found[0][:, -rows:] * 3.0 - found[1][:, -rows:] * 2.0
    img = img + first.gate * block.img_attn.proj(guided)
    inner = block.img_norm2(img) * (1 + second.scale) + second.shift
    img = img + second.gate * block.img_mlp(inner)
    txt = txt.clone()
    txt[:samples] += text_first.gate[:samples] * block.txt_attn.proj(found[0][:, :-rows])
    txt[samples:, pad:] += text_first.gate[samples:] * block.txt_attn.proj(found[1][:, :-rows])
    inner = block.txt_norm2(txt) * (1 + text_second.scale) + text_second.shift
    return img, txt + text_second.gate * block.txt_mlp(inner)


def _finished(network: Any, img: Tensor, vec: Tensor, x: Tensor) -> Tensor:
    """Without the single blocks, which have no tokens."""
    rows, columns = math.ceil(x.shape[2] / 2), math.ceil(x.shape[3] / 2)
    grid = network.final_layer(img, vec).unflatten(1, (rows, columns)).unflatten(-1, (-1, 2, 2))
    whole = grid.permute(0, 3, 1, 4, 2, 5).reshape(len(x), -1, rows * 2, columns * 2)
    return whole[:, :, : x.shape[2], : x.shape[3]]


def nag_on_lumina(model: Any) -> Any:
    """NAG on Lumina 2 (a fork): every sample comes twice, the second time with another text, and
    each layer's attention pushes the first from the second."""
    patched = model.clone()

    def wrap(executor, x, timesteps, context, num_tokens, *args, **kwargs):
        negative = seeded("nag", (1, *context.shape[1:]), 4).expand_as(context)
        network = executor.class_obj
        forwards = {
            layer.attention: functools.partial(_guided_attention, layer.attention.forward)
            for layer in network.layers
        }
        doubled = (torch.cat((x, x)), torch.cat((timesteps, timesteps)))
        with replaced(forwards):
            found = executor(*doubled, torch.cat((context, negative)), num_tokens, *args, **kwargs)
        return found[: len(x)]

    options = patched.model_options["transformer_options"]
    add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "nag", wrap, options)
    return patched


def _guided_attention(forward, x, *args, **kwargs):
    found, away = forward(x, *args, **kwargs).chunk(2)
    return torch.cat((found * 3.0 - away * 2.0, away))


def couple_on_anima(model: Any, region: Tensor) -> Any:
    """Attention couple of comfyui-prompt-control on Anima's network: while it runs, each
    cross-attention computes the positive chunks once for every text, and joins them by masks."""
    patched = model.clone()

    def wrap(executor, *args, **kwargs):
        layers = [block.cross_attn for block in executor.class_obj.blocks]
        forwards = {layer: functools.partial(_coupled, layer.forward, region) for layer in layers}
        with replaced(forwards):
            return executor(*args, **kwargs)

    options = patched.model_options["transformer_options"]
    add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "couple", wrap, options)
    return patched


def _coupled(forward, region, x, context, rope_emb=None, transformer_options=None):
    kinds = transformer_options["cond_or_uncond"]
    length = math.lcm(context.shape[1], region.shape[1])
    pictures, texts = [], []
    for kind, picture, text in zip(
        kinds, x.chunk(len(kinds)), context.chunk(len(kinds)), strict=True
    ):
        text = text.repeat(1, length // text.shape[1], 1)
        other = region.repeat(len(picture), length // region.shape[1], 1)
        pictures.append(picture.repeat(2, 1, 1) if kind == COND else picture)
        texts += [text, other] if kind == COND else [text]
    found = forward(torch.cat(pictures), torch.cat(texts), rope_emb, transformer_options)
    left = (torch.arange(found.shape[1]) < found.shape[1] // 2).float()[None, :, None]
    chunks, joined = iter(found.split(len(x) // len(kinds))), []
    for kind in kinds:
        part = next(chunks)
        joined.append(part * left + next(chunks) * (1 - left) if kind == COND else part)
    return torch.cat(joined)


def negative_weights_on_anima(model: Any, mask: Tensor) -> Any:
    """NegPip of ComfyUI-ppm on Anima's network: cross-attentions have a forward of their own,
    which calls no patches and takes values from a text times a mask of its length."""
    patched = model.clone()

    def wrap(executor, *args, **kwargs):
        layers = [block.cross_attn for block in executor.class_obj.blocks]
        with replaced({layer: functools.partial(_negated, layer, mask) for layer in layers}):
            return executor(*args, **kwargs)

    options = patched.model_options["transformer_options"]
    add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "ppm_negpip", wrap, options)
    return patched


def _negated(layer, mask, x, context, rope_emb=None, transformer_options=None):
    query, key, value = (
        each.unflatten(-1, (layer.n_heads, layer.head_dim)).transpose(1, 2)
        for each in (layer.q_proj(x), layer.k_proj(context), layer.v_proj(context * mask))
    )
    query, key = layer.q_norm(query), layer.k_norm(key)
    found = optimized_attention(query, key, value, layer.n_heads, skip_reshape=True,
                                transformer_options=transformer_options)  # fmt: skip
    return layer.output_proj(found)
