"""ComfyUI as a library gives what its own nodes give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfyui_softrepa.training.cache import build
from comfyui_softrepa.training.data import Framing, find
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.model import comfy_model
from comfyui_softrepa.training.model.model_files import ModelFiles
from safetensors.torch import load_file, save_file

from .stand_in import folder


@pytest.fixture(scope="module", params=["sd3_checkpoint", "sd15_checkpoint"])
def checkpoint(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def encoder(checkpoint) -> comfy_model.Encoder:
    return comfy_model.Encoder(ModelFiles(checkpoint), comfy_model.load_model(checkpoint))


def test_encodings_are_those_of_the_nodes(checkpoint, encoder):
    import comfy.sd

    import nodes

    model, clip, vae, *_ = comfy.sd.load_checkpoint_guess_config(str(checkpoint))
    caption = "a (red:1.3) cat on a mat, " * 16  # letters, and more than one chunk of tokens
    written = caption.replace("(", r"\(").replace(")", r"\)")
    image = torch.rand(2, 64, 96, 3)
    [[context, extra]] = nodes.CLIPTextEncode().encode(clip, written)[0]
    latent = nodes.VAEEncode().encode(vae, image)[0]["samples"]

    text = encoder.texts([caption])[0]
    assert context.shape[1] > 77 and torch.equal(text.context, context[0])
    pooled = extra["pooled_output"]
    assert torch.equal(text.pooled, pooled[0])
    latents = encoder.latents(image)
    assert torch.equal(latents, model.model.process_latent_in(latent))
    assert not torch.equal(latents, latent)


def test_sampled_latents_are_drawn_from_the_vaes_distribution(checkpoint, encoder):
    from comfy.ldm.modules.distributions.distributions import DiagonalGaussianDistribution

    sampling = comfy_model.Encoder(ModelFiles(checkpoint), encoder._model, sampled=True)
    images = [torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(n)) for n in (0, 1)]
    vae, moments = sampling._parts()[1], []
    regularization = getattr(vae.first_stage_model, "regularization", None)
    if regularization is None:  # TAESD
        with pytest.raises(BadInput, match="no distribution to draw latents from"):
            sampling.latents(images[0])
        return
    seen = regularization.register_forward_hook(lambda _, given, found: moments.append(given[0]))
    first, again, other = (sampling.latents(each) for each in (images[0], images[0], images[1]))
    seen.remove()
    assert torch.equal(first, again) and not regularization._forward_hooks
    scale = sampling._process_latent_in
    posteriors = [DiagonalGaussianDistribution(each) for each in moments[1:]]
    # In units of its spread, where it is not drowned by rounding, a sample is a standard normal.
    drawn = torch.stack(
        [
            (each - scale(one.mean)) / (scale(one.mean + one.std) - scale(one.mean))
            for each, one in zip((first, other), posteriors, strict=True)
        ]
    )
    assert abs(float(drawn.mean())) < 0.1 and abs(float(drawn.std()) - 1.0) < 0.1
    assert not torch.allclose(drawn[0], drawn[1])
    assert torch.equal(encoder.latents(images[0]), scale(posteriors[0].mean))


def test_sampled_latents_have_keys_of_their_own(tmp_path):
    path = tmp_path / "a.png"
    assert Framing(64, sampled=True).name(path) != Framing(64).name(path)


def test_a_real_checkpoints_cache(encoder, tmp_path):
    pairs = find(folder(tmp_path / "data", 2))[0]
    caption = pairs[1].captions[0]
    exact = encoder.texts([caption])[0].context
    cache = build(pairs, encoder, tmp_path / "cache", Framing(64))
    assert encoder._loaded is None  # text encoder and VAE have left memory
    assert cache.latent(0).shape[1:] == (8, 8) and cache.latent(0).isfinite().all()
    assert torch.equal(cache.text(caption).context, exact.half().float())
    # CLIP-L alone fills 768 of SD3's 4096 columns, so both models store the same.
    stored = sum(path.stat().st_size for path in (tmp_path / "cache").glob("texts-*"))
    assert stored < 2 * (77 * 768 * 2 + 2048 * 2) + 4000


def test_what_is_no_checkpoint_is_refused_in_a_sentence(tmp_path):
    save_file({"lora.up": torch.zeros(2)}, tmp_path / "lora.safetensors")
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    for name in ("lora.safetensors", "text.safetensors"):
        with pytest.raises(BadInput, match="does not recognise"):
            comfy_model.load_model(tmp_path / name)


@pytest.mark.parametrize("lacking", ["text encoder", "VAE"])
def test_a_checkpoint_in_parts_is_refused(sd3_checkpoint, tmp_path, lacking):
    prefix = {"text encoder": "text_encoders.", "VAE": "first_stage_model."}[lacking]
    weights = {k: v for k, v in load_file(sd3_checkpoint).items() if not k.startswith(prefix)}
    path = tmp_path / "parts.safetensors"
    save_file(weights, path)
    encoder = comfy_model.Encoder(ModelFiles(path), comfy_model.load_model(path))
    with pytest.raises(BadInput, match=f"holds no {lacking}"):
        encoder.texts(["a cat"])
