"""ComfyUI as a library: finding it, loading a checkpoint, and its text encoders and VAE."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .cache.encoding import Text
from .errors import BadInput

_HERE = Path(os.path.abspath(__file__))
_PACKS = (_HERE.parents[1], _HERE.resolve().parents[1])
"""The pack's folder: as it is reached (custom_nodes often holds a link), and where it lies."""


def find_comfyui(flag: str | Path | None = None) -> Path:
    """The ComfyUI folder: `flag`, else COMFYUI_PATH, else the one this pack is installed in.

    Raises BadInput where there is none, or the folder named is not one.
    """
    if flag is not None:
        return _comfyui(Path(flag), "--comfyui")
    if named := os.environ.get("COMFYUI_PATH"):
        return _comfyui(Path(named), "COMFYUI_PATH")
    for pack in _PACKS:
        if _is_comfyui(pack.parent.parent):
            return pack.parent.parent
    raise BadInput("ComfyUI was not found; name its folder with --comfyui or COMFYUI_PATH.")


def _comfyui(folder: Path, source: str) -> Path:
    if not _is_comfyui(folder):
        raise BadInput(
            f"{folder} (from {source}) is not a ComfyUI folder; it needs to hold main.py and comfy."
        )
    return folder.resolve()


def _is_comfyui(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir()


def start(folder: Path, arguments: Sequence[str] = ()) -> None:
    """Makes ComfyUI importable, with its model folders and its own choice of device.

    `arguments` are ComfyUI's command-line flags, such as `--cpu`; without an accelerator `--cpu`
    is added. They have no effect where ComfyUI is imported already.
    """
    if "comfy.cli_args" not in sys.modules:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        _parse([*arguments, *([] if _accelerated() or "--cpu" in arguments else ["--cpu"])])
    import folder_paths  # noqa: F401  (fills its table on import)
    from utils.extra_config import load_extra_path_config

    extra = folder / "extra_model_paths.yaml"
    if extra.is_file():
        load_extra_path_config(str(extra))


def _parse(arguments: list[str]) -> None:
    """ComfyUI reads its flags from sys.argv as it is imported; the trainer's are not for it."""
    ours, sys.argv = sys.argv, ["main.py", *arguments]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args
    finally:
        sys.argv = ours


def _accelerated() -> bool:
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is not None:
        return accelerator.is_available()
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def find_checkpoint(name: str) -> Path:
    """The file of `--checkpoint`: a path, or a name in ComfyUI's `checkpoints` folders.

    Raises BadInput that names a few of those that there are.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    import folder_paths

    listed = folder_paths.get_full_path("checkpoints", name)
    if listed is not None:
        return Path(listed)
    there = folder_paths.get_filename_list("checkpoints")
    hint = f"there are {', '.join(there[:5])}" if there else "ComfyUI's checkpoints folder is empty"
    raise BadInput(f"There is no checkpoint {name} ({hint}); give --checkpoint a path or a name.")


def content_hash(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            hashed.update(block)
    return hashed.hexdigest()


def load_model(path: Path) -> Any:
    """The denoiser of a checkpoint, as the ModelPatcher that CheckpointLoaderSimple gives.

    Raises BadInput where ComfyUI does not recognise the file.
    """
    return _load(path, output_model=True, output_clip=False, output_vae=False)[0]


def _load(path: Path, **outputs: bool) -> tuple[Any, Any, Any]:
    import comfy.sd
    import folder_paths

    try:
        model, clip, vae, *_ = comfy.sd.load_checkpoint_guess_config(
            str(path),
            embedding_directory=folder_paths.get_folder_paths("embeddings"),
            **outputs,
        )
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # readers and detection raise whatever they come upon
        logging.debug("loading %s", path, exc_info=True)
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise BadInput(
            f"ComfyUI does not recognise {path} as a checkpoint ({reason}); choose one that its "
            "Load Checkpoint node loads."
        ) from error
    return model, clip, vae


class Encoder:
    """The text encoders and VAE of a checkpoint; they are loaded when first used.

    `identity` is the file's sha256, `name` its file name. `model` is the checkpoint's denoiser,
    from which only the scaling of latents is taken.
    """

    def __init__(self, path: Path, model: Any) -> None:
        self.identity = content_hash(path)
        self.name = path.name
        self._path = path
        self._process_latent_in = model.model.process_latent_in
        self._loaded: tuple[Any, Any] | None = None

    @torch.no_grad()
    def latents(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) float32, 0 to 1, to (B, C, H/8, W/8) as the denoiser sees them, float32.

        Raises BadInput where the checkpoint has no VAE.
        """
        return self._process_latent_in(self._parts()[1].encode(images)).float().cpu()

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> list[Text]:
        """Each caption as the CLIPTextEncode node embeds it, weights in parentheses included.

        Raises BadInput where the checkpoint has no text encoder.
        """
        clip = self._parts()[0]
        return [_text(clip, caption) for caption in captions]

    def release(self) -> None:
        """Lets go of text encoders and VAE, and of the device's memory that they took."""
        if self._loaded is None:
            return
        import comfy.model_management

        self._loaded = None
        comfy.model_management.unload_all_models()
        gc.collect()
        comfy.model_management.cleanup_models()
        comfy.model_management.soft_empty_cache()

    def _parts(self) -> tuple[Any, Any]:
        if self._loaded is None:
            _, clip, vae = _load(self._path, output_model=False, output_clip=True, output_vae=True)
            if clip is None or getattr(vae, "first_stage_model", None) is None:
                lacking = "text encoder" if clip is None else "VAE"
                raise BadInput(
                    f"{self.name} holds no {lacking}; training needs a full checkpoint with text "
                    "encoder and VAE."
                )
            self._loaded = clip, vae
        return self._loaded


def _text(clip: Any, caption: str) -> Text:
    [[context, extra]] = clip.encode_from_tokens_scheduled(clip.tokenize(caption), show_pbar=False)
    if extra.get("attention_mask") is not None:
        # A mask left out would train on other conditioning than sampling uses.
        raise BadInput(
            "The text encoder of this checkpoint masks tokens, which training does not support; "
            "use SD1.5, SDXL or SD3."
        )
    pooled = extra.get("pooled_output")
    return Text(context[0].float().cpu(), None if pooled is None else pooled[0].float().cpu())
