"""The base model's parts do what their shortcuts claim, and ComfyUI loads them as SD3."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.evaluation import evaluate
from comfyui_softrepa.demo.models.base import clip, join, network, train, vae
from safetensors.torch import load_file

PROMPTS = ["two red circles left of a blue square", "", "a black triangle"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model, joined as at set-up."""
    return join.make_checkpoint(tmp_path_factory.mktemp("base") / "demo.safetensors")


@pytest.fixture(scope="module")
def base(checkpoint: Path) -> evaluate.Base:
    """The base model as CheckpointLoaderSimple loads it."""
    return evaluate.load(checkpoint)


def test_the_weights_kept_are_small_and_half_precision():
    assert join.MMDIT.stat().st_size + join.VAE.stat().st_size < 16e6
    for file in (join.MMDIT, join.VAE):
        assert {value.dtype for value in load_file(file).values()} == {torch.float16}


def test_the_text_encoder_is_the_same_everywhere():
    tokens, places = clip.embeddings()
    digest = hashlib.sha256(tokens.numpy().tobytes() + places.numpy().tobytes()).hexdigest()
    assert digest == "e7510bad04b215122647fc0ca155339421e41fae0210ca498c8d088248a1e809"


def test_widened_layers_compute_the_same():
    from comfy.taesd.taesd import TAESD

    narrow = torch.nn.ModuleDict({"encoder": vae.encoder(), "decoder": vae.decoder()})
    wide = TAESD(latent_channels=vae.CHANNELS)
    missing, unexpected = wide.load_state_dict(vae.widened(narrow.state_dict()), strict=False)
    assert set(missing) == {"vae_scale", "vae_shift"} and not unexpected
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        latents = narrow["encoder"](pixels)
        torch.testing.assert_close(wide.taesd_encoder(pixels), latents, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            wide.taesd_decoder(latents), narrow["decoder"](latents), atol=1e-5, rtol=1e-4
        )


def test_the_short_forward_is_comfyuis(base: evaluate.Base):
    """Training sees what ComfyUI's MMDiT makes of ComfyUI's own conditioning."""
    model = base.model.model.diffusion_model
    x, t = torch.randn(3, 16, 8, 8), torch.tensor([20.0, 500.0, 1000.0])
    encoded = [base.clip.encode_from_tokens(base.clip.tokenize(p), True) for p in PROMPTS]
    context, pooled = (torch.cat(parts) for parts in zip(*encoded, strict=True))
    assert context.shape == (3, clip.LENGTH, network.CONTEXT)
    with torch.inference_mode():
        whole = model(x, t, context=context, y=pooled)
        short = network.velocity(model, x, t, *train.Prompts.load().encode(PROMPTS))
    torch.testing.assert_close(short, whole, atol=1e-4, rtol=1e-3)


def test_comfyui_takes_it_for_sd3(base: evaluate.Base):
    import comfy.model_base
    import comfy.taesd.taesd

    assert type(base.model.model) is comfy.model_base.SD3
    assert len(base.model.model.diffusion_model.joint_blocks) == network.DEPTH
    assert isinstance(base.vae.first_stage_model, comfy.taesd.taesd.TAESD)
    assert base.model.get_model_object("model_sampling").shift == train.SHIFT


def test_the_network_sees_the_encoders_latents(base: evaluate.Base):
    scene = next(world.all_scenes("train"))
    drawn = np.array(world.render(scene, np.random.default_rng(0)))
    pixels = torch.from_numpy(drawn)[None].float() / 255
    latents = base.model.model.process_latent_in(base.vae.encode(pixels))
    narrow = vae.encoder()
    weights = load_file(join.VAE).items()
    narrow.load_state_dict(
        {k.removeprefix("encoder."): v.float() for k, v in weights if k.startswith("encoder.")}
    )
    with torch.inference_mode():
        expected = narrow(pixels.permute(0, 3, 1, 2))
        shown = base.vae.decode(base.vae.encode(pixels))
    torch.testing.assert_close(latents, expected, atol=1e-3, rtol=1e-3)
    assert float((shown - pixels).abs().mean()) < 0.02


def test_a_finished_checkpoint_is_kept_and_anything_else_replaced(checkpoint: Path):
    before = checkpoint.stat().st_mtime_ns
    assert join.make_checkpoint(checkpoint) == checkpoint
    assert checkpoint.stat().st_mtime_ns == before
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    join.make_checkpoint(checkpoint)
    assert checkpoint.stat().st_size > 200e6
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_a_failed_join_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(state: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(join, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        join.make_checkpoint(tmp_path / "demo.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_picture_depends_on_its_prompt_and_seed_alone(base: evaluate.Base):
    scenes = world.held_out_scenes(3, seed=0)
    prompts = [world.caption(scene) for scene in scenes]
    fast = evaluate.sampling(steps=4)
    together = evaluate.paint(base, prompts, [5, 6, 7], fast)
    alone = evaluate.paint(base, prompts[1:2], [6], fast)
    assert together.shape == (3, world.SIZE, world.SIZE, 3)
    assert (together[1] == alone[0]).all()
    other = evaluate.paint(base, prompts[1:2], [8], fast)
    assert np.abs(together[1].astype(int) - other[0]).max() > 10


def test_the_base_paints_held_out_prompts_far_above_chance(base: evaluate.Base):
    """A quick look; the whole table is in demo/models/base/README.md."""
    scenes = world.held_out_scenes(16, seed=0)
    results = evaluate.evaluate(base, scenes, range(16), evaluate.sampling(guidance=4.0))
    assert evaluate.rates(results)["all"].share > 0.2
