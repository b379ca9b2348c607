"""Adapters in the ways pictures are made: guidance, ControlNet, masks, batches, merges, passes."""

from __future__ import annotations

import comfy.cldm.cldm
import comfy.controlnet
import comfy.hooks
import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.sd
import pytest
import torch
from comfy_extras import nodes_hooks, nodes_model_merging, nodes_perpneg
from comfyui_softrepa.tests import adapters, golden_models
from comfyui_softrepa.tests.control.studio import differs
from comfyui_softrepa.tests.golden_models import relative_error

import nodes

CFG_PP = [name for name in comfy.samplers.KSAMPLER_NAMES if name.endswith("cfg_pp")]


@pytest.mark.parametrize("sampler", CFG_PP)
def test_cfg_plus_plus(sd15, sampler):
    plain, full = (
        sd15.sample(model, sampler=sampler, cfg=1.5).latent
        for model in (sd15.model, sd15.on_model())
    )
    assert torch.isfinite(full).all()
    assert differs(full, plain)
    prompted = sd15.sample(sampler=sampler, cfg=1.5, positive=sd15.on_prompt(sd15.positive)).latent
    assert differs(prompted, plain)


def test_cfg_plus_plus_on_sd3(sd3):
    plain = sd3.sample(sampler="euler_cfg_pp", cfg=1.5).latent
    assert differs(sd3.sample(sd3.on_model(), sampler="euler_cfg_pp", cfg=1.5).latent, plain)


def test_guidance_of_one_leaves_the_negative_prompt_out(art):
    """With CFG 1 only the positive branch runs; an adapter on the negative changes nothing."""
    plain = art.sample(cfg=1.0).latent
    on_negative = art.sample(cfg=1.0, negative=art.on_prompt(art.negative)).latent
    assert torch.equal(on_negative, plain)
    assert differs(art.sample(cfg=1.0, positive=art.on_prompt(art.positive)).latent, plain)


def test_perpendicular_negative(art):
    empty = art.prompt("")

    def guided(model=None, positive=None, negative=None, empty=empty):
        guider = nodes_perpneg.PerpNegGuider.execute(
            model or art.model, positive or art.positive, negative or art.negative, empty, 4.0, 1.0
        ).args[0]
        sigmas = comfy.samplers.calculate_sigmas(
            art.model.get_model_object("model_sampling"), "simple", 2
        )
        noise = comfy.sample.prepare_noise(art.latent, 0)
        sampler = comfy.samplers.sampler_object("euler")
        return guider.sample(noise, art.latent, sampler, sigmas, disable_pbar=True)

    plain = guided()
    found = [
        guided(model=art.on_model()),
        guided(positive=art.on_prompt(art.positive)),
        guided(negative=art.on_prompt(art.negative)),
        guided(empty=art.on_prompt(empty)),
    ]
    for index, each in enumerate(found):
        assert torch.isfinite(each).all()
        assert differs(each, plain)
        assert all(differs(each, other) for other in found[:index])


def test_perpendicular_negative_of_old(art):
    """The deprecated node never registers its conditioning's hooks; the adapter still acts."""
    empty = art.prompt("")
    patch = nodes_perpneg.PerpNeg.execute
    plain = art.sample(patch(art.model, empty, 1.0).args[0], steps=2).latent
    hooked = art.sample(patch(art.model, art.on_prompt(empty), 1.0).args[0], steps=2).latent
    assert differs(hooked, plain)


@pytest.fixture(scope="module")
def control_net(studios):
    """A small ControlNet for the SD1.5 golden model, of seeded weights."""
    config = dict(studios["sd15"].model.model.model_config.unet_config)
    config.pop("out_channels", None)
    config.pop("transformer_depth_output", None)
    network = comfy.cldm.cldm.ControlNet(hint_channels=3, **config).float()
    golden_models.seed_weights(network, 7)
    return comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))


def test_control_net(sd15, control_net):
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    contexts = []
    handle = control_net.control_model.register_forward_pre_hook(
        lambda _, args, kwargs: contexts.append(kwargs["context"].shape[1]), with_kwargs=True
    )

    def controlled(model=None, positive=None):
        conditioned = nodes.ControlNetApplyAdvanced().apply_controlnet(
            positive or sd15.positive, sd15.negative, control_net, picture, 0.5, 0.0, 1.0
        )
        return sd15.sample(model, positive=conditioned[0], negative=conditioned[1]).latent

    try:
        plain = controlled()
        assert differs(plain, sd15.sample().latent)
        for found in (controlled(sd15.on_model()), controlled(None, sd15.on_prompt(sd15.positive))):
            assert differs(found, plain)
    finally:
        handle.remove()
    assert set(contexts) == {77}  # the tokens are the model's alone


def test_inpainting(art):
    picture = torch.randn(art.latent.shape, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1.0
    plain = art.sample(latent=picture, mask=mask).latent
    painted = art.sample(art.on_model(), latent=picture, mask=mask).latent
    assert differs(painted[..., :4], plain[..., :4])
    assert torch.equal(painted[..., 4:], plain[..., 4:])
    prompted = art.sample(latent=picture, mask=mask, positive=art.on_prompt(art.positive)).latent
    assert differs(prompted[..., :4], plain[..., :4])


def test_image_to_image(art):
    picture = torch.randn(art.latent.shape, generator=torch.Generator().manual_seed(1))
    late = art.on_model(start_percent=0.5)
    plain = art.sample(latent=picture, denoise=0.5, steps=4)
    assert differs(art.sample(late, latent=picture, denoise=0.5, steps=4).latent, plain.latent)
    # The schedule's shares are those of the whole schedule: its first half never comes.
    early = art.sample(art.on_model(end_percent=0.2), latent=picture, denoise=0.5, steps=4)
    assert torch.equal(early.latent, plain.latent)


def test_a_batch_is_its_pictures(art):
    """Each picture of a batch, and of a batch that continues at an index, is the one made alone."""
    model = art.on_model()
    batch = art.latent.repeat(3, 1, 1, 1)
    recorded = model.clone()
    together = _sample_latent(art, recorded, {"samples": batch})
    alone = _sample_latent(art, recorded, {"samples": art.latent, "batch_index": [2]})
    assert relative_error(alone[0], together[2]) < 1e-4
    assert differs(together[0], together[1])
    assert differs(together, _sample_latent(art, art.model, {"samples": batch}))
    prompted = art.sample(latent=batch, positive=art.on_prompt(art.positive)).latent
    first = art.sample(latent=art.latent, positive=art.on_prompt(art.positive)).latent
    assert relative_error(prompted[:1], first) < 1e-4


def _sample_latent(art, model, latent):
    sampled = nodes.common_ksampler(
        model, 0, 2, 4.0, "euler", "simple", art.positive, art.negative, latent
    )
    return sampled[0]["samples"]


def test_merging_keeps_the_first_models_adapter(studios):
    art = studios["sd3"]
    other = golden_models.load("sd3_d3l2_4096_timed").patcher
    merge = nodes_model_merging.ModelMergeSimple().merge
    plain = art.sample(merge(art.model, other, 0.5)[0]).latent
    first = art.sample(merge(art.on_model(), other, 0.5)[0]).latent
    after = art.sample(art.on_model(merge(art.model, other, 0.5)[0])).latent
    second = art.sample(merge(art.model, art.on_model(other), 0.5)[0]).latent
    assert differs(plain, art.sample().latent)
    assert differs(first, plain)
    assert torch.equal(first, after)
    assert torch.equal(second, plain)


def test_a_second_pass_with_another_adapter(art):
    other = adapters.random_adapter(
        art.adapter.architecture, art.adapter.width, art.adapter.blocks, seed=9, scale=2.0
    )
    first = art.sample(art.on_model()).latent
    second = art.sample(art.on_model(adapter=other), latent=first, denoise=0.6, steps=4).latent
    again = art.sample(art.on_model(), latent=first, denoise=0.6, steps=4).latent
    without = art.sample(latent=first, denoise=0.6, steps=4).latent
    assert differs(second, again)
    assert differs(second, without)
    assert torch.equal(art.sample(art.on_model()).latent, first)


def test_low_vram(art):
    """Weights that ComfyUI casts at use, a layer at a time, give what loaded ones give."""
    model = art.on_model()
    expected, plain = art.sample(model), art.sample()
    comfy.model_management.unload_all_models()
    low = model.clone()
    low.load(torch.device("cpu"), lowvram_model_memory=1)
    cast = [m for m in low.model.modules() if getattr(m, "comfy_cast_weights", False)]
    assert cast
    assert low.model.lowvram_patch_counter >= 0
    try:
        found = _first_prediction(art, low)
    finally:
        low.detach()
    assert relative_error(found, _first_prediction(art, model)) < 1e-5
    assert differs(found, _first_prediction(art, art.model))
    assert differs(expected.latent, plain.latent)


def _first_prediction(art, model):
    context, extra = art.positive[0]
    x = torch.full_like(art.latent, 0.3)
    sigma = torch.tensor([0.7])
    y = model.model.encode_adm(
        pooled_output=extra["pooled_output"], noise=x, device="cpu", width=64, height=64
    )
    options = model.model_options["transformer_options"]
    with torch.no_grad():
        return model.model.apply_model(
            x, sigma, c_crossattn=context, y=y, transformer_options=options
        )


def test_set_clip_hooks(sd3_checkpoint):
    """A prompt encoded under Set CLIP Hooks carries their LoRA hook; ours joins it."""
    model, clip, _, _ = comfy.sd.load_checkpoint_guess_config(str(sd3_checkpoint), output_vae=False)
    target = "diffusion_model.joint_blocks.0.x_block.attn.qkv"
    rows, columns = model.model.state_dict()[f"{target}.weight"].shape
    lora = {
        f"{target}.lora_up.weight": golden_models.seeded("up", (rows, 2), 1),
        f"{target}.lora_down.weight": golden_models.seeded("down", (2, columns), 1, 0.1),
    }
    hooks = comfy.hooks.create_hook_lora(lora, 1.0, 0.0)
    hooked_clip = nodes_hooks.SetClipHooks().apply_hooks(clip, False, True, hooks)[0]
    adapter = adapters.random_adapter("mmdit", 128, 2, scale=2.0)
    from comfyui_softrepa.tests.control.studio import Studio

    prompt = nodes.CLIPTextEncode().encode(hooked_clip, "a red ball")[0]
    art = Studio(
        "sd3", model, prompt, nodes.CLIPTextEncode().encode(clip, "")[0],
        torch.zeros(1, 16, 8, 8), adapter,
    )  # fmt: skip
    both = art.on_prompt(prompt)
    assert [len(entry[1]["hooks"]) for entry in (*prompt, *both)] == [1, 2]
    lora_only, bare = art.sample(), nodes.CLIPTextEncode().encode(clip, "a red ball")[0]
    assert differs(lora_only.cond, art.sample(positive=bare).cond)
    found = art.sample(positive=both)
    assert differs(found.cond, lora_only.cond)
    assert differs(found.cond, art.sample(positive=art.on_prompt(bare)).cond)
    assert torch.equal(found.uncond, lora_only.uncond)
