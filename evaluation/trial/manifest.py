"""The manifest `trial.json`: what was compared, as immutable values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import TrialError
from . import checks
from .checks import Checked

FORMAT = 1
LARGEST = 8 << 20
"""Bytes; ten thousand prompts with their expected objects take about three million."""
ARMS = (2, 8)


@dataclass(frozen=True)
class Model:
    """One file that an arm uses. `kind`: checkpoint, adapter, lora or another word.

    `sha256` is that of the whole file, in lower case. `details` are further plain values
    (text, numbers, booleans) that stand beside these keys in the file.
    """

    kind: str
    name: str
    sha256: str
    strength: float | None = None
    layers: str | None = None
    start_percent: float | None = None
    end_percent: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One of the ways to paint; `name` is also the name of its folder of pictures."""

    name: str
    models: tuple[Model, ...]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """A prompt and what must be seen. `expected`, `excluded`: GenEval's include, exclude form."""

    id: str
    text: str
    category: str = ""
    language: str = "en"
    expected: tuple[Mapping[str, Any], ...] = ()
    excluded: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Sampling:
    """How every picture is sampled. Sizes in pixels, `denoise` in (0, 1]."""

    sampler: str
    scheduler: str
    steps: int
    guidance: float
    width: int
    height: int
    denoise: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A whole trial. `created` is ISO 8601 with offset; `pilot` the SHA-256 of its pilot.toml."""

    name: str
    created: str
    host: Mapping[str, str]
    arms: tuple[Arm, ...]
    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...]
    sampling: Sampling
    pilot: str | None = None

    def prompt(self, prompt_id: str) -> Prompt:
        """The prompt of that id. KeyError where there is none."""
        for prompt in self.prompts:
            if prompt.id == prompt_id:
                return prompt
        raise KeyError(prompt_id)

    def encode(self) -> bytes:
        """The file's bytes: UTF-8 JSON that ends in a newline, equal for equal manifests."""
        content = {"format": FORMAT, **_plain(self)}
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _plain(value: Any) -> Any:
    """A value as JSON has it; None and empty optional fields are left out of models and prompts."""
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if not hasattr(value, "__dataclass_fields__"):
        return dict(value) if isinstance(value, Mapping) else value
    plain = {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name != "details"}
    optional = {f.name for f in fields(value) if f.default is None or f.name == "excluded"}
    if not isinstance(value, Manifest):
        plain = {k: v for k, v in plain.items() if k not in optional or v not in (None, [])}
    details = getattr(value, "details", {})
    return {**plain, **{k: v for k, v in details.items() if k not in plain}}


def read_bytes(path: Path) -> bytes:
    """A manifest's bytes, at most one more than it may have. Raises TrialError."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise TrialError(
            f"{path} cannot be read ({error.strerror}): name a trial's folder, which holds a "
            "trial.json."
        ) from None


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises TrialError, in one sentence, for any that is not sound."""
    return decode(read_bytes(path), path.name)


def decode(data: bytes, name: str = "trial.json") -> Manifest:
    """The manifest in a file's bytes; `name` stands in messages. Raises TrialError."""
    if len(data) > LARGEST:
        raise TrialError(
            f"{name} is larger than {LARGEST >> 20} MB, which no trial needs: it was not read."
        )
    content = checks.parse(data, name)
    version = content.take("format", int)
    if version != FORMAT:
        raise TrialError(
            f"{name} is of format {version} and this version reads format {FORMAT}: update "
            "ComfyUI-SoftREPA."
        )
    manifest = Manifest(
        name=content.text("name", 200),
        created=content.moment("created"),
        host=_host(content),
        arms=tuple(_arm(entry) for entry in content.entries("arms", *ARMS)),
        prompts=tuple(read_prompt(entry) for entry in content.entries("prompts", 1, 100_000)),
        seeds=content.integers("seeds", 0, (1 << 64) - 1),
        sampling=_sampling(content.inner("sampling")),
        pilot=content.digest("pilot", optional=True),
    )
    content.done()
    checks.unique(name, "arm", [arm.name for arm in manifest.arms])
    checks.unique(name, "prompt id", [prompt.id for prompt in manifest.prompts])
    checks.unique(name, "seed", list(map(str, manifest.seeds)))
    return manifest


def _host(content: Checked) -> Mapping[str, str]:
    host = content.inner("host")
    return {key: host.text(key, 200, empty=True) for key in host.keys()}


def _arm(entry: Checked) -> Arm:
    return Arm(
        name=entry.folder_name("name"),
        models=tuple(_model(model) for model in entry.entries("models", 0, 64)),
        details=entry.rest(),
    )


def _model(entry: Checked) -> Model:
    return Model(
        kind=entry.text("kind", 40),
        name=entry.text("name", 400),
        sha256=entry.digest("sha256"),
        strength=entry.number("strength", optional=True),
        layers=entry.text("layers", 400, empty=True, optional=True),
        start_percent=entry.number("start_percent", 0, 1, optional=True),
        end_percent=entry.number("end_percent", 0, 1, optional=True),
        details=entry.rest(),
    )


def read_prompt(entry: Checked) -> Prompt:
    """A prompt's object in the manifest. Raises TrialError."""
    prompt = Prompt(
        id=entry.identifier("id"),
        text=entry.text("text", 20_000, empty=True),
        category=entry.text("category", 60, empty=True, optional=True) or "",
        language=entry.text("language", 20, empty=True, optional=True) or "en",
        expected=entry.objects("expected"),
        excluded=entry.objects("excluded"),
    )
    entry.done()
    return prompt


def _sampling(entry: Checked) -> Sampling:
    return Sampling(
        sampler=entry.text("sampler", 100),
        scheduler=entry.text("scheduler", 100),
        steps=entry.integer("steps", 1, 100_000),
        guidance=entry.number("guidance"),
        width=entry.integer("width", 1, 65_536),
        height=entry.integer("height", 1, 65_536),
        denoise=entry.number("denoise", 0, 1),
        details=entry.rest(),
    )


def differences(before: Manifest, after: Manifest) -> list[str]:
    """What two manifests differ in, as short phrases; the date of making is no difference."""
    one, other = (json.loads(manifest.encode()) for manifest in (before, after))
    one.pop("created"), other.pop("created")
    return _differences("", one, other)


def changed_files(before: Manifest, after: Manifest) -> list[str]:
    """Files that have the same name and place in both and another content, as short phrases."""
    found = []
    for one, other in zip(before.arms, after.arms, strict=False):
        for a, b in zip(one.models, other.models, strict=False):
            if (one.name, a.kind, a.name) == (other.name, b.kind, b.name) and a.sha256 != b.sha256:
                hashes = f"SHA-256 {a.sha256[:10]} then, {b.sha256[:10]} now"
                found.append(f"the {a.kind} {a.name} of {one.name} ({hashes})")
    return found


def _differences(where: str, one: Any, other: Any) -> list[str]:
    if one == other and type(one) is type(other):
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        pairs = [(f"{where}.{key}" if where else key, one.get(key), other.get(key)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}[{at}]", *pair) for at, pair in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, list) and isinstance(other, list):
        return [f"{where} ({len(one)} in the trial, {len(other)} now)"]
    else:
        return [f"{where} ({checks.shown(one)} in the trial, {checks.shown(other)} now)"]
    return [phrase for key, a, b in pairs for phrase in _differences(key, a, b)]
