"""Other packs on the newer models, on small random ones: exact where that can be said."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT
from comfyui_softrepa.injection.architectures import anima
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.softrepa.tokens import soft_tokens
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.control import dit_partners as partners
from comfyui_softrepa.tests.control.test_architectures import prompt, sample
from comfyui_softrepa.tests.golden_models import relative_error, seeded

DOUBLE = ("flux", "flux2", "chroma", "qwen_image", "hunyuan_image", "wan", "aura_flow")
HOWS = [(1.0, "blend"), (0.5, "blend"), (0.5, "attention")]


def load(name: str) -> small_models.SmallModel:
    if not small_models.there(name):
        pytest.skip("this ComfyUI has no such model")
    return small_models.load(name)


@pytest.fixture(scope="module", params=small_models.KINDS)
def small(request):
    return load(request.param)


def apply(small, adapter, strength=1.0, how="blend", on=None):
    return SoftREPAApply.execute(
        on or small.patcher, adapter, strength, 0.0, 1.0, "", None, how
    ).args[0]


def predict(small, model, **more):
    """One call with a negative and a positive chunk."""
    model = model.clone()
    options = model.model_options["transformer_options"]
    options.update(cond_or_uncond=[1, 0], sigmas=small.sigma[:1])
    return small.predict(model, sigma=small.sigma[:1].repeat(2), **more)


def both_act(small, put, how, **more):
    """Adapter and partner, connected in either order, change what the other alone gives; strength
    0 is the partner's own bits, and nearly 0 nearly that."""
    strength, kind = how
    adapter = small.adapter(scale=2.0)
    alone, ours = put(small.patcher), apply(small, adapter, strength, kind)
    theirs = predict(small, alone, **more)
    assert relative_error(theirs, predict(small, small.patcher)) > 1e-4, "the partner does nothing"
    after = predict(small, apply(small, adapter, strength, kind, on=alone), **more)
    before = predict(small, put(ours), **more)
    assert (
        relative_error(after, theirs) > 1e-5 and relative_error(after, predict(small, ours)) > 1e-5
    )
    assert relative_error(before, after) < 1e-5
    assert torch.equal(predict(small, apply(small, adapter, 0.0, on=alone), **more), theirs)
    near = predict(small, apply(small, adapter, 1e-6, kind, on=alone), **more)
    assert relative_error(near, theirs) < 1e-4
    return after


ENDS = ("qkv", "add_q_proj", "to_q", "k_proj", "self_attn.q", "cross_attn.k", "w1q", "w2q")


@pytest.mark.parametrize("how", HOWS)
def test_lora(small, how):
    adapter = small.adapter(scale=2.0)
    loaded = partners.lora(small.patcher, *ENDS)
    loaded.patch_model(load_weights=True)
    try:
        with_lora = small.predict(loaded)
        both = small.predict(apply(small, adapter, *how, on=loaded))
        none = small.predict(apply(small, adapter, 0.0, on=loaded))
    finally:
        loaded.unpatch_model()
    assert torch.equal(none, with_lora)
    assert relative_error(with_lora, small.predict()) > 1e-4
    assert relative_error(both, with_lora) > 1e-5
    assert relative_error(both, small.predict(apply(small, adapter, *how))) > 1e-4


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", DOUBLE)
def test_a_skipped_block_skips_its_tokens(name, how):
    small = load(name)
    adapter = small.adapter(scale=2.0)
    count = len(small.blocks)
    none = partners.skipped(small.patcher, *range(count))
    assert torch.equal(predict(small, apply(small, adapter, *how, on=none)), predict(small, none))
    first = partners.skipped(small.patcher, 0)
    found = predict(small, apply(small, adapter, *how, on=first))
    later = SoftREPAApply.execute(
        first, adapter, how[0], 0.0, 1.0, ",".join(map(str, range(1, count))), None, how[1]
    ).args[0]
    assert relative_error(found, predict(small, later)) < 1e-6
    assert relative_error(found, predict(small, first)) > 1e-5


@pytest.mark.parametrize("name", ["flux", "qwen_image"])
def test_skip_layer_guidance_samples(name):
    small = load(name)
    guided = SkipLayerGuidanceDiT.execute(
        small.patcher, 3.0, 0.0, 1.0, double_layers="0", single_layers="0"
    ).args[0]
    adapter = small.adapter(scale=2.0)
    plain = sample(small, prompt(small, 0), guided).latent
    found = sample(small, prompt(small, 0), apply(small, adapter, on=guided)).latent
    alone = sample(small, prompt(small, 0), apply(small, adapter)).latent
    assert relative_error(found, plain) > 1e-4 and relative_error(found, alone) > 1e-4


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["flux", "flux2", "chroma"])
def test_perturbed_attention(name, how):
    both_act(load(name), lambda model: partners.perturbed(model, 0), how)


@pytest.mark.parametrize("how", HOWS)
def test_nag_on_flux(how):
    """Also where its negative prompt is the shorter one, and against the same by hand."""
    small = load("flux")
    both_act(small, partners.nag_on_flux, how)
    made = small.adapter(scale=2.0, timed=False)
    tokens = made.tokens[:, :1].expand(-1, len(small.blocks), -1, -1).contiguous()
    adapter = dataclasses.replace(made, tokens=tokens)
    rows = soft_tokens(adapter, torch.zeros(1), 0)[0, 0]
    expected = predict(small, partners.nag_on_flux(small.patcher, beside=rows))
    found = predict(small, apply(small, adapter, on=partners.nag_on_flux(small.patcher)))
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["lumina", "z_image"])
def test_nag_on_lumina(name, how):
    both_act(load(name), partners.nag_on_lumina, how)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["predict2", "anima"])
def test_attention_couple_on_anima(name, how):
    small = load(name)
    region = torch.nn.functional.pad(seeded("region", (1, 6, small.kind.context), 5), (0, 0, 0, 10))
    both_act(small, lambda model: partners.couple_on_anima(model, region), how)


def test_every_region_has_the_tokens_where_cross_attention_calls_patches():
    """A region with the prompt's own text is then no region at all."""
    if not anima._HAS_PATCHES:
        pytest.skip("this ComfyUI's cross-attention calls no patches")
    small = load("anima")
    text = small.context(1).repeat(2, 1, 1)
    alone = apply(small, small.adapter(scale=2.0, timed=False))
    coupled = partners.couple_on_anima(alone, text[:1])
    found, expected = (predict(small, model, context=text) for model in (coupled, alone))
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["predict2", "anima"])
def test_negative_weights_on_anima(name, how):
    small = load(name)
    mask = torch.ones(1, small.context().shape[1], 1)
    mask[:, 1:4] = -1
    both_act(small, lambda model: partners.negative_weights_on_anima(model, mask), how)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["flux", "chroma"])
def test_a_controlnet_adds_to_the_picture(name, how):
    """What a ControlNet of this model hands to the network: addends for the picture's rows."""
    small = load(name)
    adapter = small.adapter(scale=2.0)
    height, width = small.kind.size
    shape = (2, (height + 1) // 2 * ((width + 1) // 2), small.kind.width)
    control = {"input": [seeded("in", shape, 1)] * 2, "output": [seeded("out", shape, 2)]}
    plain = predict(small, small.patcher, control=control)
    assert relative_error(plain, predict(small, small.patcher)) > 1e-3
    patched = apply(small, adapter, *how)
    found = predict(small, patched, control=control)
    assert relative_error(found, plain) > 1e-5
    assert relative_error(found, predict(small, patched)) > 1e-3
    none = predict(small, apply(small, adapter, 0.0), control=control)
    assert torch.equal(none, plain)
    near = predict(small, apply(small, adapter, 1e-6, how[1]), control=control)
    assert relative_error(near, plain) < 1e-4


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["lumina", "z_image"])
def test_patches_behind_a_layer_see_no_tokens(name, how):
    """Z-Image's ControlNets stand there, in newer cores."""
    small = load(name)

    def seen(model):
        shapes = []

        def patch(args):
            shapes.append([tuple(args[part].shape) for part in ("img", "txt")])
            return {"img": args["img"] * 1.1}

        model = model.clone()
        model.model_options["transformer_options"]["patches"] = {
            **model.model_options["transformer_options"].get("patches", {}), "double_block": [patch]
        }  # fmt: skip
        return predict(small, model), shapes

    plain, shapes = seen(small.patcher)
    if not shapes:
        pytest.skip("this ComfyUI has no patches there")
    found, same = seen(apply(small, small.adapter(scale=2.0), *how))
    assert shapes == same and relative_error(found, plain) > 1e-5
