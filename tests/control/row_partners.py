"""Stand-ins for packs that change the rows or the length of the text inside a model.

Each calls ComfyUI as the pack named does (the sources were read in November 2026): the same
extension points, the same rows, in the same order.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.ops
import torch
from comfy.ldm.modules.attention import CrossAttention, optimized_attention
from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT
from comfy.patcher_extension import WrappersMP
from comfyui_softrepa.tests.golden_models import seeded
from torch import Tensor

COND = 0


def attention_couple(model: Any, share: float = 0.5, region: Tensor | None = None) -> Any:
    """Attention couple of cgem156-ComfyUI, ComfyUI-ppm and comfyui-prompt-control: a patch before
    cross-attention and one after it. Negative chunks stay; each positive chunk comes once for every
    prompt, contexts repeated to a common length.

    share: the part of the picture, from the left, that the base prompt has; two regional prompts
    have the rest. region: their text, (1, length, width).
    """
    patched = model.clone()
    before, after = couple_patches(_context_width(model), share, region)
    patched.set_model_attn2_patch(before)
    patched.set_model_attn2_output_patch(after)
    return patched


def couple_patches(
    width: int, share: float = 0.5, region: Tensor | None = None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The attn2_patch and the attn2_output_patch."""
    regions = [seeded(f"region {n}", (1, 154, width), 5) for n in (1, 2)]
    if region is not None:
        regions = [region, region]
    conds = len(regions) + 1

    def before(query, key, value, extra):
        kinds = extra["cond_or_uncond"]
        samples = query.shape[0] // len(kinds)
        length = math.lcm(key.shape[1], *(each.shape[1] for each in regions))
        others = [each.repeat(samples, length // each.shape[1], 1) for each in regions]
        queries, keys = [], []
        chunks = zip(kinds, query.chunk(len(kinds)), key.chunk(len(kinds)), strict=True)
        for kind, picture, text in chunks:
            text = text.repeat(1, length // key.shape[1], 1)
            queries.append(picture.repeat(conds, 1, 1) if kind == COND else picture)
            keys += [text, *others] if kind == COND else [text]
        keys = torch.cat(keys).to(key)
        return torch.cat(queries), keys, keys

    def after(output, extra):
        kinds = extra["cond_or_uncond"]
        places = torch.arange(output.shape[1]) / output.shape[1] < share
        weights = [places.float(), *[(~places).float() / 2] * 2]
        rows = sum(conds if kind == COND else 1 for kind in kinds)
        chunks = iter(output.chunk(rows))
        found = []
        for kind in kinds:
            if kind == COND:
                parts = zip(weights, itertools.islice(chunks, conds), strict=True)
                found.append(sum(weight[None, :, None] * part for weight, part in parts))
            else:
                found.append(next(chunks))
        return torch.cat(found)

    return before, after


def negative_weights(model: Any) -> Any:
    """NegPip (ComfyUI-ppm): the text comes interleaved, each token once for the keys and once for
    the values, and a patch before cross-attention takes them apart."""
    patched = model.clone()
    patched.set_model_attn2_patch(
        lambda query, key, value, _: (query, key[:, 0::2], value[:, 1::2])
    )
    return patched


def interleaved(text: Tensor) -> Tensor:
    """A text as NegPip's encoder gives it, the values of every third token negative."""
    values = text.clone()
    values[:, ::3] *= -1
    return torch.stack((text, values), dim=2).flatten(1, 2)


def normalized_attention_guidance(model: Any) -> Any:
    """NAG (ComfyUI-NAG): where a positive prompt is in the call, the model's forward puts a second
    negative prompt behind the text, one row a sample, and the attention layers have forwards of
    their own while it runs."""
    patched = model.clone()

    def wrap(executor, x, sigma, *args, **kwargs):
        options = next((each for each in args if isinstance(each, dict)), None)
        options = kwargs.get("transformer_options") if options is None else options
        kinds = options.get("cond_or_uncond", ())
        if COND not in kinds:
            return executor(x, sigma, *args, **kwargs)
        network = executor.class_obj.diffusion_model
        forward = _guided_mmdit if isinstance(network, MMDiT) else _guided_unet
        bound = functools.partial(forward, network, network.forward, x.shape[0] // len(kinds))
        with replaced({network: bound}):
            return executor(x, sigma, *args, **kwargs)

    options = patched.model_options["transformer_options"]
    wrappers = options.setdefault("wrappers", {}).setdefault(WrappersMP.APPLY_MODEL, {})
    wrappers.setdefault("nag", []).append(wrap)
    return patched


@contextmanager
def replaced(forwards: dict[torch.nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Modules with other forwards, for a while."""
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward


def _guided_unet(network, forward, samples, x, timesteps=None, context=None, *args, **kwargs):
    context = _behind(context, samples)
    layers = [
        module
        for name, module in network.named_modules()
        if "attn2" in name and isinstance(module, CrossAttention)
    ]
    with replaced({layer: _guided_attention.__get__(layer) for layer in layers}):
        return forward(x, timesteps, context, *args, **kwargs)


def _guided_attention(self, x, context=None, value=None, mask=None, transformer_options=None):
    rows = context.shape[0] - x.shape[0]
    query, key = self.to_q(x), self.to_k(context)
    value = self.to_v(context if value is None else value)
    found = optimized_attention(query, key[:-rows], value[:-rows], self.heads)
    away = optimized_attention(query[-rows:], key[-rows:], value[-rows:], self.heads)
    return self.to_out(torch.cat((found[:-rows], _pushed(found[-rows:], away))))


def _guided_mmdit(network, _, samples, x, timesteps, context=None, y=None, control=None,
                  transformer_options=None, **kwargs):  # fmt: skip
    """The whole forward, because the picture has fewer rows than the text and its modulation."""
    options = transformer_options or {}
    context = network.context_embedder(_behind(context, samples))
    size = x.shape[-2:]
    place = network.cropped_pos_embed(size, device=x.device)
    x = network.x_embedder(x) + comfy.ops.cast_to_input(place, x)
    vec = network.t_embedder(timesteps, dtype=x.dtype)
    vec = torch.cat((vec, vec[-samples:])) + network.y_embedder(torch.cat((y, y[-samples:] * 0.5)))
    replacements = options.get("patches_replace", {}).get("dit", {})
    blocks = list(network.joint_blocks)
    with replaced({block: _guided_joint_block.__get__(block) for block in blocks}):
        for index, block in enumerate(blocks):
            slot = ("double_block", index)
            if slot not in replacements:
                context, x = block(context, x, c=vec, use_checkpoint=False)
                continue

            def original(args, block=block):
                text, picture = block(args["txt"], args["img"], c=args["vec"])
                return {"txt": text, "img": picture}

            args = {"img": x, "txt": context, "vec": vec, "transformer_options": options}
            out = replacements[slot](args, {"original_block": original})
            context, x = out["txt"], out["img"]
    x = network.final_layer(x, vec[: x.shape[0]])
    return network.unpatchify(x, hw=size)


def _guided_joint_block(self, context, x, c, use_checkpoint=True):
    rows = context.shape[0] - x.shape[0]
    text, text_rest = self.context_block.pre_attention(context, c)
    picture, picture_rest = self.x_block.pre_attention(x, c[:-rows])
    joined = [
        torch.cat((text[n], torch.cat((picture[n], picture[n][-rows:]))), dim=1) for n in range(3)
    ]
    attention = optimized_attention(*joined, heads=self.x_block.attn.num_heads)
    length = text[0].shape[1]
    found, away = attention[:-rows, length:], attention[-rows:, length:]
    found = torch.cat((found[:-rows], _pushed(found[-rows:], away)))
    pre_only = self.context_block.pre_only
    context = (
        None if pre_only else self.context_block.post_attention(attention[:, :length], *text_rest)
    )
    return context, self.x_block.post_attention(found, *picture_rest)


def _behind(context: Tensor, samples: int) -> Tensor:
    """The text with a second negative prompt behind it, one row a sample."""
    length, width = context.shape[1:]
    negative = seeded("nag", (1, 77, width), 4).repeat(samples, -(-length // 77), 1)
    return torch.cat((context, negative[:, -length:]))


def _pushed(found: Tensor, away: Tensor) -> Tensor:
    """Attention pushed away from what the negative prompt gives, and held to its norm."""
    pushed = found * 3.0 - away * 2.0
    norms = [each.norm(p=1, dim=-1, keepdim=True).clamp_min(1e-6) for each in (found, pushed)]
    ratio = norms[1] / norms[0]
    pushed = pushed * torch.minimum(ratio, torch.full_like(ratio, 2.5)) / ratio
    return 0.5 * pushed + 0.5 * found


def _context_width(model: Any) -> int:
    return model.model.model_config.unet_config["context_dim"]
