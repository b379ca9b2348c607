"""SoftREPAApplyConditioning: the adapter on one prompt, through ComfyUI's conditioning hooks."""

from __future__ import annotations

import comfy.hooks
import comfy.samplers
import pytest
import torch
from comfy_extras import nodes_custom_sampler, nodes_hooks
from comfyui_softrepa.injection import conditioning, make_application
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests import adapters
from comfyui_softrepa.tests.control.studio import differs

import nodes


def neutral(prompt):
    """The prompt with a hook of ComfyUI's own that does nothing: run apart from the others."""
    group = comfy.hooks.HookGroup()
    group.add(comfy.hooks.TransformerOptionsHook({}, comfy.hooks.EnumHookScope.HookedOnly))
    return comfy.hooks.set_hooks_for_conditioning(prompt, group)


def test_exactly_the_chosen_branch_changes(art):
    plain = art.sample(positive=neutral(art.positive))
    on_positive = art.sample(positive=art.on_prompt(art.positive))
    assert differs(on_positive.cond, plain.cond)
    assert torch.equal(on_positive.uncond, plain.uncond)
    plain = art.sample(negative=neutral(art.negative))
    on_negative = art.sample(negative=art.on_prompt(art.negative))
    assert differs(on_negative.uncond, plain.uncond)
    assert torch.equal(on_negative.cond, plain.cond)


def test_both_prompts_give_what_the_model_node_gives(art):
    both = art.sample(
        positive=art.on_prompt(art.positive), negative=art.on_prompt(art.negative)
    ).latent
    model = art.sample(
        art.on_model(), positive=neutral(art.positive), negative=neutral(art.negative)
    ).latent
    assert torch.equal(both, model)
    assert differs(model, art.sample().latent)


def test_strength_zero_leaves_the_prompt_as_it_was(art):
    assert art.on_prompt(art.positive, strength=0.0) is art.positive


def test_settings_reach_the_model(art):
    layers = "1" if art.arch == "sd3" else "middle"
    for settings in ({"strength": 0.5}, {"layers": layers}, {"bank": "negative"}):
        prompted = art.sample(negative=art.on_prompt(art.negative, **settings))
        assert differs(prompted.uncond, art.sample(negative=art.on_prompt(art.negative)).uncond)
    early = art.sample(positive=art.on_prompt(art.positive, start_percent=0.9))
    assert torch.equal(early.cond, art.sample(positive=neutral(art.positive)).cond)


def test_the_negative_bank_is_refused_where_there_is_none(sd3):
    one_bank = adapters.random_adapter("mmdit", 192, 2)
    with pytest.raises(AdapterError, match=r"no negative bank: choose positive.*\.$"):
        sd3.on_prompt(sd3.negative, one_bank, bank="negative")


def test_unreadable_layers_are_refused_by_the_node(sd3):
    with pytest.raises(AdapterError, match="is not a choice of layers"):
        sd3.on_prompt(sd3.positive, layers="first")


def test_another_model_is_refused_before_the_first_step(art):
    foreign = adapters.random_adapter("unet", 1024, 1)
    calls = []
    watched = art.model.clone()
    watched.set_model_unet_function_wrapper(lambda *_: calls.append(1))
    with pytest.raises(AdapterError, match=r"trained for SD2.x .*, but the model is"):
        art.sample(watched, positive=art.on_prompt(art.positive, foreign))
    assert not calls
    assert not differs(art.sample().latent, art.sample().latent)


def test_beside_the_model_node_both_act(art):
    other = adapters.random_adapter(
        art.adapter.architecture, art.adapter.width, art.adapter.blocks, seed=9
    )
    model = art.on_model(adapter=other)
    both = art.sample(model, positive=art.on_prompt(art.positive))
    alone = art.sample(model, positive=neutral(art.positive))
    prompt_only = art.sample(positive=art.on_prompt(art.positive))
    assert torch.equal(both.uncond, alone.uncond)
    assert differs(both.cond, alone.cond)
    assert differs(both.cond, prompt_only.cond)


def test_two_adapters_on_one_prompt_both_act(art):
    other = adapters.random_adapter(
        art.adapter.architecture, art.adapter.width, art.adapter.blocks, seed=9
    )
    once = art.on_prompt(art.positive)
    twice = art.on_prompt(once, other)
    assert len(once[0][1]["hooks"]) == 1  # the node copied what it was given
    assert differs(art.sample(positive=twice).cond, art.sample(positive=once).cond)
    only = art.sample(positive=art.on_prompt(art.positive, other))
    assert differs(art.sample(positive=twice).cond, only.cond)


def test_an_adapter_is_fitted_once_a_run(sd3, monkeypatch):
    """The clones that ComfyUI makes of a hook find what was fitted before the first step."""
    fitted = []

    def fit(*arguments):
        fitted.append(arguments)
        return make_application(*arguments)

    monkeypatch.setattr(conditioning, "make_application", fit)
    prompt = sd3.on_prompt(sd3.on_prompt(sd3.positive), strength=0.5)
    assert len(sd3.sample(positive=prompt, steps=4).calls) == 4
    assert len(fitted) == 2


def test_the_conditioning_and_the_model_keep_nothing(art):
    prompt = art.on_prompt(art.positive)
    before = art.sample(positive=prompt).latent
    options = repr(art.model.model_options)
    for _ in range(2):
        assert torch.equal(art.sample(positive=prompt).latent, before)
    assert repr(art.model.model_options) == options
    assert "hooks" not in art.positive[0][1]


def _keyframes(*points):
    group = comfy.hooks.HookKeyframeGroup()
    for percent, strength in points:
        keyframe = comfy.hooks.HookKeyframe(strength, percent, guarantee_steps=0)
        group.add(keyframe)
    return group


def test_hook_keyframes_set_the_strength(art):
    def branch(**settings):
        return art.sample(positive=art.on_prompt(art.positive, **settings))

    assert torch.equal(branch(hook_kf=_keyframes((0.0, 0.5))).cond, branch(strength=0.5).cond)
    full, off = branch(), art.sample(positive=neutral(art.positive))
    assert torch.equal(branch(hook_kf=_keyframes((0.0, 0.0))).latent, off.latent)
    falling = branch(hook_kf=_keyframes((0.0, 1.0), (0.5, 0.0)))
    assert torch.equal(falling.cond, full.cond)
    assert differs(falling.latent, full.latent)
    assert differs(falling.latent, off.latent)
    rising = branch(hook_kf=_keyframes((0.0, 0.0), (0.5, 1.0)))
    assert torch.equal(rising.cond, off.cond)
    assert differs(rising.latent, off.latent)


def test_clip_hooks_and_set_hooks_stay_beside_it(art):
    """Other hooks on the prompt, before and after ours, keep acting; so does the adapter."""
    calls = []

    def watch(run, *args, **kwargs):
        calls.append(1)
        return run(*args, **kwargs)

    callback = comfy.hooks.TransformerOptionsHook(
        {"wrappers": {"apply_model": {"seen": [watch]}}},
        comfy.hooks.EnumHookScope.HookedOnly,
    )
    group = comfy.hooks.HookGroup()
    group.add(callback)
    expected = art.sample(positive=art.on_prompt(art.positive)).cond
    before = comfy.hooks.set_hooks_for_conditioning(art.positive, group)
    set_hooks = nodes_hooks.ConditioningSetProperties().set_properties
    after = set_hooks(art.on_prompt(art.positive), 1.0, "default", hooks=group)[0]
    for prompt in (art.on_prompt(before), after):
        calls.clear()
        assert torch.equal(art.sample(positive=prompt).cond, expected)
        assert calls


def test_combine_average_concat_area_mask_and_range(art):
    hooked, other = art.on_prompt(art.positive), art.prompt("other")
    combined = nodes.ConditioningCombine().combine(hooked, other)[0]
    plain = nodes.ConditioningCombine().combine(neutral(art.positive), other)[0]
    assert differs(art.sample(positive=combined).cond, art.sample(positive=plain).cond)
    # The first input's hooks are ComfyUI's to keep.
    averaged = nodes.ConditioningAverage().addWeighted(hooked, other, 0.5)[0]
    concatenated = nodes.ConditioningConcat().concat(hooked, other)[0]
    area = nodes.ConditioningSetArea().append(hooked, 32, 32, 0, 0, 1.0)[0]
    mask = torch.zeros(1, 64, 64)
    mask[:, :32] = 1.0
    masked = nodes.ConditioningSetMask().append(hooked, mask, "default", 1.0)[0]
    for prompt in (averaged, concatenated, area, masked):
        without = [[e, {k: v for k, v in x.items() if k != "hooks"}] for e, x in prompt]
        assert differs(art.sample(positive=prompt).cond, art.sample(positive=neutral(without)).cond)


def test_regions_keep_their_own(art):
    """Two masked prompts, one with the adapter: the other half of the picture keeps its bits."""
    left, right = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    left[..., :4], right[..., 4:] = 1.0, 1.0
    set_mask = nodes.ConditioningSetMask().append

    def halves(prompt):
        other = set_mask(neutral(art.prompt("other")), right, "default", 1.0)[0]
        return set_mask(prompt, left, "default", 1.0)[0] + other

    hooked = art.sample(positive=halves(art.on_prompt(art.positive))).cond
    plain = art.sample(positive=halves(neutral(art.positive))).cond
    assert differs(hooked[..., :4], plain[..., :4])
    assert torch.equal(hooked[..., 4:], plain[..., 4:])


def test_one_part_of_a_prompt_schedule(art):
    set_range = nodes.ConditioningSetTimestepRange().set_range
    first = set_range(art.on_prompt(art.positive), 0.0, 0.5)[0]
    second = set_range(neutral(art.prompt("other")), 0.5, 1.0)[0]
    plain = set_range(neutral(art.positive), 0.0, 0.5)[0]
    hooked, without = art.sample(positive=first + second), art.sample(positive=plain + second)
    assert differs(hooked.cond, without.cond)
    late = set_range(neutral(art.positive), 0.0, 0.5)[0]
    changed = set_range(art.on_prompt(art.prompt("other")), 0.5, 1.0)[0]
    switched = art.sample(positive=late + changed)
    assert torch.equal(switched.cond, without.cond)
    assert differs(switched.latent, without.latent)


def test_sampler_custom_advanced(art):
    guider = comfy.samplers.CFGGuider(art.model)
    guider.set_conds(art.on_prompt(art.positive), art.negative)
    guider.set_cfg(4.0)
    noise = nodes_custom_sampler.Noise_RandomNoise(0)
    sigmas = comfy.samplers.calculate_sigmas(
        art.model.get_model_object("model_sampling"), "simple", 3
    )
    result = nodes_custom_sampler.SamplerCustomAdvanced.execute(
        noise, guider, comfy.samplers.sampler_object("euler"), sigmas, {"samples": art.latent}
    )
    expected = art.sample(positive=art.on_prompt(art.positive)).latent
    assert torch.equal(result.args[0]["samples"], expected)
