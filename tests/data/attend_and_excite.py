"""Makes attend_and_excite.safetensors: what diffusers' pipeline computes on a small U-Net.

Run by hand, in an environment with diffusers 0.35 beside torch, numpy and ComfyUI's requirements:

    COMFYUI_PATH=... python tests/data/attend_and_excite.py

The U-Net's weights follow from a seed (`golden_models.seed_weights`), so the file holds results
only: the pipeline's losses and gradients at single noise levels, and a whole sampling with
refinement. `tests/guidance/test_published.py` holds the node's computation against them.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_suffix(".safetensors")
STEPS, GUIDANCE, SIDE = 4, 4.0, 32
TOKENS = (2, 5)
THRESHOLDS = {0: 0.022, 1: 0.012}
STEP_SIZE = 6.0


def main() -> None:
    runpy.run_path(str(ROOT / "host" / "pack.py"))["start"]()
    import comfyui_softrepa.tests.guidance.small_unet as small
    from diffusers import DDIMScheduler, StableDiffusionAttendAndExcitePipeline
    from safetensors.torch import save_file

    network = _diffusers_network(small)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )
    pipeline = StableDiffusionAttendAndExcitePipeline(
        vae=_no_vae(),
        text_encoder=None,
        tokenizer=None,
        unet=network,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    stored = _single_levels(pipeline, small)
    calls: list[float] = []
    original = pipeline._compute_loss

    def counted(*args: Any, **named: Any) -> Any:
        loss = original(*args, **named)
        calls.append(float(loss))
        return loss

    pipeline._compute_loss = counted
    found = pipeline(
        prompt=None,
        prompt_embeds=small.context("positive"),
        negative_prompt_embeds=small.context("negative"),
        token_indices=[list(TOKENS)],
        latents=small.latents(1),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        max_iter_to_alter=STEPS // 2,
        thresholds=THRESHOLDS,
        scale_factor=STEP_SIZE,
        attn_res=(8, 8),
        output_type="latent",
        height=SIDE * 8,
        width=SIDE * 8,
    )
    stored["sampled"] = found.images.detach()
    stored["sampled.losses"] = torch.tensor(calls)
    alphas = scheduler.alphas_cumprod[scheduler.timesteps]
    stored["sigmas"] = torch.cat((((1 - alphas) / alphas).sqrt(), torch.zeros(1)))
    about = {
        "tokens": TOKENS,
        "thresholds": [[step / STEPS, value] for step, value in THRESHOLDS.items()],
        "step_size": STEP_SIZE,
        "guidance": GUIDANCE,
        "made_with": f"diffusers {__import__('diffusers').__version__}",
    }
    save_file(
        {key: value.contiguous() for key, value in stored.items()},
        FILE,
        {"golden": json.dumps(about)},
    )
    print(FILE.name, {key: tuple(value.shape) for key, value in stored.items()}, calls)


def _single_levels(pipeline: Any, small: Any) -> dict[str, torch.Tensor]:
    """The loss and its gradient with respect to the latents, at a few of the network's times."""
    import diffusers.pipelines.stable_diffusion_attend_and_excite as module

    code = sys.modules[f"{module.__name__}.pipeline_stable_diffusion_attend_and_excite"]
    losses, gradients = [], []
    before = pipeline.unet.attn_processors
    pipeline.attention_store = code.AttentionStore((8, 8))
    pipeline.register_attention_control()
    for timestep in small.TIMES:
        latents = small.latents(2).requires_grad_()
        pipeline.unet(latents, timestep, encoder_hidden_states=small.context("positive"))
        highest = pipeline._aggregate_and_get_max_attention_per_token(indices=list(TOKENS))
        loss = pipeline._compute_loss(highest)
        losses.append(loss.detach())
        gradients.append(torch.autograd.grad(loss, latents)[0])
    pipeline.unet.set_attn_processor(before)
    return {"losses": torch.stack(losses), "gradients": torch.stack(gradients)}


def _diffusers_network(small: Any) -> Any:
    import comfy.utils
    from diffusers import UNet2DConditionModel

    config = small.CONFIG
    width = config["model_channels"]
    network = UNet2DConditionModel(
        sample_size=SIDE,
        block_out_channels=tuple(width * each for each in config["channel_mult"]),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=config["context_dim"],
        attention_head_dim=config["num_heads"],
    )
    names = comfy.utils.unet_to_diffusers(config)
    weights = small.model().diffusion_model.state_dict()
    network.load_state_dict({key: weights[names[key]] for key in network.state_dict()}, strict=True)
    return network.eval()


def _no_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


if __name__ == "__main__":
    main()
