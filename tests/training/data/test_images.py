"""Pictures of every kind come out as what they show; frames are where they should be."""

from __future__ import annotations

import importlib.util
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from comfyui_softrepa.training.data import find
from comfyui_softrepa.training.data.pictures import images
from comfyui_softrepa.training.data.pictures.framing import Framing, bucket, resize_and_crop, step
from comfyui_softrepa.training.data.pictures.images import examined, fault, load
from comfyui_softrepa.training.errors import BadInput
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from .stand_in import picture


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


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (np.array([[0.0, 0.25], [0.5, 1.0]], np.float32), 1.0),
        (np.array([[-0.01, 0.25], [0.5, 1.02]], np.float32), 1.0),  # sharpened
        (np.array([[0.0, 64.0], [128.0, 255.0]], np.float32), 255.0),
        (np.array([[0.0, 4e3], [3e4, 6.5e4]], np.float32), 65535.0),
        (np.array([[0, 64], [128, 255]], np.int32), 255.0),
        (np.array([[0, 4000], [30000, 65535]], np.int32), 65535.0),
    ],
)
def test_greyscale_of_32_bits_keeps_its_contrast(tmp_path, values, white) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert fault(tmp_path / "a.tif") is None
    found = load(tmp_path / "a.tif")[:, :, 1]
    assert np.allclose(found, (values / white).clip(0.0, 1.0), atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0.0, 7.5]], np.float32),  # high dynamic range
        np.array([[-1.0, 1.0]], np.float32),
        np.array([[0.0, np.nan]], np.float32),
        np.array([[0, 2**31 - 1]], np.int32),
        np.array([[-5, 200]], np.int32),
        np.array([[0, 3000]], np.int32),
    ],
)
def test_greyscale_of_which_no_white_is_known_is_refused_by_name(tmp_path, values) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert "save it with 8 or 16 bits" in fault(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="known to be white"):
        load(tmp_path / "a.tif")


def test_the_first_check_finds_what_loading_would(tmp_path) -> None:
    refused, read = set(), set()
    for suffix in ("png", "tif", "jpg", "webp", "bmp", "tga", "jp2", "gif", "qoi", "ppm"):
        for mode in "1 L LA La P PA RGB RGBA RGBX RGBa CMYK YCbCr HSV LAB I;16 F".split():
            path = tmp_path / f"{mode}.{suffix}"
            try:
                Image.new(mode, (9, 7)).save(path)
            except (OSError, KeyError, ValueError):  # the format has no such mode
                continue
            found = examined(path)
            if isinstance(found, str):
                refused.add(path.name)
                with pytest.raises(Exception, match=r"."):
                    load(path)
            else:
                read.add(path.name)
                assert load(path).shape == (7, 9, 3) and (found.width, found.height) == (9, 7)
    assert refused == set() and len(read) > 40


def test_sixteen_bit_colour_keeps_its_contrast(tmp_path) -> None:
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 32768, 65535, 65535, 257, 0) for _ in range(2))
    parts = [
        (b"IHDR", struct.pack(">2I5B", 2, 2, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n"
    for name, data in parts:
        check = zlib.crc32(name + data)
        png += struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
    (tmp_path / "a.png").write_bytes(png)
    wanted = [[0.0, 0.5, 1.0], [1.0, 1 / 255, 0.0]]
    assert np.allclose(load(tmp_path / "a.png")[0], wanted, atol=0.003)


@pytest.mark.parametrize("damage", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_damaged_exif_does_not_spoil_the_pixels(tmp_path, damage) -> None:
    Image.new("RGB", (8, 4), "red").save(tmp_path / "a.jpg", exif=damage)
    assert fault(tmp_path / "a.jpg") is None
    assert load(tmp_path / "a.jpg").shape == (4, 8, 3)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_the_first_frame_of_an_animation_is_taken_and_said(tmp_path, name) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    found = load(tmp_path / name)[8, 8]
    assert found[0] > 0.95 and found[2] < 0.05
    assert examined(tmp_path / name).animated
    (tmp_path / "a.txt").write_text("red")
    picture(tmp_path / "b.png", 1)
    (tmp_path / "b.txt").write_text("other")
    assert "a." in find(tmp_path)[1].notes[0] and "first frame" in find(tmp_path)[1].notes[0]


@pytest.mark.parametrize(
    ("name", "head", "says"),
    [
        ("IMG_1.HEIC", b"\0\0\0\x18ftypheic", "HEIC .*pillow-heif"),
        ("b.jxl", b"\xff\x0a", "JPEG XL .*pillow-jxl-plugin"),
        ("c.NEF", b"MM\0*", "camera raw .*convert"),
        ("d.psd", b"8BPS", "Photoshop .*convert"),
        ("e.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC by its contents.*pillow-heif"),
        ("f.png", b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL by its contents"),
        ("g.png", b"<html>", "no picture that Pillow knows"),
    ],
)
def test_formats_that_are_not_read_are_named_with_what_to_do(tmp_path, name, head, says) -> None:
    (tmp_path / name).write_bytes(head)
    (tmp_path / name).with_suffix(".txt").write_text("a caption")
    if says.startswith("HEIC") and importlib.util.find_spec("pillow_heif"):
        pytest.skip("pillow-heif is here and reads it")
    with pytest.raises(BadInput, match=says):
        find(tmp_path)
    for number in range(2):
        picture(tmp_path / f"ok{number}.png", number)
        (tmp_path / f"ok{number}.txt").write_text(f"{number}")
    pairs, report = find(tmp_path)
    named = [*report.unsupported, *report.unreadable]
    assert len(pairs) == 2 and [path.name for path, _ in named] == [name]
    assert re.search(says, named[0][1]) and named[0][1] in str(report)


def test_a_format_is_read_once_its_package_is_installed(tmp_path, monkeypatch) -> None:
    # The call pattern of pillow-heif: nothing until its register function is called.
    (tmp_path / "pillow_heif.py").write_text(
        "def register_heif_opener():\n"
        "    from PIL import Image, PngImagePlugin\n"
        "    Image.register_extension('PNG', '.heic')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pillow_heif", raising=False)
    for number in range(2):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.heic", format="PNG")
        (tmp_path / f"{number}.txt").write_text(f"{number}")
    assert len(find(tmp_path)[0]) == 2
    sys.modules.pop("pillow_heif")


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_huge_picture_is_reduced_and_looks_the_same(tmp_path, kind, monkeypatch) -> None:
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 14, 3), dtype=np.uint8))
    whole = coarse.resize((603, 401), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    whole.save(tmp_path / f"a.{kind}", exif=exif)
    framing = Framing(64, buckets=True)
    plain = framing.read(tmp_path / f"a.{kind}")
    monkeypatch.setattr(images, "HUGE", 30_000)
    monkeypatch.setattr(images, "_STRIP", 20_000)
    reduced = framing.read(tmp_path / f"a.{kind}")
    assert plain.shape == reduced.shape and plain.shape[0] > plain.shape[1]
    # The edges may lie a fifth of a pixel apart.
    assert 0.0 < np.abs(plain - reduced).max() < 0.05 and np.abs(plain - reduced).mean() < 0.015
    see_through = whole.convert("RGBA")
    see_through.putalpha(Image.linear_gradient("L").resize(whole.size))
    for picture_ in (see_through, see_through.quantize(32), whole.convert("L").convert("I;16")):
        picture_.save(tmp_path / "b.png")
        monkeypatch.setattr(images, "HUGE", 1 << 24)
        plain = framing.read(tmp_path / "b.png")
        monkeypatch.setattr(images, "HUGE", 30_000)
        assert np.abs(plain - framing.read(tmp_path / "b.png")).mean() < 0.02


MEASURE = """
import resource, sys, threading
from pathlib import Path
import importlib.util
spec = importlib.util.spec_from_file_location("p", sys.argv[1])
pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
pack.import_pack()
from comfyui_softrepa.training.data import find
from comfyui_softrepa.training.data.pictures.framing import Framing
from comfyui_softrepa.training.data.pictures import images
from comfyui_softrepa.training.data.pictures.images import fault
path = Path(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
work = [lambda: Framing(512).read(path), lambda: fault(path)] * 3
threads = [threading.Thread(target=each) for each in work]
[each.start() for each in threads]
[each.join() for each in threads]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_huge_pictures_are_decoded_one_at_a_time(tmp_path) -> None:
    Image.new("RGB", (5000, 4000), "red").save(tmp_path / "a.png", compress_level=1)
    pack = Path(__file__).resolve().parents[3] / "host" / "pack.py"
    command = [sys.executable, "-c", MEASURE, str(pack), str(tmp_path / "a.png")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    # 20 megapixels: 76 MiB as Pillow holds them. Each reader had that and several times as much.
    assert float(said) < 150, f"{said} MiB"


def test_more_pixels_than_pillow_decodes_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    assert "scale it down" in fault(tmp_path / "a.png")


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


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([64, 96, 128]))
@settings(deadline=None)
def test_a_picture_of_any_size_is_framed(width, height, resolution):
    framing = Framing(resolution, buckets=True)
    size = framing.size(4 * width, 4 * height)
    found = resize_and_crop(Image.new("L", (4 * width, 4 * height), 255), *size)
    assert found.shape == (size[1], size[0], 3) and found.min() > 0.99


@pytest.mark.parametrize("size", [(1200, 900), (900, 1200), (1920, 1080), (4000, 3000)])
def test_common_sizes_are_framed_in_spite_of_rounding(size):
    framing = Framing(512, buckets=True)
    width, height = framing.size(*size)
    found = resize_and_crop(Image.new("L", size, 255), width, height)
    assert found.shape == (height, width, 3)


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
