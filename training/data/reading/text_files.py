"""Text as users' editors save it: decoded where that is certain, else refused with what to do.

UTF-8 and Unicode with a byte order mark are certain. A code page is not: the same bytes are words
in one and nonsense in another, so a file in one is named with the page it seems to be in.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from ...errors import BadInput
from ..report import printable

LARGEST = 1 << 30
"""Bytes of a text file, above which it is refused: read, it takes several times as much memory."""

_MARKS = (
    # UTF-32's little-endian mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHIFT_JIS_FREQUENT = ("shift_jis", 0x88, 0x97)
_PAGES = (
    # codec, what to call it, and where the characters lie that most of such a text is made of
    ("cp932", "Shift_JIS", _SHIFT_JIS_FREQUENT),
    # Korean's bytes are characters in the next two as well, and of equals the first is taken.
    ("cp949", "Korean, cp949", ("euc_kr", 0xB0, 0xC8)),
    ("gb18030", "Chinese, GB18030", ("gb2312", 0xB0, 0xD7)),
    ("euc_jp", "EUC-JP", _SHIFT_JIS_FREQUENT),
    ("big5", "Chinese, Big5", ("big5", 0xA4, 0xC6)),
    ("cp1251", "Windows-1251", ("cp1251", 0xE0, 0xFF)),
)
_WESTERN = ("cp1252", "Windows-1252")
_CURLY = "\u201c\u201d\u201e\u2018\u2019"
_PREVIEW = 24
_HALF = 0.5


class NotText(ValueError):
    """Why a file is not read as text, to follow its name: "is not UTF-8 ...; save it as UTF-8"."""


def read(path: Path) -> str:
    """A text file, without its byte order mark. Raises OSError and NotText."""
    size = path.stat().st_size
    if size > LARGEST:
        raise NotText(f"is {size / 1e9:.1f} GB large; split it into smaller files")
    return decode(path.read_bytes())


def decode(raw: bytes) -> str:
    """UTF-8, or UTF-16 and UTF-32 by their mark, UTF-16 also by its NULs; nothing is guessed.

    Raises NotText.
    """
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if encoding is None:
        encoding = _unmarked_utf16(raw) or "utf-8"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            raise NotText(_not_utf8(raw, error)) from None
        name = encoding.removesuffix("-sig").upper()
        raise NotText(f"is damaged {name} text ({error.reason}); save it as UTF-8") from None
    if "\0" in text:
        raise NotText("holds NUL characters, so it is no text or damaged; save it as UTF-8 text")
    return text


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's entries. Raises OSError, and BadInput that says what to change."""
    try:
        text = read(path)
    except NotText as error:
        raise BadInput(f"{path} {error}.") from None
    try:
        # tomllib takes a lone \r for no line end.
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except RecursionError:
        raise BadInput(f"{path} is no valid TOML (nested too deeply).") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is no valid TOML ({error}){_hint(text)}.") from None


def _unmarked_utf16(raw: bytes) -> str | None:
    """UTF-16 by the NULs of its Latin characters: in half of all pairs, always at one place."""
    pairs = len(raw) // 2
    first, second = raw[0::2].count(0), raw[1::2].count(0)
    if len(raw) % 2 or not first + second:
        return None
    if not first and second >= _HALF * pairs:
        return "utf-16-le"
    return "utf-16-be" if not second and first >= _HALF * pairs else None


def _not_utf8(raw: bytes, error: UnicodeDecodeError) -> str:
    if raw.count(0):
        return "is no text (it holds NUL bytes); save it as UTF-8 text"
    if not raw[: error.start].isascii():
        return f"is damaged UTF-8 text (byte {error.start + 1}); save it as UTF-8"
    page = _likely_page(raw)
    if page is None:
        return "is not UTF-8 text; save it as UTF-8"
    codec, name = page
    start = printable(" ".join(raw.decode(codec, errors="replace").split())[:_PREVIEW])
    return f'is not UTF-8 (by {name} it reads "{start}"); save it as UTF-8'


def _likely_page(raw: bytes) -> tuple[str, str] | None:
    """(codec, name) of the code page in which the bytes are most like words; only for a message."""
    scores = [(_plausible(raw, codec, range_), codec, name) for codec, name, range_ in _PAGES]
    score, codec, name = max(scores, key=lambda found: found[0])
    if score > _HALF and not _isolated(raw):
        return codec, name
    try:
        raw.decode(_WESTERN[0])
    except UnicodeDecodeError:
        return None
    return _WESTERN


def _plausible(raw: bytes, codec: str, frequent: tuple[str, int, int]) -> float:
    """Of the characters beyond ASCII, the share that is usual in the page's language."""
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        return 0.0
    beyond = [character for character in text if ord(character) > 127]
    judge, low, high = frequent
    usual = 0
    for character in beyond:
        kana = "\u3040" <= character <= "\u30ff"
        lead = character.encode(judge, errors="ignore")[:1]
        usual += kana if judge == "shift_jis" and kana else bool(lead) and low <= lead[0] <= high
    return usual / max(1, len(beyond))


def _isolated(raw: bytes) -> bool:
    """Whether most bytes beyond ASCII stand between ASCII ones, as accents in words do."""
    high = [byte > 127 for byte in raw]
    alone = sum(
        here and not before and not after
        for before, here, after in zip([False, *high], high, [*high[1:], False], strict=False)
    )
    return alone > _HALF * sum(high)


def _hint(text: str) -> str:
    """What to do about the usual faults of a TOML file that was written by hand."""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    if any("\\" in line and '"' in line for line in lines):
        return (
            ": a backslash between double quotes begins an escape; write paths in single quotes "
            "('C:\\pictures') or with forward slashes"
        )
    if any(mark in line for line in lines for mark in _CURLY):
        return ": use straight quotes"
    return ""
