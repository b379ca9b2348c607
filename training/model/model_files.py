"""The files of a base model, as one value: what they are, and what tells them from others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..data.known import Known


@dataclass(frozen=True)
class ModelFiles:
    """model: the checkpoint or diffusion model. text_encoders: kind and file of each, and vae,
    where they lie in other files than the model; empty and None where it holds them itself. known:
    what earlier starts have hashed."""

    model: Path
    text_encoders: tuple[tuple[str, Path], ...] = ()
    vae: Path | None = None
    known: Known = field(default_factory=Known, compare=False)

    @property
    def apart(self) -> list[tuple[str, Path]]:
        """Role and file of each part that is not in the model's own file."""
        return [*self.text_encoders, *([("vae", self.vae)] if self.vae is not None else [])]

    @cached_property
    def hashes(self) -> dict[Path, str]:
        """The sha256 of every file, each read once: by any start, where they are `known`."""
        files = dict.fromkeys([self.model, *(path for _, path in self.apart)])
        return self.known.hashes(list(files))

    @property
    def identity(self) -> str:
        """One hash of every file that shapes latents, texts and predictions.

        Of a checkpoint that holds everything it is the file's own sha256.
        """
        if not self.apart:
            return self.hashes[self.model]
        named = [f"model {self.hashes[self.model]}"]
        named += [f"{role} {self.hashes[path]}" for role, path in sorted(self.apart)]
        return hashlib.sha256("\n".join(named).encode()).hexdigest()

    def described(self) -> dict[str, str]:
        """What an adapter's metadata tell of them. The parts are told where they lie apart."""
        told = {"base_model": self.model.name, "base_model_sha256": self.hashes[self.model]}
        if self.text_encoders:
            paths = [path for _, path in self.text_encoders]
            told["text_encoder"] = ", ".join(path.name for path in paths)
            told["text_encoder_sha256"] = ", ".join(self.hashes[path] for path in paths)
        if self.vae is not None:
            told["vae"], told["vae_sha256"] = self.vae.name, self.hashes[self.vae]
        return told
