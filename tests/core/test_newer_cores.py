"""Arguments that newer versions of ComfyUI hand to patches reach whoever they are for."""

from __future__ import annotations

import pytest
import torch
from comfy.ldm.modules.attention import CrossAttention, optimized_attention
from comfyui_softrepa.injection.application import BlockTokens
from comfyui_softrepa.injection.architectures.unet import ContextPatch
from comfyui_softrepa.injection.blocks.attention_blend import AttentionBlend
from comfyui_softrepa.injection.blocks.joint_block import JointBlockPatch

BLOCK = ("input", 1)


class NewerAttention(CrossAttention):
    """As in cores that keep a choice of attention with each layer."""

    comfy_attention = "chosen for this layer"

    def forward(self, x, context=None, value=None, mask=None, transformer_options=None):
        query, key, value = self.to_q(x), self.to_k(context), self.to_v(value)
        found = optimized_attention(
            query, key, value, self.heads, attn_precision=self.attn_precision,
            preferred_attention=self.comfy_attention, transformer_options=transformer_options,
        )  # fmt: skip
        return self.to_out(found)


@pytest.fixture
def seen():
    """The keyword arguments of each attention."""
    return []


@pytest.fixture
def options(seen):
    def override(attention, *args, **kwargs):
        seen.append(kwargs)
        return attention(*args, **kwargs)

    return {
        "block": BLOCK,
        "block_index": 0,
        "n_heads": 2,
        "attn_precision": None,
        "optimized_attention_override": override,
    }


@pytest.fixture
def layer():
    layer = NewerAttention(8, 8, heads=2, dim_head=4, operations=torch.nn)
    return layer.requires_grad_(False)


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 9, 8, generator=generator)
    return query, *(torch.randn(2, 7, 8, generator=generator) for _ in range(2))


def patched(strength: float) -> ContextPatch:
    tokens = torch.randn(2, 1, 3, 8, generator=torch.Generator().manual_seed(1))
    return ContextPatch(tokens, {BLOCK: BlockTokens(0, strength)})


def test_a_blend_uses_the_attention_that_is_kept_with_the_layer(layer, options, seen, tensors):
    """And is what the layer gives with and without the tokens, to the share of the strength."""
    query, context, value = patched(0.25)(*tensors, options)
    expected = torch.lerp(layer(*tensors), layer(query, context, value), 0.25)
    projected = layer.to_q(query), layer.to_k(context), layer.to_v(value)
    found = layer.to_out(AttentionBlend(None, (layer,))(*projected, options))
    assert torch.allclose(found, expected, atol=1e-6)
    assert [each["preferred_attention"] for each in seen] == ["chosen for this layer"] * 2


@pytest.mark.parametrize("layers", [(), "layer"])
def test_a_blend_passes_on_what_the_core_gives_it(layer, options, seen, tensors, layers):
    query, key, value = patched(0.5)(*tensors, options)
    blend = AttentionBlend(None, (layer,) if layers else ())
    blend(query, key, value, options, preferred_attention="given")
    assert [each["preferred_attention"] for each in seen] == ["given"] * 2


def test_an_earlier_replacement_gets_all_of_it(options, tensors):
    given = []

    def earlier(query, key, value, extra, **others):
        given.append((extra is options, others))
        return query

    query, key, value = patched(0.5)(*tensors, options)
    blend = AttentionBlend(earlier)
    blend(query, key, value, options, preferred_attention="given", mask=None)
    assert given == [(True, {"preferred_attention": "given", "mask": None})] * 2


def test_a_layer_with_a_forward_that_is_no_method(layer, options, seen, tensors):
    """What other packs may put there; the attention is then ComfyUI's."""
    layer.forward = lambda *args, **kwargs: pytest.fail("called with what is projected already")
    query, key, value = patched(0.5)(*tensors, options)
    assert AttentionBlend(None, (layer,))(query, key, value, options).shape == query.shape
    assert len(seen) == 2


def test_a_context_patch_may_be_called_by_name(options, tensors):
    """As Anima's cross-attention calls one in 0.33.0."""
    query, context, value = tensors
    patch = patched(1.0)
    expected = patch(query, context, value, dict(options))
    found = patch(query, context, value, pe=None, attn_mask=None, extra_options=dict(options))
    assert set(found) == {"q", "k", "v"}
    for tensor, name in zip(expected, "qkv", strict=True):
        assert torch.equal(found[name], tensor)
    other = {**options, "block": None}
    untouched = patch(query, context, value, pe=None, attn_mask=None, extra_options=other)
    assert untouched["k"] is context and untouched["v"] is value


@pytest.mark.parametrize("append", [True, False])
def test_a_joint_block_gets_all_of_it(append):
    given = []

    def earlier(args, extra, **others):
        given.append((args["attn_mask"], extra["layer"], others))
        return {"txt": args["txt"], "img": args["img"], "more": "kept"}

    tokens, text, picture = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    patch = JointBlockPatch(tokens, 0.5, append, earlier)
    args = {"txt": text, "img": picture, "vec": None, "attn_mask": "given"}
    found = patch(args, {"original_block": None, "layer": 0}, preferred_attention="chosen")
    assert given == [("given", 0, {"preferred_attention": "chosen"})] * 2
    assert torch.equal(found["txt"], text) and found["more"] == "kept"
