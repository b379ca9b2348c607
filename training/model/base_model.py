"""Which files a base model is made of: one checkpoint, or model, text encoders and VAE apart.

Everything here is read off the files' headers, so that a missing part or a flag that does not fit
is told before anything long begins.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..data.known import Known
from ..errors import BadInput
from ..settings.paths import expanded
from ..settings.text_encoders import KNOWN_NAMES, OPTIONAL, TEXT_ENCODERS
from . import comfy_model, headers
from .design import distilled, family
from .model_files import ModelFiles


class Base(Protocol):
    """A model to train for, wherever it comes from.

    outline: its `comfy.model_base.BaseModel`, with weights or without. notes: lines on what was
    chosen unasked.
    """

    outline: Any
    notes: tuple[str, ...]

    def load(self) -> Any:
        """Its denoiser, as ComfyUI's loaders give one. Raises BadInput."""

    def encoder(self, patcher: Any, known: Known, sampled: bool) -> comfy_model.Encoder:
        """Its text encoders and VAE, for this denoiser; known, sampled: see `Encoder`'s files and
        latents."""


@dataclass(frozen=True)
class Found:
    """files: what the base model is made of. outline: it, without weights, see `headers`. notes:
    lines on what was chosen unasked or is not there."""

    files: ModelFiles
    outline: Any
    notes: tuple[str, ...] = ()

    def load(self) -> Any:
        return comfy_model.load_model(self.files.model)

    def encoder(self, patcher: Any, known: Known, sampled: bool) -> comfy_model.Encoder:
        return comfy_model.Encoder(replace(self.files, known=known), patcher, sampled)


def find(
    checkpoint: str | None, model: str | None, text_encoders: Sequence[str], vae: str | None
) -> Found:
    """The files that flags name, and what these lack from ComfyUI's folders.

    `comfyui.start` must have been called. Raises BadInput where a file is not there, is no model
    that can be trained, or a part is missing that cannot be found either.
    """
    if checkpoint is None and model is None:
        raise BadInput("Name the model to train for: --checkpoint, or --model with its parts.")
    whole = None if checkpoint is None else _named("--checkpoint", checkpoint, "checkpoints")
    own = whole if model is None else _named("--model", model, "diffusion_models", "checkpoints")
    outline = headers.outline(own)
    named = family(outline)
    choice = _Choice(named, whole or own)
    choice.name([_named("--text-encoder", each, *_TEXT_FOLDERS) for each in text_encoders])
    choice.look_around()
    choice.require()
    where = choice.source.path if vae is None else _named("--vae", vae, "vae", "checkpoints")
    _check_vae(named, where, outline, given=vae is not None)
    files = ModelFiles(own, choice.files(own), None if where == own else where)
    notes = (*choice.notes, *distilled(outline, own.name))
    return Found(files, outline, notes)


_TEXT_FOLDERS = ("text_encoders", "checkpoints")


class _Choice:
    """The text encoders of a family, by kind: those of the source, those named, those found."""

    def __init__(self, family: str, source: Path) -> None:
        self.family, self.source = family, headers.contents(source)
        self.wanted = TEXT_ENCODERS[family]
        self.chosen = dict.fromkeys(self.source.text_encoders, source)
        self.notes: list[str] = []
        self.named = False

    def name(self, files: Sequence[Path]) -> None:
        """Takes the files of --text-encoder, in place of what the source has of their kinds."""
        taken: dict[str, Path] = {}
        for path in files:
            kinds = headers.contents(path).text_encoders
            fitting = [kind for kind in kinds if kind in self.wanted]
            if not fitting:
                holds = f"holds {_listed(kinds)}" if kinds else "is no text encoder"
                raise BadInput(
                    f"--text-encoder {path.name} {holds}, and {self.family} takes "
                    f"{_listed(self.wanted)}: name a file of these."
                )
            for kind in fitting:
                if kind in taken:
                    raise BadInput(
                        f"--text-encoder {path.name} and {taken[kind].name} are both {kind}: name "
                        "one of them."
                    )
                taken[kind] = path
        self.chosen |= taken
        self.named = bool(files)

    def look_around(self) -> None:
        """Fills gaps with what lies in ComfyUI's text_encoders folders, where it is certain.

        SD3 works with a part of its encoders: where it has any, the user has chosen.
        """
        if self.family == "SD3" and self.chosen:
            return
        for kind in self._missing():
            if (path := _usual(kind)) is not None:
                self.chosen[kind] = path
                self.notes.append(f"{kind}: {path.name}, found in {path.parent}")
        if self.notes and (absent := self._missing()):
            self.notes.append(
                f"without {_listed(absent)}: name a file with --text-encoder if you paint with it"
            )

    def require(self) -> None:
        missing = [kind for kind in self._missing() if kind not in OPTIONAL]
        if not missing or (self.family == "SD3" and self.chosen):
            return
        if self.source.text_encoders and not self.named:
            return  # a relative of the family that does with fewer, or ComfyUI says what it lacks
        some = "one or more" if self.family == "SD3" else "one each"
        raise BadInput(
            f"{self.source.path.name} holds no {_listed(missing, 'or')} text encoder, and ComfyUI's"
            f" text_encoders folder has none that is certain to fit: name {some} of "
            f"{_listed(missing)} with --text-encoder (such as "
            f"{', '.join(KNOWN_NAMES[kind][0] for kind in missing)})."
        )

    def files(self, own: Path) -> tuple[tuple[str, Path], ...]:
        """Kind and file in the family's order; none where all are the model's own."""
        if set(self.chosen.values()) <= {own}:
            return ()
        order = [kind for kind in self.wanted if kind in self.chosen]
        return tuple((kind, self.chosen[kind]) for kind in order)

    def _missing(self) -> list[str]:
        return [kind for kind in self.wanted if kind not in self.chosen]


def _check_vae(family: str, path: Path, outline: Any, given: bool) -> None:
    channels = headers.contents(path).latent_channels
    wanted = outline.latent_format.latent_channels
    if channels is None and not given:
        raise BadInput(
            f"{path.name} holds no VAE: name {family}'s with --vae, a path or a name in ComfyUI's "
            "vae folder, or a checkpoint that holds it."
        )
    if channels is None:
        raise BadInput(f"--vae {path.name} holds no VAE: name {family}'s.")
    if channels != wanted:
        raise BadInput(
            f"The VAE in {path.name} makes latents of {channels} channels, and {family} has "
            f"{wanted}: name {family}'s own with --vae."
        )


def _usual(kind: str) -> Path | None:
    """The file of this kind in ComfyUI's text_encoders folders: by a usual name, else the only one.

    None where there is none, or several of which none has such a name.
    """
    import folder_paths

    there = folder_paths.get_filename_list("text_encoders")
    paths = [Path(folder_paths.get_full_path("text_encoders", name) or name) for name in there]
    for known in KNOWN_NAMES[kind]:
        for path in paths:
            if path.name == known and headers.is_standard(path, kind):
                return path
    readable = [path for path in paths if path.suffix in (".safetensors", ".sft")]
    alike = [path for path in readable if headers.is_standard(path, kind)]
    return alike[0] if len(alike) == 1 else None


def _named(flag: str, name: str, *folders: str) -> Path:
    """The file of a flag: a path, or a name in ComfyUI's folders."""
    try:
        path = expanded(name)
    except BadInput as error:
        raise BadInput(f"{flag}: {error}.") from None
    if os.path.isfile(path):
        return path.resolve()
    import folder_paths

    for folder in folders:
        if (listed := folder_paths.get_full_path(folder, name)) is not None:
            return Path(listed)
    there = [each for folder in folders for each in _listing(folder)]
    where = f"ComfyUI's {' and '.join(folders)} folder{'s' * (len(folders) > 1)}"
    hint = f"there are {', '.join(there[:5])}" if there else f"{where} hold nothing"
    what = flag.removeprefix("--").replace("-", " ")
    raise BadInput(f"There is no {what} {name} ({hint}); give {flag} a path or a name in {where}.")


def _listing(folder: str) -> list[str]:
    import folder_paths

    known = folder in folder_paths.folder_names_and_paths
    return folder_paths.get_filename_list(folder) if known else []


def _listed(names: Sequence[str], word: str = "and") -> str:
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last
