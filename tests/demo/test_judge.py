"""The judge: right on what the world draws, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.models.base import join, vae
from comfyui_softrepa.demo.world import Group, Scene
from comfyui_softrepa.demo.world.judge import ATTRIBUTES, Verdict, describe, judge, look
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.torch import load_file

COUNT = 500
TWO_RED_LEFT_OF_BLUE = Scene(Group(2, "red", "circle"), "left of", Group(1, "blue", "square"))


@pytest.fixture(scope="module")
def drawn() -> tuple[list[Scene], NDArray[np.float64]]:
    """Scenes of the world and their pictures, floats in 0..1."""
    rng = np.random.default_rng(11)
    scenes = [world.sample_scene(rng) for _ in range(COUNT)]
    pictures = np.stack([np.asarray(world.render(scene, rng)) for scene in scenes]) / 255
    return scenes, pictures


def _share_right(scenes: list[Scene], pictures: NDArray[np.float64]) -> float:
    return float(np.mean([judge(p, s).all for p, s in zip(pictures, scenes, strict=True)]))


def _draw(scene: Scene, seed: int = 0) -> NDArray[np.uint8]:
    return np.asarray(world.render(scene, np.random.default_rng(seed)))


def test_rendered_pictures(drawn):
    assert _share_right(*drawn) >= 0.99


@pytest.mark.parametrize("sigma", [0.02, 0.05])
def test_mild_noise(drawn, sigma: float):
    scenes, pictures = drawn
    noisy = pictures + np.random.default_rng(3).normal(0, sigma, pictures.shape)
    assert _share_right(scenes, np.clip(noisy, 0, 1)) >= 0.99


def test_reconstructions(drawn):
    scenes, pictures = drawn
    model = torch.nn.ModuleDict({"encoder": vae.encoder(), "decoder": vae.decoder()})
    model.load_state_dict({key: value.float() for key, value in load_file(join.VAE).items()})
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        again = model["decoder"](model["encoder"](pixels)).permute(0, 2, 3, 1).numpy()
    assert _share_right(scenes, again) >= 0.99


def test_floats_bytes_and_pictures_are_read_alike():
    picture = world.render(TWO_RED_LEFT_OF_BLUE, np.random.default_rng(0))
    seen = look(picture)
    assert len(seen) == 3
    assert look(np.asarray(picture)) == seen
    assert look(np.asarray(picture) / 255) == seen


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        (Scene(Group(2, "green", "circle"), "left of", Group(1, "blue", "square")), "colour"),
        (Scene(Group(2, "red", "triangle"), "left of", Group(1, "blue", "square")), "shape"),
        (Scene(Group(3, "red", "circle"), "left of", Group(1, "blue", "square")), "number"),
        (Scene(Group(2, "red", "circle"), "right of", Group(1, "blue", "square")), "relation"),
        (Scene(Group(2, "red", "circle"), "above", Group(1, "blue", "square")), "relation"),
    ],
)
def test_one_wrong_attribute_is_the_only_one_reported(shown: Scene, wrong: str):
    truth = judge(_draw(shown), TWO_RED_LEFT_OF_BLUE).as_dict()
    assert truth == {name: name not in (wrong, "all") for name in ATTRIBUTES}


def test_attributes_are_bound_to_their_group():
    """The right colours on the wrong groups are not the right colours."""
    swapped = Scene(Group(2, "blue", "circle"), "left of", Group(1, "red", "square"))
    verdict = judge(_draw(swapped), TWO_RED_LEFT_OF_BLUE)
    assert not verdict.all
    assert not (verdict.colour and verdict.shape and verdict.relation)


def test_a_group_too_many_or_too_few():
    alone = judge(_draw(Scene(Group(2, "red", "circle"))), TWO_RED_LEFT_OF_BLUE)
    assert alone == Verdict(False, False, False, False)
    extra = Scene(Group(1, "red", "circle"), "above", Group(1, "blue", "square"))
    verdict = judge(_draw(extra), Scene(Group(1, "red", "circle")))
    assert not verdict.colour and not verdict.number and verdict.shape


def _overlapping() -> Image.Image:
    picture = Image.new("RGB", (64, 64), world.GROUND)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((18, 24, 34, 40), fill=world.COLOURS["red"])
    pen.rectangle((28, 26, 43, 41), fill=world.COLOURS["blue"])
    return picture


RUBBISH = {
    "blank": np.full((64, 64, 3), 235, np.uint8),
    "white": np.ones((64, 64, 3)),
    "black": np.zeros((64, 64, 3)),
    "noise": np.random.default_rng(0).random((64, 64, 3)),
    "not numbers": np.full((64, 64, 3), np.nan),
    "grey": np.zeros((64, 64)),
    "empty": np.zeros((0, 0, 3)),
    "tiny": np.zeros((2, 2, 3), np.uint8),
    "alpha": np.zeros((64, 64, 4), np.uint8),
    "text": "no picture",
    "nothing": None,
    "ragged": [[1, 2], [3]],
    "overlapping": _overlapping(),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_shows_no_scene_and_raises_nothing(name: str):
    scenes = [
        TWO_RED_LEFT_OF_BLUE,
        Scene(Group(1, "red", "circle"), "left of", Group(1, "blue", "square")),
        Scene(Group(1, "red", "circle")),
        Scene(Group(1, "black", "square")),
    ]
    for scene in scenes:
        assert not judge(RUBBISH[name], scene).all
    assert isinstance(describe(look(RUBBISH[name])), str)


def test_objects_of_one_colour_run_together_are_no_shape():
    picture = Image.new("RGB", (64, 64), world.GROUND)
    pen = ImageDraw.Draw(picture)
    for x in (20, 34):
        pen.ellipse((x - 8, 24, x + 8, 40), fill=world.COLOURS["red"])
    assert [one.shape for one in look(picture)] == [None]
    assert not judge(picture, Scene(Group(2, "red", "circle"))).all


def test_descriptions():
    assert describe(look(_draw(TWO_RED_LEFT_OF_BLUE))) in (
        "two red circles left of a blue square",
        "a blue square right of two red circles",
    )
    assert describe([]) == "nothing"
    assert "an unclear blob" in describe(look(_overlapping()))
