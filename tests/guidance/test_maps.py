"""Maps and losses, held against plain computations of the tests' own."""

from __future__ import annotations

import itertools

import numpy
import pytest
import torch
from comfyui_softrepa.guidance.losses import LOSSES
from comfyui_softrepa.guidance.maps import unet as attention_maps
from comfyui_softrepa.guidance.maps.call import Complete, _options
from comfyui_softrepa.guidance.prompt.places import Places, Thing
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.tests import adapters
from comfyui_softrepa.tests.control import partners
from comfyui_softrepa.tests.guidance import small_unet as small

PLACES = Places(
    things=(Thing((3,), ((2,),)), Thing((6, 7), ((5,),))),
    text=tuple(range(1, 9)),
    content=tuple(range(1, 76)),
    length=77,
)


def recorded(patcher, side=16):
    """What the recorder gives, for a latent that fits."""
    recorder = attention_maps.Recorder(77)
    model_options = {"transformer_options": patcher.model_options["transformer_options"]}
    options = _options(model_options, recorder)["transformer_options"]
    with torch.no_grad(), pytest.raises(Complete):
        patcher.model.apply_model(
            *inputs(side), c_crossattn=small.context("positive"), transformer_options=options
        )
    return recorder.mean()


def inputs(side):
    return small.latents(2, side) * 3.0, torch.tensor([2.5])


def seen(patcher, scale, tokens=0, side=16, weight=None):
    """The same from queries and keys that hooks of the tests' own see in an ordinary call.

    tokens: rows behind the first that are no part of the prompt. weight: how often each counts.
    """
    layers = [
        each.attn2
        for _, found, transformer in attention_maps.layers(patcher.model.diffusion_model)
        if found == scale
        for each in transformer.transformer_blocks
    ]
    calls = {layer: {"q": [], "k": []} for layer in layers}
    handles = [
        module.register_forward_hook(lambda *a, kept=calls[layer][name]: kept.append(a[2]))
        for layer in layers
        for name, module in (("q", layer.to_q), ("k", layer.to_k))
    ]
    try:
        with torch.no_grad():
            patcher.model.apply_model(
                *inputs(side),
                c_crossattn=small.context("positive"),
                transformer_options=patcher.model_options["transformer_options"],
            )
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for layer, kept in calls.items():
        for head in range(layer.heads):
            part = slice(head * layer.dim_head, (head + 1) * layer.dim_head)
            query, key = kept["q"][0][0, :, part].numpy(), kept["k"][0][0, :, part].numpy()
            scores = numpy.exp(query @ key.T / numpy.sqrt(layer.dim_head))
            if key.shape[0] > 77 and weight is not None:
                scores[:, 1 : 1 + tokens] *= weight
            share = scores / scores.sum(-1, keepdims=True)
            kept_rows = [0, *range(1 + key.shape[0] - 77, key.shape[0])]
            found.append(share[:, kept_rows])
    size = side // scale
    return torch.from_numpy(numpy.mean(found, 0).reshape(size, size, 77)).float()


def test_maps_are_the_mean_of_the_attentions(patcher):
    assert torch.allclose(recorded(patcher), seen(patcher, 2), atol=1e-6)


def test_maps_are_a_quarter_or_as_small_as_makes_sense(patcher):
    network = patcher.model.diffusion_model
    found = {
        size: attention_maps.scale_for(network, size)
        for size in itertools.product((8, 16, 32, 30, 64), repeat=2)
    }
    assert found[64, 64] == found[32, 64] == found[30, 32] == 4
    assert found[16, 64] == 2
    assert found[8, 8] == 1
    assert recorded(patcher, 32).shape == (8, 8, 77)


def test_a_lora_is_in_the_maps(patcher):
    with_lora = partners.lora(patcher)
    with_lora.patch_model()
    try:
        found, expected = recorded(with_lora), seen(with_lora, 2)
    finally:
        with_lora.unpatch_model()
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, recorded(patcher), atol=1e-4)


def adapted(patcher, strength, strength_as="blend"):
    adapter = adapters.random_adapter("unet", 768, 1, tokens=3, scale=1.0)
    return SoftREPAApply.execute(
        patcher, adapter, strength, 0.0, 1.0, "input,middle,output", strength_as=strength_as
    ).args[0]


def test_soft_tokens_take_their_share_and_are_counted_out(patcher):
    with_tokens = adapted(patcher, 1.0)
    expected = seen(with_tokens, 2, tokens=3)
    assert torch.allclose(recorded(with_tokens), expected, atol=1e-6)
    assert float(expected.sum(-1).amax()) < 0.999  # the tokens' share is not there


def test_soft_tokens_at_a_weight_in_attention(patcher):
    weighed = adapted(patcher, 0.4, "attention")
    assert torch.allclose(recorded(weighed), seen(weighed, 2, tokens=3, weight=0.4), atol=1e-6)


def test_soft_tokens_at_a_partial_strength_are_blended():
    query, key = (small.seeded(name, (1, rows, 8), 1) for name, rows in (("q", 5), ("k", 80)))
    plain = torch.cat((key[:, :1], key[:, 4:]), 1)
    one = attention_maps.attention_map(query, plain, 2, (), 77)
    full = attention_maps.attention_map(query, key, 2, (attention_maps.Span(3, 1.0),), 77)
    half = attention_maps.attention_map(query, key, 2, (attention_maps.Span(3, 0.3),), 77)
    assert torch.allclose(half, one + 0.3 * (full - one), atol=1e-6)


def image(seed=1):
    scores = small.seeded("image", (8, 8, 77), seed) * 2
    return scores.softmax(-1)


def test_published_is_its_formula():
    maps = image().numpy().astype(numpy.float64)
    sharp = numpy.exp(100 * maps[..., 1:76])
    sharp /= sharp.sum(-1, keepdims=True)
    kernel = numpy.exp(-(numpy.arange(-1, 2) ** 2.0))
    kernel = numpy.outer(kernel, kernel) / kernel.sum() ** 2
    worst = 1.0
    for word in ((3,), (6, 7)):
        padded = numpy.pad(sum(sharp[..., at - 1] for at in word), 1, mode="reflect")
        smooth = [(padded[y : y + 3, x : x + 3] * kernel).sum() for y in range(8) for x in range(8)]
        worst = min(worst, max(smooth))
    assert float(LOSSES["published"](image(), PLACES)) == pytest.approx(1 - worst, abs=1e-5)


def test_pairs_is_its_formula():
    maps = image().numpy().astype(numpy.float64)

    def spread(*word):
        flat = numpy.mean([maps[..., at].ravel() for at in word], 0)
        return flat / flat.sum()

    def divergence(p, q):
        return ((p * numpy.log(p / q)).sum() + (q * numpy.log(q / p)).sum()) / 2

    total = 0.0
    for noun, attribute in (((3,), 2), ((6, 7), 5)):
        outside = [at for at in range(1, 9) if at not in {*noun, attribute}]
        apart = [
            numpy.mean([divergence(spread(*word), spread(at)) for at in outside])
            for word in (noun, (attribute,))
        ]
        total += divergence(spread(attribute), spread(*noun)) - sum(apart) / 2
    assert float(LOSSES["pairs"](image(), PLACES)) == pytest.approx(total, rel=1e-4)


def test_overlap_is_its_formula_and_lies_between_0_and_1():
    maps = image().numpy().astype(numpy.float64)
    one, other = (maps[..., list(word)].mean(-1) for word in ((3,), (6, 7)))
    one, other = one / one.sum(), other / other.sum()
    expected = numpy.minimum(one, other).sum() / numpy.maximum(one, other).sum()
    assert float(LOSSES["overlap"](image(), PLACES)) == pytest.approx(expected, rel=1e-5)
    apart = torch.zeros(8, 8, 77)
    apart[:4, :, 3] = apart[4:, :, 6:8] = 1.0
    assert float(LOSSES["overlap"](apart, PLACES)) == 0.0
    apart[..., 3] = apart[..., 6] + 1.0
    apart[..., 6:8] = apart[..., 3:4]
    assert float(LOSSES["overlap"](apart, PLACES)) == pytest.approx(1.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_against_the_gradient_makes_it_less(loss):
    scores = (small.seeded("scores", (8, 8, 77), 5) * 2).requires_grad_()
    value = LOSSES[loss](scores.softmax(-1), PLACES)
    gradient = torch.autograd.grad(value, scores)[0]
    assert torch.isfinite(gradient).all()
    moved = scores.detach() - 1e-2 * gradient / gradient.norm()
    assert float(LOSSES[loss](moved.softmax(-1), PLACES)) < float(value)
