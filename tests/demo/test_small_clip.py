"""The small CLIP that is kept, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.models.small_clip import train
from comfyui_softrepa.evaluation.scorers import load
from comfyui_softrepa.evaluation.scorers.models.clip_weights import Texts
from comfyui_softrepa.evaluation.scorers.models.pixels import Pixels
from transformers import CLIPModel

KEPT = Path(__file__).resolve().parents[2] / "demo" / "models" / "small_clip"


@pytest.fixture(scope="module")
def drawn():
    """Held-out scenes, which it has not seen, and pictures of them."""
    rng = np.random.default_rng(0)
    scenes = world.held_out_scenes(150, seed=11)
    return scenes, [np.asarray(world.render(scene, rng)) for scene in scenes]


def test_it_is_small_and_knows_the_world(drawn):
    assert (KEPT / "model.safetensors").stat().st_size <= 6_000_000
    scenes, pictures = drawn
    rng, scorer = np.random.default_rng(1), load("clip", str(KEPT))
    others = []
    for scene in scenes:
        other = scene
        while world.canonical(other) == world.canonical(scene):
            other = train._changed(scene, rng)
        others.append(other)
    own, other = (
        np.array(scorer.score(pictures, [world.caption(scene) for scene in told]))
        for told in (scenes, others)
    )
    # 93 of a hundred on 300 others; five standard deviations of 150 below that.
    assert (own > other).mean() > 0.82
    assert scorer.notes() == []


def test_comfyui_and_transformers_agree_on_it(drawn):
    scenes, pictures = drawn[0][:20], drawn[1][:20]
    captions = [world.caption(scene) for scene in scenes]
    model = CLIPModel.from_pretrained(KEPT, local_files_only=True).float()
    with torch.no_grad():
        found = model(
            input_ids=torch.tensor(Texts().tokens(captions)), pixel_values=Pixels(64)(pictures)
        )
    expected = 100 * (found.text_embeds * found.image_embeds).sum(dim=-1).numpy()
    ours = load("clip", str(KEPT)).score(pictures, captions)
    assert ours == pytest.approx(expected, abs=1e-3)


def test_scenes_of_a_batch_differ_in_one_attribute_and_none_is_held_out():
    rng = np.random.default_rng(0)
    for _ in range(50):
        group = train.alike(rng)
        assert len({world.canonical(scene) for scene in group}) == train.ALIKE
        assert all(world.split_of(scene) == "train" for scene in group)
        for other in group[1:]:
            pairs = zip(attributes(group[0]), attributes(other), strict=True)
            assert sum(one != changed for one, changed in pairs) == 1


def attributes(scene: world.Scene) -> list[object]:
    groups = [value for each in scene.groups for value in (each.number, each.colour, each.shape)]
    return [*groups, scene.relation]


def test_its_training_makes_a_clip_that_can_be_scored_with(tmp_path, drawn):
    train.main(["--steps", "2", "--pictures", "128", "--output", str(tmp_path)])
    scenes, pictures = drawn
    scorer = load("clip", str(tmp_path))
    found = scorer.score(pictures[:3], [world.caption(scene) for scene in scenes[:3]])
    assert len(set(found)) == 3
    weight = CLIPModel.from_pretrained(tmp_path).text_model.embeddings.token_embedding.weight
    assert int(weight.any(dim=1).sum()) < 40, "the words of the world only"
