"""Strength as the weight in attention, beside what artists combine an adapter with."""

from __future__ import annotations

import dataclasses

import comfy.hooks
import pytest
import torch
from comfyui_softrepa.nodes.schedule import SoftREPASchedule
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests.control import row_partners
from comfyui_softrepa.tests.control.partners import PARTNERS
from comfyui_softrepa.tests.control.studio import differs
from comfyui_softrepa.tests.golden_models import relative_error

NAMED = {partner.name: partner for partner in PARTNERS}
IN_ATTENTION = {"strength_as": "attention"}
BY_THEMSELVES = ("IPAdapter", "NAG")
"""Their attention does not take the options of the call: a blend takes the weight's place."""


def twice(art):
    """The studio with each token of its adapter twice: at strength 1, the adapter at weight 2."""
    tokens = art.adapter.tokens.repeat(1, 1, 2, 1)
    offsets = art.adapter.offsets
    return dataclasses.replace(
        art, adapter=dataclasses.replace(art.adapter, tokens=tokens, offsets=offsets)
    )


CASES = [
    ("PAG", "sd15"),
    ("SAG", "sd15"),
    ("HyperTile", "sd15"),
    ("Attention couple", "sd15"),
    ("SLG", "sd3"),
    ("Joint block replacements", "sd3"),
    ("ModelSamplingSD3", "sd3"),
]


@pytest.mark.parametrize(("name", "arch"), CASES)
def test_a_weight_is_a_count_whichever_comes_first(studios, name, arch):
    art, patch = studios[arch], NAMED[name].patch
    art = dataclasses.replace(art, latent=art.latent.repeat(2, 1, 1, 1))
    expected = art.sample(twice(art).on_model(patch(art.model)), steps=2).latent
    for model in (
        art.on_model(patch(art.model), strength=2.0, **IN_ATTENTION),
        patch(art.on_model(strength=2.0, **IN_ATTENTION)),
    ):
        assert relative_error(art.sample(model, steps=2).latent, expected) < 1e-4
    assert differs(expected, art.sample(patch(art.model), steps=2).latent)


@pytest.mark.parametrize(("name", "arch"), [("IPAdapter", "sd15"), ("NAG", "sd15"), ("NAG", "sd3")])
def test_attentions_of_other_packs_that_take_no_weight_get_a_blend(studios, name, arch):
    art, patch = studios[arch], NAMED[name].patch
    found, expected = (
        art.sample(art.on_model(patch(art.model), strength=0.5, strength_as=how), steps=2).cond
        for how in ("attention", "blend")
    )
    assert relative_error(found, expected) < 1e-5


def test_negative_text_weights_and_text_of_two_lengths(studios):
    """NegPip gives keys and values of their own; both get the weight."""
    partner = NAMED["NegPip"]
    art = studios["sd15"]
    prompts = {
        name: [[partner.text(tensor), rest] for tensor, rest in getattr(art, name)]
        for name in ("positive", "negative")
    }
    art = dataclasses.replace(art, **prompts)
    model = partner.patch(art.model)
    found = art.sample(art.on_model(model, strength=2.0, **IN_ATTENTION)).latent
    assert relative_error(found, art.sample(twice(art).on_model(model)).latent) < 1e-4


@pytest.mark.parametrize("arch", ["sd15", "sd3"])
def test_on_a_prompt_with_curves_and_keyframes(studios, arch):
    art = studios[arch]
    curve = SoftREPASchedule.execute("0:1, 1:0", "linear", "").args[0]
    for settings in ({"strength": 0.5}, {"schedule": curve}):
        on_prompts = {
            name: art.on_prompt(getattr(art, name), **settings, **IN_ATTENTION)
            for name in ("positive", "negative")
        }
        found = art.sample(**on_prompts).latent
        assert (
            relative_error(found, art.sample(art.on_model(**settings, **IN_ATTENTION)).latent)
            < 1e-5
        )
        assert differs(found, art.sample(art.on_model(**settings)).latent, 1e-6)

    def keyframes(*points):
        group = comfy.hooks.HookKeyframeGroup()
        for percent, strength in points:
            group.add(comfy.hooks.HookKeyframe(strength, percent, guarantee_steps=0))
        return art.on_prompt(art.positive, hook_kf=group, **IN_ATTENTION)

    falling = art.sample(positive=keyframes((0.0, 0.5), (0.5, 0.0)))
    half = art.sample(positive=art.on_prompt(art.positive, strength=0.5, **IN_ATTENTION))
    assert torch.equal(falling.cond, half.cond)
    with pytest.raises(AdapterError, match="Below 0"):
        keyframes((0.0, -1.0))
    with pytest.raises(AdapterError, match="Below 0"):
        art.sample(positive=art.on_prompt(art.positive, strength=-1.0, **IN_ATTENTION))


def test_rows_of_several_samples_and_banks(studios):
    """Each sample of a regional call gets its own tokens, all at the one weight."""
    art = studios["sd15"]
    art = dataclasses.replace(art, latent=art.latent.repeat(2, 1, 1, 1))
    region = art.positive[0][0]
    model = row_partners.attention_couple(art.model, 0.4, region=region)
    found = art.sample(art.on_model(model, strength=0.5, **IN_ATTENTION), steps=2, cfg=2.0).latent
    expected = art.sample(art.on_model(strength=0.5, **IN_ATTENTION), steps=2, cfg=2.0).latent
    assert relative_error(found, expected) < 1e-3
