"""What adapter files say to model browsers: words, a small picture, and nothing false."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import struct
from pathlib import Path

import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.adapters.save import SoftREPASave
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.softrepa.blend import concatenate, weighted_sum
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.softrepa.files import modelspec, thumbnail
from comfyui_softrepa.softrepa.files.summary import summary
from comfyui_softrepa.tests.adapters import random_adapter, save_reference
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.run.output import adapter as output
from PIL import Image

SHOWN = {
    "title": ("modelspec.title", "title", "display_name", "name"),
    "author": ("modelspec.author", "author"),
    "description": ("modelspec.description", "description"),
    "usage hint": ("modelspec.usage_hint", "usage_hint"),
    "trigger phrase": ("modelspec.trigger_phrase", "trigger_phrase"),
    "image": ("modelspec.thumbnail", "thumbnail", "image", "icon"),
}
"""The keys that ComfyUI's front-end looks for, each exactly or as the end of another."""

RUN = {"objective": "agsm", "base_model": "sd3.safetensors", "pairs": 1200, "batch_size": 16}


def shown(metadata: dict[str, str], what: str) -> str:
    """What the front-end's model library shows, by its own rule."""
    for key in SHOWN[what]:
        if key in metadata:
            return metadata[key] or ""
        for other in metadata:
            if other.endswith(key):
                return metadata[other] or ""
    return ""


def embedded(metadata: dict[str, str]) -> Image.Image:
    kind, _, data = metadata["modelspec.thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert json.loads(metadata["ssmd_cover_images"]) == [data]
    picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    picture.load()
    return picture


def read_metadata(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    return header["__metadata__"]


@pytest.fixture
def save(tmp_path, monkeypatch):
    """SoftREPASave in an output folder of its own; gives the file written."""
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return lambda *given, **more: Path(SoftREPASave.execute(*given, **more).ui.value)


def images(count: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    """A batch of noise: the hardest picture to make small."""
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(0))


def test_a_saved_adapter_shows_its_picture_and_words(save):
    batch = images(3, 400, 640)
    batch[0] = torch.tensor([1.0, 0.0, 0.0])
    path = save(random_adapter(), "a", batch, " Mine ", "Two lines,\nin one text: 赤い猫")
    metadata = read_metadata(path)
    assert shown(metadata, "title") == "Mine"
    assert shown(metadata, "description") == "Two lines,\nin one text: 赤い猫"
    picture = embedded(metadata)
    assert picture.size == (256, 160)
    red, green, blue = picture.getpixel((128, 80))
    assert red > 250 and green < 5 and blue < 5, "the first of the batch"


@pytest.mark.parametrize("size", [(1024, 1024), (64, 3000), (200, 100), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_picture_becomes_small(save, size, channels):
    path = save(random_adapter(), "a", images(1, *size, channels))
    metadata = read_metadata(path)
    picture = embedded(metadata)
    assert max(picture.size) == min(256, max(size)) and picture.mode == "RGB"
    assert len(base64.b64decode(metadata["modelspec.thumbnail"].partition(",")[2])) <= 20_000
    length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    assert length < 1 << 20, "ComfyUI shows no metadata from a longer header"


def test_values_outside_the_range_are_clamped(save):
    batch = torch.full((1, 8, 8, 3), 7.0)
    batch[..., 1], batch[..., 2] = -3.0, float("nan")
    assert embedded(read_metadata(save(random_adapter(), "a", batch))).getpixel((4, 4))[0] > 250


def test_what_is_transparent_becomes_white(save):
    metadata = read_metadata(save(random_adapter(), "a", torch.zeros(1, 8, 8, 4)))
    assert min(embedded(metadata).getpixel((4, 4))) > 250


def test_an_empty_batch_is_refused(save):
    with pytest.raises(AdapterError, match="holds no picture"):
        save(random_adapter(), "a", torch.zeros(0, 8, 8, 3))


def test_nothing_given_changes_nothing(save):
    kept = {"modelspec.date": "2026-01-01T00:00:00Z", **modelspec.labels("T", "D", "A", b"jpeg")}
    adapter = dataclasses.replace(random_adapter(), metadata=kept)
    path = save(adapter, "a")
    assert path.read_bytes() == files.encode(adapter)
    assert {key: read_metadata(path)[key] for key in kept} == kept
    assert files.encode(files.read(path)) == path.read_bytes()


def test_new_labels_replace_only_what_they_name(save):
    adapter = dataclasses.replace(
        random_adapter(),
        metadata={"softrepa.steps": "300", **modelspec.labels("T", "D", "A", b"jpeg")},
    )
    metadata = read_metadata(save(adapter, "a", images(1, 8, 8), description="New"))
    assert shown(metadata, "title") == "T" and shown(metadata, "author") == "A"
    assert shown(metadata, "description") == "New" and metadata["softrepa.steps"] == "300"
    assert embedded(metadata).size == (8, 8)


def test_half_a_character_pair_does_not_stop_the_save(save):
    assert shown(read_metadata(save(random_adapter(), "a", title="A\ud83d")), "title") == "A?"


@pytest.mark.parametrize("blend", [lambda a, b: weighted_sum(a, b, (0.5, 0.5)), concatenate])
def test_a_blend_carries_neither_picture_nor_hash_of_its_sources(save, blend):
    untimed = [
        dataclasses.replace(
            random_adapter(timed=False, seed=seed),
            metadata={"softrepa.steps": "9", **modelspec.labels(f"T{seed}", "D", "A", b"jpeg")},
        )
        for seed in (1, 2)
    ]
    loaded = [files.read(save(adapter, "a")) for adapter in untimed]
    metadata = read_metadata(save(blend(*loaded), "a"))
    assert shown(metadata, "title") == "Blend of T1 and T2"
    assert shown(metadata, "description") == "SoftREPA adapter for MMDiT of width 128."
    assert shown(metadata, "image") == shown(metadata, "author") == ""
    assert "softrepa.steps" not in metadata and "ssmd_cover_images" not in metadata
    hashes = {adapter.metadata["modelspec.hash_sha256"] for adapter in loaded}
    assert metadata["modelspec.hash_sha256"] not in hashes and len(hashes) == 2


def test_another_trainers_hash_is_not_carried_over(save):
    metadata = {"sshs_model_hash": "1", "sshs_legacy_hash": "2", "ss_steps": "3"}
    written = read_metadata(save(dataclasses.replace(random_adapter(), metadata=metadata), "a"))
    assert "sshs_model_hash" not in written and "sshs_legacy_hash" not in written
    assert written["ss_steps"] == "3"


def test_a_converted_file_shows_its_name_and_family(save, tmp_path):
    path = save_reference(tmp_path, torch.randn(4, 768), torch.randn(100, 768))
    metadata = read_metadata(save(files.read(path), "mine"))
    assert shown(metadata, "title") == "mine_00001_", "files stay apart in the library"
    assert shown(metadata, "description") == "SoftREPA adapter for SD1.x (U-Net, width 768)."
    for what in SHOWN.keys() - {"title", "description"}:
        assert shown(metadata, what) == "", "nothing is shown in the place of what is missing"


def test_info_says_how_large_the_picture_is_and_not_its_bytes(save):
    path = save(random_adapter(), "a", images(1, 64, 64), "T", "One\nTwo")
    lines = summary(files.read(path))
    (line,) = (line for line in lines if line.startswith("modelspec.thumbnail"))
    assert line.startswith("modelspec.thumbnail: a picture, ") and line.endswith(" kB")
    assert "modelspec.description: One Two" in lines
    assert not any("base64" in line for line in lines)


def test_the_picture_leaves_camera_data_and_comments_behind(tmp_path):
    original = Image.new("RGB", (40, 20), "blue")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Camera"
    original.save(tmp_path / "p.jpg", exif=exif, comment=b"at home", icc_profile=b"profile")
    assert b"at home" in (tmp_path / "p.jpg").read_bytes()
    metadata = output.labels(picture=tmp_path / "p.jpg")
    picture = embedded(metadata)
    assert picture.size == (20, 40), "upright, as the camera meant it"
    data = base64.b64decode(metadata["modelspec.thumbnail"].partition(",")[2])
    for secret in (b"at home", b"Camera", b"Exif", b"profile"):
        assert secret not in data
    assert output.labels(picture=tmp_path / "p.jpg") == metadata, "the same bytes every time"


@pytest.mark.parametrize("name", ["missing.png", "text.png", "."])
def test_a_thumbnail_that_is_no_picture_is_one_sentence(tmp_path, name):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(BadInput, match=r"^--thumbnail .* cannot be read \(.*\)\.$"):
        output.labels(picture=tmp_path / name)


def test_the_trainer_says_in_one_sentence_what_it_did():
    metadata = output.metadata(RUN, "mine", "2026-01-01T00:00:00Z", 300)
    assert shown(metadata, "title") == "mine"
    assert shown(metadata, "description") == (
        "Soft text tokens for sd3.safetensors, trained with AGSM on 1200 captioned pictures for "
        "300 steps of 16."
    )
    assert shown(metadata, "image") == "", "a training picture is never embedded unasked"
    held_out = output.describe({**RUN, "objective": "softrepa", "val_fraction": 0.05}, 1)
    assert "with SoftREPA on 1200 captioned pictures (5% of them held out)" in held_out


def test_the_users_labels_replace_the_trainers():
    given = output.labels("Cats", "Many cats.", "Me")
    metadata = output.metadata(RUN, "mine", "2026-01-01T00:00:00Z", 300, given)
    assert [shown(metadata, what) for what in ("title", "description", "author")] == [
        "Cats", "Many cats.", "Me",
    ]  # fmt: skip
    assert metadata["softrepa.steps"] == "300" and metadata["softrepa.pairs"] == "1200"


def test_thumbnails_are_not_enlarged():
    assert Image.open(io.BytesIO(thumbnail.jpeg(Image.new("L", (30, 10))))).size == (30, 10)
