"""Image files as arrays of RGB, whatever way they store it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from . import formats

EXTENSIONS = frozenset(
    ".apng .avif .bmp .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .jpx .mpo .pbm .pgm .png .pnm .ppm "
    ".qoi .tga .tif .tiff .webp".split()
)
"""Suffixes taken for images; one that this Pillow cannot decode is reported as unreadable."""

HUGE = 1 << 24
"""Pixels above which a picture is decoded alone and reduced before it is resampled."""
_ONE_HUGE = threading.Lock()
_STRIP = 1 << 22
"""About as many pixels are flattened at a time."""
_OVERSHOOT = 0.05
"""Sharpened floats lie a little beyond black and white."""
_ORIENTATION = 0x0112
_EXIF = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""Where Pillow looks for it in JPEG and PNG; asking in vain takes as long as opening a file."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)
_PLAIN = ("RGB", "L", "1", "CMYK", "YCbCr")
"""Modes that always become RGB."""
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class Look:
    """What is known of a picture file that decodes: its upright size, whether it is animated, and
    its sha256 where that was asked for."""

    width: int
    height: int
    animated: bool
    sha256: str | None = None


def load(path: Path) -> np.ndarray:
    """The picture as it is meant to be seen: (H, W, 3) float32, 0 to 1.

    EXIF rotation is applied, transparency is laid over white, and of an animation the first frame
    is taken. Greyscale of more than 8 bits keeps its depth. Raises what `look` finds: ValueError
    or another exception that says why the file cannot be decoded.
    """
    with opened(path) as image:
        picture = upright(image, image.size)
        bands = [np.asarray(band, dtype=np.float32) / 255.0 for band in picture.split()]
    return np.stack(bands * (3 // len(bands)), axis=2).clip(0.0, 1.0)


def look(path: Path) -> Look:
    """Decodes a picture as `load` does, and as thoroughly, but JPEGs at an eighth of their size.

    Raises what `load` would.
    """
    with opened(path) as image:
        width, height = upright_size(image)
        animated = image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
        # Scaled decoding still reads the whole stream, so it finds a truncated one.
        image.draft("RGB", (64, 64))
        image.load()
        if image.mode == "F" or image.mode.startswith("I"):
            _white(image)
        elif image.mode not in _PLAIN or image.has_transparency_data:
            _flattened(image.crop((0, 0, 1, 1)))
    return Look(width, height, animated)


def fault(path: Path) -> str | None:
    """Why the file cannot be decoded, or None."""
    found = examined(path)
    return found if isinstance(found, str) else None


def examined(path: Path) -> Look | str:
    """What `look` finds, or why the file cannot be decoded."""
    try:
        return look(path)
    except Exception as error:  # decoders raise whatever they come upon
        return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture file whose pixels are not decoded yet; only one huge one at a time.

    Raises what Pillow raises, and ValueError that says what to do where it is known.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged EXIF, large pictures
        source = path if isinstance(path, Path) else path.open("rb")
        try:
            image = Image.open(source)
        except UnidentifiedImageError:
            format_ = formats.by_contents(path)
            if format_ is None:
                raise ValueError("is no picture that Pillow knows, or damaged") from None
            if not formats.load_package(format_):
                raise ValueError(f"is {format_.name} by its contents; {format_.remedy}") from None
            image = Image.open(source)
        except Image.DecompressionBombError:
            most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
            raise ValueError(f"has more than {most:.0f} megapixels; scale it down") from None
        with image:
            huge = image.width * image.height > HUGE
            with _ONE_HUGE if huge else nullcontext():
                yield image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of an opened picture once it is turned as its EXIF says."""
    width, height = image.size
    return (height, width) if _orientation(image) in _LYING else (width, height)


def upright(image: Image.Image, least: tuple[int, int]) -> Image.Image:
    """An opened picture, turned upright: RGB of 8 bits, or L of any depth in "F", 0 to 255.

    A huge one is reduced by a whole factor where that leaves twice `least`, (width, height) of the
    upright picture, or more: what is resampled to `least` then looks the same.
    """
    turn = _orientation(image)
    wanted = least[::-1] if turn in _LYING else least
    if image.width * image.height > HUGE:
        image.draft("RGB", (2 * wanted[0], 2 * wanted[1]))
    factor = 1
    if image.width * image.height > HUGE:
        factor = max(1, min(image.width // (2 * wanted[0]), image.height // (2 * wanted[1])))
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        flat = _reduced(image, factor, _deep(_white(image)))
    else:
        flat = _reduced(image, factor, _flattened)
    return flat.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else flat


def _orientation(image: Image.Image) -> int:
    """EXIF's number; 1, as it lies, where there is none or the block is damaged."""
    try:
        if image.format == "PNG":
            image.load()  # its EXIF may lie behind the pixels
        if image.format in ("JPEG", "PNG") and not image.info.keys() & _EXIF:
            return 1
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # whatever the damage leads to; the pixels are sound
        return 1


def _reduced(image: Image.Image, factor: int, flatten: Callable) -> Image.Image:
    """The picture flattened and reduced, a strip at a time: no second copy of a huge one."""
    if factor == 1:
        return flatten(image)
    rows = max(1, _STRIP // (image.width * factor)) * factor
    width, height = image.width // factor, image.height // factor
    # What does not fill a reduced pixel is left out on both sides, so that the centre stays.
    left, above = image.width % factor // 2, image.height % factor // 2
    result = None
    for top in range(0, height * factor, rows):
        bottom = min(height * factor, top + rows)
        strip = image.crop((left, above + top, left + width * factor, above + bottom))
        strip = flatten(strip).reduce(factor)
        result = result or Image.new(strip.mode, (width, height))
        result.paste(strip, (0, top // factor))
    return result


def _flattened(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("RGB")


def _deep(white: float) -> Callable[[Image.Image], Image.Image]:
    """Greyscale of more than 8 bits to 0 ... 255 without rounding."""

    def scale(image: Image.Image) -> Image.Image:
        values = np.asarray(image, dtype=np.float32) * np.float32(255.0 / white)
        return Image.fromarray(values.clip(0.0, 255.0))

    return scale


def _white(image: Image.Image) -> float:
    """The value that is white in greyscale of more than 8 bits.

    16 bits say it themselves. Numbers of 32 bits do not: they are taken to be 0 to 1, or to have
    been 8 or 16 bits once where they reach a good part of that. Raises ValueError on others.
    """
    # Some versions of Pillow give 16-bit PNG and PGM as 32-bit integers.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format != "TIFF"):
        return 65535.0
    least, most = image.getextrema()
    finite = image.mode == "I" or bool(np.isfinite(np.asarray(image)).all())
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    slack = _OVERSHOOT if image.mode == "F" else 0.0
    for white in whites:
        reached = most > white / 4 or white == 1.0 or most == 0
        if finite and reached and least >= -slack * white and most <= (1 + slack) * white:
            return white
    kind = "floating-point numbers" if image.mode == "F" else "32-bit integers"
    raise ValueError(
        f"holds {kind} from {least:g} to {most:g}, of which none is known to be white; save it "
        "with 8 or 16 bits"
    )
