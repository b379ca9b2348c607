"""Reading JSON that may be damaged or hostile: each value is taken by name, type and range."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from ..errors import TrialError

_IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,59}")
_FOLDER = re.compile(r"[\w(\[][\w .,+=@()\[\]-]{0,79}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}


def parse(data: bytes, name: str) -> Checked:
    """The one JSON object in `data`. Raises TrialError; `name` is the file's, for messages."""
    try:
        content = json.loads(
            data.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_no_doubles
        )
    except RecursionError:
        raise TrialError(f"{name} is nested deeper than any trial: it was not read.") from None
    except ValueError as error:
        raise TrialError(
            f"{name} is no sound JSON ({_short(str(error))}): it is damaged, or was edited by hand."
        ) from None
    if not isinstance(content, dict):
        raise TrialError(f"{name} holds no JSON object: it is no trial's manifest.")
    return Checked(content, name)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _no_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def unique(name: str, what: str, values: Sequence[str]) -> None:
    """Refuses two values that are one, upper and lower case alike, as on many file systems."""
    seen: set[str] = set()
    for value in values:
        folded = unicodedata.normalize("NFC", value).casefold()
        if folded in seen:
            raise TrialError(
                f"{name} has the {what} {shown(value)} twice: each must be there once."
            )
        seen.add(folded)


def safe_folder(name: str) -> bool:
    """Whether a name is one plain folder's on every file system."""
    return (
        _FOLDER.fullmatch(name) is not None
        and not name.endswith((" ", "."))
        and name.split(".")[0].strip().casefold() not in _RESERVED
        and unicodedata.is_normalized("NFC", name)
        and len(name.encode()) <= 200
    )


def shown(value: Any) -> str:
    """A value in a message: short, on one line."""
    try:
        return _short(json.dumps(value, ensure_ascii=True, default=str))
    except (ValueError, RecursionError):  # A number of thousands of digits, or a pit of lists.
        return "what is there"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


class Checked:
    """A JSON object whose values are taken out one by one; what stays is `rest()`."""

    def __init__(self, content: dict[str, Any], where: str) -> None:
        self._content, self._where = content, where

    def keys(self) -> list[str]:
        """The keys not yet taken."""
        return list(self._content)

    def take(self, key: str, kind: type | tuple[type, ...], optional: bool = False) -> Any:
        """The value, of that type (True is no number); None where it is optional and absent."""
        value = self._content.pop(key, None)
        if value is None and optional:
            return None
        if value is None:
            self._refuse(key, "is missing")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self._refuse(key, f"cannot be {shown(value)}")
        return value

    def text(self, key: str, longest: int, empty: bool = False, optional: bool = False) -> Any:
        """A text without control characters (lines and tabs apart), of bounded length."""
        value = self.take(key, str, optional)
        if value is None:
            return None
        if len(value) > longest:
            self._refuse(key, f"is longer than {longest} characters")
        if not (empty or value.strip()):
            self._refuse(key, "is empty")
        if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in value):
            self._refuse(key, f"has characters that no text has ({shown(value)})")
        return value

    def identifier(self, key: str) -> str:
        """A word of letters, digits, - and _, that can be part of a file's name."""
        value = self.take(key, str)
        if not _IDENTIFIER.fullmatch(value):
            self._refuse(key, f"must be letters, digits, - and _, not {shown(value)}")
        return value

    def folder_name(self, key: str) -> str:
        """A name that is one plain folder's on every file system."""
        value = self.take(key, str)
        if not safe_folder(value):
            self._refuse(key, f"cannot be the name of a folder everywhere: {shown(value)}")
        return value

    def digest(self, key: str, optional: bool = False) -> Any:
        """A SHA-256 in lower-case hexadecimal."""
        value = self.take(key, str, optional)
        if value is not None and not _DIGEST.fullmatch(value):
            self._refuse(key, f"is no SHA-256: {shown(value)}")
        return value

    def moment(self, key: str) -> str:
        """A date with time, ISO 8601."""
        value = self.text(key, 40)
        try:
            datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            self._refuse(key, f"is no date of ISO 8601: {shown(value)}")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self.take(key, int)
        if not low <= value <= high:
            self._refuse(key, f"must be from {low} to {high}, not {shown(value)}")
        return value

    def number(self, key: str, low: float = -1e6, high: float = 1e6, optional: bool = False) -> Any:
        """A number within bounds."""
        value = self.take(key, (int, float), optional)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            self._refuse(key, f"must be from {low:g} to {high:g}, not {shown(value)}")
        return value

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of at least one whole number."""
        values = self.take(key, list)
        for value in values:
            if type(value) is not int or not low <= value <= high:
                self._refuse(key, f"must be whole numbers from {low}, not {shown(value)}")
        if not 1 <= len(values) <= 10_000:
            self._refuse(key, f"has {len(values)} entries; 1 to 10000 are needed")
        return tuple(values)

    def inner(self, key: str) -> Checked:
        """An object within this one."""
        return Checked(self.take(key, dict), f"{self._where}: {key}")

    def entries(self, key: str, fewest: int, most: int) -> list[Checked]:
        """A list of objects."""
        values = self.take(key, list)
        if not fewest <= len(values) <= most:
            self._refuse(key, f"has {len(values)} entries; {fewest} to {most} are needed")
        for at, value in enumerate(values):
            if not isinstance(value, dict):
                self._refuse(f"{key}[{at}]", f"cannot be {shown(value)}")
        return [Checked(v, f"{self._where}: {key}[{at}]") for at, v in enumerate(values)]

    def objects(self, key: str) -> tuple[Mapping[str, Any], ...]:
        """A list of small objects in GenEval's form: class, count, color, position."""
        values = self.take(key, list, optional=True) or []
        if len(values) > 64:
            self._refuse(key, f"has {len(values)} entries; at most 64 are needed")
        for at, value in enumerate(values):
            if not _expected(value, len(values)):
                self._refuse(f"{key}[{at}]", f"is not in GenEval's form: {shown(value)}")
        return tuple(values)

    def rest(self) -> Mapping[str, Any]:
        """What was not taken: further plain values. Raises TrialError for any that is not plain."""
        for key, value in self._content.items():
            if not (key.isidentifier() and len(key) <= 60 and _plain(value)):
                self._refuse(key, f"cannot be {shown(value)}")
        found, self._content = self._content, {}
        return found

    def done(self) -> None:
        """Refuses what was not taken."""
        for key in self._content:
            self._refuse(key, "is not known")

    def _refuse(self, key: str, why: str) -> NoReturn:
        raise TrialError(f"{self._where}: {_short(ascii(key)[1:-1])} {why}.")


def _plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 2_000
    return value is None or isinstance(value, (bool, int, float))


def _expected(value: Any, count: int) -> bool:
    if not isinstance(value, dict) or not set(value) <= {"class", "count", "color", "position"}:
        return False
    number, where = value.get("count", 1), value.get("position")
    return (
        _word(value.get("class"))
        and type(number) is int
        and 0 <= number <= 1000
        and ("color" not in value or _word(value["color"]))
        and (
            where is None
            or (
                isinstance(where, list)
                and len(where) == 2
                and _word(where[0])
                and type(where[1]) is int
                and 0 <= where[1] < count
            )
        )
    )


def _word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable()
