"""Finding ComfyUI and its models, and starting it as a library."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import BadInput

_HERE = Path(os.path.abspath(__file__))
_PACKS = tuple(dict.fromkeys((_HERE.parents[2], _HERE.resolve().parents[2])))
"""The pack's folder: as it is reached (custom_nodes often holds a link), and where it lies."""


@dataclass(frozen=True)
class ComfyUI:
    """An installation.

    code: the folder of main.py. base: the folder of models and custom_nodes where a server with
    `--base-directory` keeps them elsewhere (ComfyUI Desktop does), None where they lie beside the
    code. extra: files like extra_model_paths.yaml besides the one beside main.py.
    """

    code: Path
    base: Path | None = None
    extra: tuple[Path, ...] = ()

    def __str__(self) -> str:
        named = [f"ComfyUI in {self.code}", f"its models in {(self.base or self.code) / 'models'}"]
        return " and ".join([", ".join(named), *(str(path) for path in self.path_files())])

    def path_files(self) -> list[Path]:
        """The files that name further model folders, in the order the server reads them."""
        beside = self.code / "extra_model_paths.yaml"
        return [*([beside] if beside.is_file() else []), *self.extra]


def find(code: Path | None = None, base: Path | None = None, extra: Sequence[Path] = ()) -> ComfyUI:
    """The installation to use.

    code: --comfyui, else COMFYUI_PATH, else the one this pack is installed in, else Desktop's.
    base: --base-directory, else the folder whose custom_nodes hold this pack, where that is no
    ComfyUI of its own. extra: --extra-model-paths-config, else Desktop's for that base.

    Raises BadInput where there is none, or what is named is not one.
    """
    if base is not None and not os.path.isdir(base):
        raise BadInput(f"There is no folder {base}: check --base-directory.")
    for path in extra:
        if not os.path.isfile(path):
            raise BadInput(f"There is no file {path}: check --extra-model-paths-config.")
    base = base.absolute() if base is not None else _base_around()
    found = tuple(path.absolute() for path in extra)
    if not found and base is not None:
        found = _desktops_path_files(base)
    return ComfyUI(_code(code, base), base, found)


def _code(flag: Path | None, base: Path | None) -> Path:
    if flag is not None:
        return _comfyui(flag, "--comfyui")
    if named := os.environ.get("COMFYUI_PATH"):
        return _comfyui(Path(named), "COMFYUI_PATH")
    around = [pack.parent.parent for pack in _PACKS]
    for folder in (*around, *(_desktops_code() if base is not None else ())):
        if _is_comfyui(folder):
            return folder
    raise BadInput("ComfyUI was not found; name its folder with --comfyui or COMFYUI_PATH.")


def _comfyui(folder: Path, source: str) -> Path:
    if not _is_comfyui(folder):
        raise BadInput(
            f"{folder} (from {source}) is not a ComfyUI folder; it needs to hold main.py and comfy."
        )
    return folder.resolve()


def _is_comfyui(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir()


def _base_around() -> Path | None:
    for pack in _PACKS:
        base = pack.parent.parent
        if pack.parent.name == "custom_nodes" and (base / "models").is_dir():
            return None if _is_comfyui(base) else base
    return None


def _desktops_code() -> Iterator[Path]:
    """Where the Desktop application brings ComfyUI's code along."""
    if local := os.environ.get("LOCALAPPDATA"):
        for name in ("ComfyUI", "@comfyorgcomfyui-electron", "comfyui-electron"):
            yield Path(local) / "Programs" / name / "resources" / "ComfyUI"
    for root in (Path("/"), Path.home()):
        yield root / "Applications" / "ComfyUI.app" / "Contents" / "Resources" / "ComfyUI"


def _desktops_path_files(base: Path) -> tuple[Path, ...]:
    """The file that Desktop starts its server with, where it is about this base directory."""
    roots = [Path.home() / "Library" / "Application Support", Path.home() / ".config"]
    if roaming := os.environ.get("APPDATA"):
        roots.insert(0, Path(roaming))
    for root in roots:
        path = root / "ComfyUI" / "extra_models_config.yaml"
        if path.is_file() and base.resolve() in _base_paths(path):
            return (path,)
    return ()


def _base_paths(path: Path) -> set[Path]:
    import yaml  # ComfyUI needs it for these files

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        named = [entry.get("base_path") for entry in entries.values() if entry]
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return set()
    return {Path(os.path.expanduser(each)).resolve() for each in named if isinstance(each, str)}


def start(comfyui: ComfyUI, arguments: Sequence[str] = ()) -> None:
    """Makes ComfyUI importable, with its model folders and its own choice of device.

    `arguments` are ComfyUI's command-line flags, such as `--cpu`; without an accelerator `--cpu`
    is added. They, and the base directory, have no effect where ComfyUI is imported already.
    Raises BadInput where a file of model folders cannot be read.
    """
    if "comfy.cli_args" not in sys.modules:
        if str(comfyui.code) not in sys.path:
            sys.path.insert(0, str(comfyui.code))
        given = list(arguments)
        if not _accelerated() and "--cpu" not in given:
            given.append("--cpu")
        if comfyui.base is not None:
            given.append(f"--base-directory={comfyui.base}")
        _parse(given)
    import folder_paths
    from utils.extra_config import load_extra_path_config

    for path in comfyui.path_files():
        try:
            load_extra_path_config(str(path))
        except Exception as error:  # yaml's, and whatever ComfyUI comes upon in other shapes
            reason = " ".join(str(error).split())[:200]
            raise BadInput(f"{path} is no list of model folders ({reason}).") from error
    for name in ("checkpoints", "clip", "vae", "diffusion_models"):
        # Where the server's nodes save models, and its loaders find them.
        saved = os.path.join(folder_paths.get_output_directory(), name)
        folder_paths.add_model_folder_path(name, saved)


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
