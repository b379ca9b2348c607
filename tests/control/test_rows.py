"""Tokens follow the rows of text, where a pack gives more rows than there are samples."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from comfy.hooks import (
    EnumHookScope,
    HookGroup,
    TransformerOptionsHook,
    set_hooks_for_conditioning,
)
from comfyui_softrepa.injection.blocks.rows import follow_rows
from comfyui_softrepa.nodes.schedule import SoftREPASchedule
from comfyui_softrepa.tests.control import row_partners
from comfyui_softrepa.tests.control.studio import differs
from comfyui_softrepa.tests.golden_models import relative_error, seeded


@pytest.mark.parametrize(
    ("samples", "queries", "rows", "kinds", "expected"),
    [
        (2, 2, 2, [1, 0], [0, 1]),
        (2, 3, 3, [1, 0], [0, 1, 1]),
        (2, 5, 5, [1, 0], [0, 1, 1, 1, 1]),
        (2, 3, 3, [0, 1], [0, 0, 1]),
        (4, 8, 8, [1, 0], [0, 1, 2, 3, 2, 3, 2, 3]),
        (3, 7, 7, [1, 0, 0], [0, 1, 1, 1, 2, 2, 2]),
        (2, 6, 6, [0], [0, 1, 0, 1, 0, 1]),
        (2, 2, 2, [1], [0, 1]),
        (2, 3, 3, [1, 1], [0, 1, 1]),
        (2, 2, 3, [1, 0], [0, 1, 1]),
        (4, 4, 6, [1, 0], [0, 1, 2, 3, 2, 3]),
        (2, 2, 4, [0], [0, 1, 0, 1]),
        (2, 2, 7, [1, 0], [0, 1, 1, 0, 1, 0, 1]),
        (2, 4, 4, (), [0, 1, 0, 1]),
        (2, 3, 3, (), [0, 1, 1]),
        (3, 3, 3, [1, 0], [0, 1, 2]),
        (2, 1, 1, [1, 0], [1]),
        (1, 5, 6, [1, 0], [0] * 6),
    ],
)
def test_each_row_gets_its_samples_tokens(samples, queries, rows, kinds, expected):
    tokens = torch.arange(samples).float()[:, None, None].expand(samples, 2, 3)
    found = follow_rows(tokens, queries, rows, kinds)
    assert found.shape == (rows, 2, 3)
    assert found[:, 0, 0].int().tolist() == expected


def predict(art, model, x, sigma, kinds, text):
    """One call of the model, as ComfyUI makes it for these chunks."""
    extra = {} if art.arch == "sd15" else {"y": seeded("y", (1, _y(art)), 3).repeat(len(x), 1)}
    options = {**model.model_options["transformer_options"]}
    options.update(cond_or_uncond=kinds, sigmas=sigma)
    with torch.no_grad():
        return model.model.apply_model(
            x, sigma, c_crossattn=text, transformer_options=options, **extra
        )


def _y(art):
    return 2816 if art.arch == "sdxl" else 2048


PACKS = {
    "alone": lambda model: model.clone(),
    "couple": row_partners.attention_couple,
    "nag": row_partners.normalized_attention_guidance,
}
CASES = [
    (arch, pack)
    for arch in ("sd15", "sdxl", "sd3")
    for pack in PACKS
    if (arch, pack) != ("sd3", "couple")
]


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize(("arch", "pack"), CASES)
def test_a_sample_gets_what_it_gets_alone(studios, arch, pack, strength):
    """Two samples in two chunks, at four noise levels and with the bank chosen a sample: each row
    as if it were a call of its own."""
    art = studios[arch]
    model = art.on_model(PACKS[pack](art.model), strength=strength)
    banks = torch.tensor([0, 1, 1, 0])
    sampling = model.model.model_sampling
    sigma = torch.stack(
        [sampling.percent_to_sigma(p) * torch.ones(()) for p in (0.2, 0.4, 0.6, 0.8)]
    )
    width = 4096 if arch == "sd3" else art.adapter.width
    x = seeded("x", (4, *art.latent.shape[1:]), 3)
    text = seeded("text", (4, 154, width), 3)
    together = predict(art, with_bank(model, banks), x, sigma, [1, 0], text)
    for row, kind in enumerate((1, 1, 0, 0)):
        own = slice(row, row + 1)
        alone = with_bank(model, banks[own])
        expected = predict(art, alone, x[own], sigma[own], [kind], text[own])
        assert relative_error(together[own], expected) < 1e-4, row


def with_bank(model, banks):
    """The model with its adapter's bank chosen a sample, as the trainer does."""
    copy = model.clone()
    patches = copy.model_options["transformer_options"]["patches"]
    patches["softrepa"] = [dataclasses.replace(each, bank=banks) for each in patches["softrepa"]]
    return copy


def of_two(art):
    """The studio, painting two pictures at once."""
    return dataclasses.replace(art, latent=art.latent.repeat(2, 1, 1, 1))


@pytest.mark.parametrize("arch", ["sd15", "sdxl"])
def test_a_region_with_the_base_prompt_changes_nothing(studios, arch):
    """Every region's text gets the tokens: the same text everywhere is the picture without."""
    art = of_two(studios[arch])
    expected = art.sample(art.on_model(), steps=2, cfg=2.0).latent
    for share in (1.0, 0.4):
        model = row_partners.attention_couple(art.model, share, region=art.positive[0][0])
        found = art.sample(art.on_model(model), steps=2, cfg=2.0).latent
        assert relative_error(found, expected) < 1e-3, share
    model = row_partners.attention_couple(art.model, 0.4)
    other = art.sample(art.on_model(model), steps=2, cfg=2.0).latent
    assert differs(other, expected)


class CoupleHook(TransformerOptionsHook):
    """As comfyui-prompt-control has it: attention couple on one conditioning."""

    def __init__(self, width=None):
        super().__init__(transformers_dict={}, hook_scope=EnumHookScope.HookedOnly)
        if width is not None:
            before, after = row_partners.couple_patches(width)
            patches = {"attn2_patch": [before], "attn2_output_patch": [after]}
            self.transformers_dict = {"patches": patches}


def test_a_regional_hook_on_the_positive_prompt(studios):
    art = of_two(studios["sd15"])
    group = HookGroup()
    group.add(CoupleHook(art.adapter.width))
    regional = set_hooks_for_conditioning(art.positive, group)
    alone = art.sample(steps=2, positive=regional).latent
    assert differs(alone, art.sample(steps=2).latent)
    for strength in (1.0, 0.5):
        found = art.sample(art.on_model(strength=strength), steps=2, positive=regional).latent
        assert torch.isfinite(found).all() and differs(found, alone)
        hooked = art.on_prompt(regional, strength=strength)
        found = art.sample(steps=2, positive=hooked).latent
        assert torch.isfinite(found).all() and differs(found, alone)


@pytest.mark.parametrize(("arch", "pack"), [("sd15", "couple"), ("sd15", "nag"), ("sd3", "nag")])
def test_batches_prompts_and_curves(studios, arch, pack):
    """Two pictures, a long and a short prompt, an adapter on either prompt, under a curve."""
    art = of_two(studios[arch])
    if arch != "sd3":
        ((text, rest),) = art.positive
        art = dataclasses.replace(art, positive=[[text.repeat(1, 2, 1), rest]])
    model = PACKS[pack](art.model)
    alone = art.sample(model, steps=2).latent
    schedule = SoftREPASchedule.execute("0:1, 1:0", "linear", "").args[0]
    curve = art.sample(art.on_model(model, schedule=schedule), steps=2).latent
    assert torch.isfinite(curve).all() and differs(curve, alone)
    for name in ("positive", "negative"):
        prompt = art.on_prompt(getattr(art, name), strength=0.5)
        found = art.sample(model, steps=2, **{name: prompt}).latent
        assert torch.isfinite(found).all() and differs(found, alone)
