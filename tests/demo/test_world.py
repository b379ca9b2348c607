"""The world's promises: seeded pictures, plain folders, and a held-out part that stays out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comfyui_softrepa.demo import world
from PIL import Image


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_captions_read_as_the_issue_says():
    scene = world.Scene(
        world.Group(2, "red", "circle"), "left of", world.Group(1, "blue", "square")
    )
    assert world.caption(scene) == "two red circles left of a blue square"
    assert (
        world.caption(world.Scene(world.Group(3, "black", "triangle"))) == "three black triangles"
    )


def test_a_folder_is_pairs_and_the_seed_decides_them(tmp_path: Path):
    scenes = world.write_folder(tmp_path / "one", 12, seed=4)
    world.write_folder(tmp_path / "same", 12, seed=4)
    world.write_folder(tmp_path / "other", 12, seed=5)
    files = _files(tmp_path / "one")
    assert sorted(files) == sorted(
        f"{index:06}.{suffix}" for index in range(1, 13) for suffix in ("png", "txt")
    )
    assert files == _files(tmp_path / "same")
    assert files != _files(tmp_path / "other")
    assert files["000003.txt"].decode().strip() == world.caption(scenes[2])
    with Image.open(tmp_path / "one" / "000003.png") as picture:
        assert (picture.size, picture.mode) == ((world.SIZE, world.SIZE), "RGB")


def test_no_held_out_prompt_is_in_a_training_folder(tmp_path: Path):
    world.write_folder(tmp_path, 600, seed=0)
    trained = {file.read_text(encoding="utf-8").strip() for file in tmp_path.glob("*.txt")}
    held_out = {world.caption(scene) for scene in world.all_scenes("held-out")}
    assert len(trained) > 400
    assert not trained & held_out


def test_both_tellings_of_a_picture_are_in_the_same_part():
    for scene in world.all_scenes("held-out"):
        assert scene.second is not None and scene.relation is not None
        retold = world.Scene(scene.second, world.INVERSE[scene.relation], scene.first)
        assert world.split_of(retold) == "held-out"
        assert world.canonical(retold) == world.canonical(scene)


def test_the_parts_make_up_the_world_and_each_has_every_value():
    parts = {split: set(world.all_scenes(split)) for split in ("train", "held-out")}
    assert not parts["train"] & parts["held-out"]
    assert parts["train"] | parts["held-out"] == set(world.all_scenes())
    assert len(parts["held-out"]) > 1000
    groups = {scene.first for scene in parts["held-out"]}
    assert groups == {scene.first for scene in parts["train"]}
    assert {scene.relation for scene in parts["held-out"]} == set(world.RELATIONS)


def test_held_out_scenes_are_different_and_seeded():
    scenes = world.held_out_scenes(500, seed=1)
    assert len(set(scenes)) == 500
    assert scenes == world.held_out_scenes(500, seed=1)
    assert scenes != world.held_out_scenes(500, seed=2)
    with pytest.raises(ValueError, match="held-out"):
        world.held_out_scenes(10**6, seed=1)


def test_scenes_to_show_a_gain_on_are_not_those_settings_were_chosen_on():
    swept = world.held_out_scenes(world.SWEPT, world.SWEPT_SEED)
    shown = world.unswept_scenes(500)
    assert len(set(shown)) == 500
    assert not set(swept) & set(shown)
    assert {world.split_of(scene) for scene in shown} == {"held-out"}


def test_careless_captions_change_their_share_and_never_tell_a_held_out_scene():
    rng = np.random.default_rng(0)
    scenes = [world.sample_scene(rng) for _ in range(2000)]
    told = [world.misdescribe(scene, 0.4, rng) for scene in scenes]
    assert all(world.split_of(scene) == "train" for scene in told)
    colours = [a.first.colour != b.first.colour for a, b in zip(scenes, told, strict=True)]
    # 0.4 redrawn, a sixth of which keep their value: 0.333, standard error 0.011.
    assert np.mean(colours) == pytest.approx(0.4 * 5 / 6, abs=0.04)
    assert world.misdescribe(scenes[0], 0.0, rng) == scenes[0]
