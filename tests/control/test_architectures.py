"""Adapters on one prompt, and sampling as KSampler does it, on each architecture beside SD's."""

from __future__ import annotations

import comfy.sample
import pytest
import torch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.apply_conditioning import SoftREPAApplyConditioning
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.control.studio import Recorder, Run, differs


@pytest.fixture(scope="module", params=sorted(small_models.KINDS))
def small(request):
    if not small_models.there(request.param):
        pytest.skip("this ComfyUI has no such model")
    return small_models.build(request.param)


def prompt(small, seed: int) -> list:
    text = small.context(1) * (1.0 + seed)
    return [[text, {"pooled_output": torch.full((1, 24), 0.1 * seed)}]]


def sample(small, positive, model=None, steps=2, negative=None) -> Run:
    """At CFG 3; both prompts in one call where nothing keeps them apart."""
    recorder = Recorder()
    recorded = (model or small.patcher).clone()
    recorded.set_model_sampler_pre_cfg_function(recorder)
    latent = torch.zeros_like(small.x(1))
    result = comfy.sample.sample(
        recorded, comfy.sample.prepare_noise(latent, 0), steps, 3.0, "euler", "simple",
        positive, negative or prompt(small, 1), latent, disable_pbar=True, seed=0,
    )  # fmt: skip
    return Run(result, recorder.calls)


@pytest.mark.parametrize(("strength", "how"), [(1.0, "blend"), (0.5, "blend"), (0.5, "attention")])
def test_the_chosen_prompt_alone_changes(small, strength, how):
    plain = sample(small, prompt(small, 0))
    (hooked,) = SoftREPAApplyConditioning.execute(
        prompt(small, 0), small.adapter(), strength, 0.0, 1.0, "", "positive", strength_as=how
    ).args
    found = sample(small, hooked)
    assert torch.isfinite(found.latent).all()
    assert differs(found.cond, plain.cond)
    # Apart or in one call, its rounding may differ; nothing else does.
    assert not differs(found.uncond, plain.uncond, 1e-5)


def test_both_prompts_and_all_steps_have_it_on_the_model(small):
    plain = sample(small, prompt(small, 0))
    patched = SoftREPAApply.execute(small.patcher, small.adapter(), 1.0, 0.0, 1.0, "").args[0]
    found = sample(small, prompt(small, 0), patched)
    assert differs(found.cond, plain.cond) and differs(found.uncond, plain.uncond)
    late = SoftREPAApply.execute(small.patcher, small.adapter(), 1.0, 0.4, 1.0, "").args[0]
    kept = sample(small, prompt(small, 0), late)
    assert torch.equal(kept.cond, plain.cond) and differs(kept.latent, plain.latent, 1e-5)


@pytest.mark.parametrize("how", ["blend", "attention"])
def test_a_share_on_the_negative_prompt_is_that_of_two_nodes(small, how):
    adapter = small.adapter()
    (patched,) = SoftREPAApply.execute(
        small.patcher, adapter, 0.8, 0.0, 1.0, "", strength_as=how, negative_share=0.5
    ).args
    found = sample(small, prompt(small, 0), patched)
    hooked = [
        SoftREPAApplyConditioning.execute(
            prompt(small, number), adapter, strength, 0.0, 1.0, "", "positive", strength_as=how
        ).args[0]
        for number, strength in ((0, 0.8), (1, 0.4))
    ]
    expected = sample(small, hooked[0], negative=hooked[1])
    assert not differs(found.cond, expected.cond, 1e-5)
    assert not differs(found.uncond, expected.uncond, 1e-5)
    (alike,) = SoftREPAApply.execute(
        small.patcher, adapter, 0.8, 0.0, 1.0, "", strength_as=how
    ).args
    assert differs(found.uncond, sample(small, prompt(small, 0), alike).uncond, 1e-4)
