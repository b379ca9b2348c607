"""Pictures of every kind come out as what they show; frames are where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui_softrepa.training.data.framing import Framing, bucket, resize_and_crop, step
from comfyui_softrepa.training.data.images import fault, load
from comfyui_softrepa.training.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features


def test_exif_rotation_is_applied(tmp_path):
    image = Image.new("RGB", (20, 10), "black")
    image.paste("white", (0, 0, 10, 10))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    image.save(tmp_path / "a.png", exif=exif)
    picture = load(tmp_path / "a.png")
    assert picture.shape == (20, 10, 3)
    assert picture[:9].min() == 1.0 and picture[11:].max() == 0.0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(tmp_path, mode):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    image.convert(mode).save(tmp_path / "a.png")
    picture = load(tmp_path / "a.png")
    assert picture[0, 0].max() == 0.0
    assert picture[2, 2].min() == 1.0


def test_grey_cmyk_and_one_bit(tmp_path):
    Image.new("L", (4, 4), 51).save(tmp_path / "grey.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    Image.new("1", (4, 4), 1).save(tmp_path / "one.png")
    assert np.allclose(load(tmp_path / "grey.png"), 0.2)
    red = load(tmp_path / "cmyk.jpg")[4, 4]
    assert red[0] > 0.9 and red[1:].max() < 0.1
    assert load(tmp_path / "one.png").min() == 1.0


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_keep_their_depth(tmp_path, name):
    values = np.array([[0, 257], [32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    assert np.allclose(load(tmp_path / name)[:, :, 0], values / 65535, atol=1e-6)


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_newer_formats(tmp_path, name):
    if not features.check(name):
        pytest.skip(f"this Pillow has no {name}")
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / f"a.{name}", quality=95)
    assert np.allclose(load(tmp_path / f"a.{name}")[16, 16], [1, 0, 0], atol=0.05)


def test_a_truncated_jpeg_is_found(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path)
    assert fault(path) is None
    path.write_bytes(path.read_bytes()[:-1000])
    assert "truncated" in fault(path)


def test_the_centre_is_kept_and_a_fitting_picture_is_untouched():
    picture = np.zeros((10, 30, 3), dtype=np.uint8)
    picture[:, 10:20] = 255
    image = Image.fromarray(picture)
    assert resize_and_crop(image, 10, 10).min() > 0.99
    assert np.array_equal(resize_and_crop(image, 30, 10), picture / np.float32(255.0))
    ramp = np.linspace(0, 255, 64, dtype=np.float32)[None, :].repeat(64, 0)
    small = resize_and_crop(Image.fromarray(ramp), 16, 16)
    assert small.shape == (16, 16, 3) and small.dtype == np.float32
    assert np.all(np.diff(small[8, :, 0]) > 0)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 256, 512, 768, 1024]))
def test_a_bucket_fits_the_model_and_the_picture(width, height, resolution):
    multiple = step(resolution)
    w, h = bucket(width, height, resolution, multiple)
    assert w % multiple == 0 and h % multiple == 0
    assert w * h <= resolution**2
    assert resolution // 2 <= min(w, h) and max(w, h) <= 2 * resolution
    assert bucket(height, width, resolution, multiple) == (h, w)


def test_usual_buckets():
    assert bucket(4000, 4000, 512, 64) == (512, 512)
    assert bucket(1600, 1200, 512, 64) == (576, 448)
    assert bucket(64, 64, 64, 16) == (64, 64)
    assert bucket(9000, 100, 512, 64) == (1024, 256)


def test_framing_refuses_a_resolution_no_model_takes():
    with pytest.raises(BadInput, match="use 496"):
        Framing(500)
    assert Framing(64).size(100, 300) == (64, 64)
    assert Framing(512, buckets=True).size(1600, 1200) == (576, 448)
