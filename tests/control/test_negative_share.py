"""A strength of its own on the negative prompt: what two Apply to Conditioning nodes give."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from comfyui_softrepa.nodes.schedule import SoftREPASchedule
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests.control import row_partners
from comfyui_softrepa.tests.control.partners import PARTNERS
from comfyui_softrepa.tests.control.studio import differs
from comfyui_softrepa.tests.golden_models import relative_error

NAMED = {partner.name: partner for partner in PARTNERS}
WAYS = ("blend", "attention")


def on_prompts(art, strength: float, share: float, **settings):
    return {
        "positive": art.on_prompt(art.positive, strength=strength, **settings),
        "negative": art.on_prompt(art.negative, strength=strength * share, **settings),
    }


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("strength", "share"), [(0.8, 0.5), (1.0, 0.4), (0.5, 2.0)])
def test_it_is_that_of_two_nodes_on_the_prompts(art, how, strength, share):
    art = dataclasses.replace(art, latent=art.latent.repeat(2, 1, 1, 1))
    settings = {"strength": strength, "strength_as": how}
    found = art.sample(art.on_model(**settings, negative_share=share))
    expected = art.sample(**on_prompts(art, strength, share, strength_as=how))
    for (cond, uncond), (wanted, unwanted) in zip(found.calls, expected.calls, strict=True):
        assert relative_error(cond, wanted) < 1e-4 and relative_error(uncond, unwanted) < 1e-4
    alike = art.sample(art.on_model(**settings))
    assert differs(found.uncond, alike.uncond) and not differs(found.cond, alike.cond, 1e-5)


@pytest.mark.parametrize("how", WAYS)
def test_none_of_it_is_the_bare_model_there(art, how):
    found = art.sample(art.on_model(strength_as=how, negative_share=0.0))
    bare, whole = art.sample(), art.sample(art.on_model(strength_as=how))
    assert relative_error(found.uncond, bare.uncond) < 1e-5
    assert relative_error(found.cond, whole.cond) < 1e-5
    assert differs(found.cond, bare.cond)


def test_where_branches_are_computed_apart(art, monkeypatch):
    """As on cards with little memory: each call has samples of one kind."""
    import comfy.samplers

    together = art.sample(art.on_model(strength=0.8, negative_share=0.5))
    monkeypatch.setattr(comfy.samplers, "can_concat_cond", lambda one, other: one is other)
    apart = art.sample(art.on_model(strength=0.8, negative_share=0.5))
    assert relative_error(apart.latent, together.latent) < 1e-4
    without = art.sample(art.on_model(negative_share=0.0))
    assert torch.equal(without.uncond, art.sample().uncond)


@pytest.mark.parametrize("how", WAYS)
def test_a_schedule_holds_for_both(art, how):
    curve = SoftREPASchedule.execute("0:1, 1:0.2", "linear", "").args[0]
    settings = {"strength": 0.8, "strength_as": how, "schedule": curve}
    found = art.sample(art.on_model(**settings, negative_share=0.5))
    expected = art.sample(**on_prompts(art, share=0.5, **settings))
    assert relative_error(found.latent, expected.latent) < 1e-4


@pytest.mark.parametrize("how", WAYS)
def test_two_adapters_each_have_their_own(art, how):
    second = dataclasses.replace(art.adapter, tokens=art.adapter.tokens.flip(2))
    below = art.on_model(strength=0.8, strength_as=how, negative_share=0.5)
    found = art.sample(
        art.on_model(below, second, strength=0.6, strength_as=how, negative_share=0.25)
    )
    first = on_prompts(art, 0.8, 0.5, strength_as=how)
    expected = art.sample(
        positive=art.on_prompt(first["positive"], second, strength=0.6, strength_as=how),
        negative=art.on_prompt(first["negative"], second, strength=0.15, strength_as=how),
    )
    assert relative_error(found.latent, expected.latent) < 1e-4


@pytest.mark.parametrize("how", WAYS)
def test_rows_of_regions(studios, how):
    """Attention couple computes the positive prompt's rows once for each region."""
    art = studios["sd15"]
    art = dataclasses.replace(art, latent=art.latent.repeat(2, 1, 1, 1))
    model = row_partners.attention_couple(art.model, 0.4, region=art.positive[0][0])
    settings = {"strength": 0.8, "strength_as": how}
    found = art.sample(art.on_model(model, **settings, negative_share=0.5), steps=2, cfg=2.0)
    expected = art.sample(art.on_model(**settings, negative_share=0.5), steps=2, cfg=2.0)
    assert relative_error(found.latent, expected.latent) < 1e-3
    assert differs(found.uncond, art.sample(art.on_model(model, **settings), cfg=2.0).uncond)


@pytest.mark.parametrize("arch", ["sd15", "sd3"])
def test_rows_of_a_second_negative_prompt(studios, arch):
    """NAG puts rows of its own behind the text; they are of the samples before them."""
    art, nag = studios[arch], NAMED["NAG"]
    found = art.sample(art.on_model(nag.patch(art.model), strength=0.8, negative_share=0.5))
    assert torch.isfinite(found.latent).all()
    alike = art.sample(art.on_model(nag.patch(art.model), strength=0.8))
    assert relative_error(found.cond, alike.cond) < 1e-5
    assert differs(found.latent, alike.latent)


def test_below_0_is_no_weight_in_attention(sd3):
    with pytest.raises(AdapterError, match="Below 0"):
        sd3.on_model(strength_as="attention", negative_share=-0.5)
    sd3.on_model(negative_share=-0.5)
