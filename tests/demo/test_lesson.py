"""What the demo gives the trainer, and the adapter that is kept for its first pictures."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.evaluation import evaluate
from comfyui_softrepa.demo.models.base import join
from comfyui_softrepa.demo.training import cache
from comfyui_softrepa.demo.training.lesson import RECIPES, USES, Lesson
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.training import cache as caching
from comfyui_softrepa.training import data
from safetensors import safe_open

KEPT = Path(cache.__file__).parents[1] / "models" / "kept" / "softrepa.safetensors"
PROMPTS = ["two red circles left of a blue square", "a black triangle"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return join.make_checkpoint(tmp_path_factory.mktemp("base") / "demo.safetensors")


@pytest.fixture(scope="module")
def base(checkpoint: Path) -> evaluate.Base:
    return evaluate.load(checkpoint)


def test_the_short_encoder_gives_what_comfyui_gives(checkpoint: Path, base: evaluate.Base):
    short = cache.ShortEncoder(checkpoint)
    for prompt, text in zip(PROMPTS, short.texts(PROMPTS), strict=True):
        context, pooled = base.clip.encode_from_tokens(base.clip.tokenize(prompt), True)
        assert torch.equal(text.context, context[0].float())
        torch.testing.assert_close(text.pooled, pooled[0].float(), atol=1e-5, rtol=1e-5)
    drawn = world.render(next(world.all_scenes("train")), np.random.default_rng(0))
    pixels = torch.from_numpy(np.array(drawn))[None].float() / 255
    expected = base.model.model.process_latent_in(base.vae.encode(pixels))
    torch.testing.assert_close(short.latents(pixels), expected, atol=1e-3, rtol=1e-3)


def test_the_trainer_finds_all_it_needs(checkpoint: Path, tmp_path: Path):
    class Nothing(cache.ShortEncoder):
        def latents(self, images):
            raise AssertionError("a picture is not in the cache")

        def texts(self, captions):
            raise AssertionError(f"not in the cache: {captions}")

    arguments = argparse.Namespace(
        objective="softrepa", pairs=12, steps=None, strength=None, output=tmp_path
    )
    lesson = Lesson.of(arguments, checkpoint, tmp_path / "adapter.safetensors")
    captions = lesson.prepare()
    assert len(captions) > 6
    pairs, _ = data.find(lesson.pairs)
    framing = data.Framing(RECIPES["softrepa"]["resolution"], False)
    where = cache.beside(lesson.adapter, checkpoint)
    assert len(caching.build(pairs, Nothing(checkpoint), where, framing)) == 12


def test_the_kept_adapter_is_of_the_present_recipe():
    assert KEPT.stat().st_size < 1e6
    with safe_open(KEPT, "pt") as file:
        told = {key.removeprefix("softrepa."): value for key, value in file.metadata().items()}
    recipe = RECIPES["softrepa"]
    assert told["objective"] == "softrepa"
    for name in ("steps", "tokens", "batch_size", "resolution"):
        assert told[name] == str(recipe[name]), f"train demo/models/kept again: {name} has changed"


def test_the_kept_adapter_acts_and_does_not_spoil(base: evaluate.Base):
    adapter = files.read(KEPT)
    application = injection.make_application(base.model.model, adapter, **asdict(USES["softrepa"]))
    scenes = world.unswept_scenes(8)
    sampling = evaluate.sampling(steps=10)
    prompts, seeds = [world.caption(scene) for scene in scenes], list(range(8))
    plain = evaluate.paint(base, prompts, seeds, sampling)
    patched = evaluate.paint(
        base, prompts, seeds, sampling, injection.apply(base.model, application)
    )
    assert all((a != b).mean() > 0.01 for a, b in zip(plain, patched, strict=True))
    right = [evaluate.rates(evaluate.verdicts(list(each), scenes))["all"].share
             for each in (plain, patched)]  # fmt: skip
    assert right[1] >= right[0]
