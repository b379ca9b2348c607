"""Picture formats that Pillow reads only with a package beside it, or not at all."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CONVERT = "convert them to PNG or JPEG"
_RAW = ".3fr .arw .cr2 .cr3 .dng .erf .nef .nrw .orf .pef .raf .raw .rw2 .srw .x3f"


@dataclass(frozen=True)
class Format:
    """A kind of picture file. `package`: what makes Pillow read it, `module` its import name."""

    name: str
    package: str = ""
    module: str = ""

    @property
    def remedy(self) -> str:
        """What the user can do about such files."""
        if self.package:
            return f"{_CONVERT}, or install {self.package} into ComfyUI's Python"
        return f"{_CONVERT}"


HEIF = Format("HEIC", "pillow-heif", "pillow_heif")
JXL = Format("JPEG XL", "pillow-jxl-plugin", "pillow_jxl")
AVIF = Format("AVIF", "a newer Pillow or pillow-avif-plugin", "pillow_avif")
RAW = Format("camera raw")
FORMATS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIF),
    ".jxl": JXL,
    **dict.fromkeys(_RAW.split(), RAW),
    **dict.fromkeys((".exr", ".hdr"), Format("high dynamic range")),
    **dict.fromkeys((".psd", ".psb"), Format("Photoshop")),
    ".xcf": Format("GIMP"),
    ".kra": Format("Krita"),
    ".clip": Format("Clip Studio"),
    ".svg": Format("SVG"),
    **dict.fromkeys((".eps", ".ai", ".pdf"), Format("PostScript or PDF")),
}
"""By suffix: pictures that are not read unless their package is there."""

_BRANDS = {b"avif": AVIF, b"avis": AVIF}
_BRANDS |= dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis"), HEIF)


def readable(suffixes: Iterable[str]) -> frozenset[str]:
    """Those of these suffixes that Pillow reads, once the packages for them are loaded.

    A package registers itself with Pillow as its own guide says; what is not installed stays out.
    """
    found = set()
    for suffix in set(suffixes):
        format_ = FORMATS.get(suffix)
        if format_ is not None and format_.module and load_package(format_):
            found.add(suffix)
    return frozenset(found)


def load_package(format_: Format) -> bool:
    """Whether the package that reads a format is installed and has registered itself."""
    if not format_.module or importlib.util.find_spec(format_.module) is None:
        return False
    try:
        module = importlib.import_module(format_.module)
        getattr(module, "register_heif_opener", lambda: None)()
    except Exception:  # a package of another machine or version fails in any way
        return False
    return True


def by_contents(path: Path) -> Format | None:
    """What a file that Pillow does not know is by its first bytes; phones name HEIC `.jpg`."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return JXL
    return None
