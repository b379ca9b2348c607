"""Adapters beside what artists combine them with: both act, in either order, at any strength."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import pytest
import torch
from comfyui_softrepa.tests.control.partners import PARTNERS
from comfyui_softrepa.tests.control.studio import differs

CASES = [(partner, arch) for partner in PARTNERS for arch in partner.archs]
BRIEF = [(partner, arch) for partner, arch in CASES if arch != "sdxl"]


@pytest.fixture(scope="module")
def baseline(studios):
    """(arch, partner) -> latents: plain, with the adapter on the model, and on the prompt."""

    @functools.cache
    def latents(arch, size, text):
        art = sized(studios[arch], size, text)
        hooked = art.on_prompt(art.positive)
        runs = (art.sample(), art.sample(art.on_model()), art.sample(positive=hooked))
        return tuple(run.latent for run in runs)

    return lambda arch, partner: latents(arch, partner.size, partner.text)


def sized(art, size, text=None):
    """The studio with an empty picture of this size, and its prompts as a partner encodes them."""
    latent = art.latent.new_zeros(*art.latent.shape[:2], size, size)
    prompts = {
        name: [[text(tensor) if text else tensor, rest] for tensor, rest in getattr(art, name)]
        for name in ("positive", "negative")
    }
    return dataclasses.replace(art, latent=latent, **prompts)


@pytest.mark.parametrize(("partner", "arch"), CASES, ids=lambda case: getattr(case, "name", case))
def test_both_act_whichever_comes_first(studios, baseline, partner, arch):
    art = sized(studios[arch], partner.size, partner.text)
    plain, adapter, _ = baseline(arch, partner)
    alone = art.sample(partner.patch(art.model)).latent
    assert differs(alone, plain), "the partner does nothing here"
    for strength in (1.0, 0.5):
        after = art.sample(art.on_model(partner.patch(art.model), strength=strength)).latent
        before = art.sample(partner.patch(art.on_model(strength=strength))).latent
        assert torch.isfinite(after).all()
        assert torch.allclose(before, after, rtol=1e-4, atol=1e-4)
        assert differs(after, alone)
        assert differs(after, adapter)
    off = art.sample(art.on_model(partner.patch(art.model), strength=0.0)).latent
    assert torch.equal(off, alone)


@pytest.mark.parametrize(("partner", "arch"), BRIEF, ids=lambda case: getattr(case, "name", case))
def test_on_a_prompt_it_acts_beside_the_partner_too(studios, baseline, partner, arch):
    art = sized(studios[arch], partner.size, partner.text)
    hooked = art.sample(partner.patch(art.model), positive=art.on_prompt(art.positive)).latent
    assert torch.isfinite(hooked).all()
    assert differs(hooked, art.sample(partner.patch(art.model)).latent)
    assert differs(hooked, baseline(arch, partner)[2])


def test_the_table_in_the_docs_names_every_partner():
    table = (Path(__file__).resolve().parents[2] / "docs" / "combinations.md").read_text("utf-8")
    for partner in PARTNERS:
        assert f"| {partner.name} |" in table
