"""ComfyUI and its models are found where the server finds them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import comfyui_softrepa
import pytest
import torch
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.model import comfyui as finding
from comfyui_softrepa.training.model.comfyui import ComfyUI

ROOT = Path(comfyui_softrepa.__file__).parent


def code(folder: Path) -> Path:
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").touch()
    return folder


@pytest.fixture
def base(tmp_path, monkeypatch) -> Path:
    """A base directory with this pack in its custom_nodes, by a link."""
    base = tmp_path / "base"
    (base / "models").mkdir(parents=True)
    pack = base / "custom_nodes" / "softrepa"
    pack.parent.mkdir()
    pack.symlink_to(ROOT, target_is_directory=True)
    monkeypatch.setattr(finding, "_PACKS", (pack, ROOT))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("LOCALAPPDATA", "APPDATA", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    return base


def test_by_flag_environment_and_place(tmp_path, monkeypatch):
    flagged, named = code(tmp_path / "flagged"), code(tmp_path / "named")
    monkeypatch.setenv("COMFYUI_PATH", str(named))
    assert finding.find(flagged) == ComfyUI(flagged)
    assert finding.find() == ComfyUI(named)
    monkeypatch.delenv("COMFYUI_PATH")
    around = code(tmp_path / "around")
    (around / "models").mkdir()
    monkeypatch.setattr(finding, "_PACKS", (around / "custom_nodes" / "pack",))
    assert finding.find() == ComfyUI(around)
    monkeypatch.setattr(finding, "_PACKS", (tmp_path / "alone" / "x" / "y",))
    with pytest.raises(BadInput, match="--comfyui"):
        finding.find()
    with pytest.raises(BadInput, match=r"main\.py"):
        finding.find(tmp_path)


def test_base_directory_around_the_pack(base, tmp_path, monkeypatch):
    elsewhere = code(tmp_path / "elsewhere")
    assert finding.find(elsewhere) == ComfyUI(elsewhere, base)
    monkeypatch.setenv("COMFYUI_PATH", str(elsewhere))
    assert finding.find() == ComfyUI(elsewhere, base)
    other = tmp_path / "other"
    with pytest.raises(BadInput, match="--base-directory"):
        finding.find(base=other)
    other.mkdir()
    assert finding.find(base=other).base == other
    assert str(base / "models") in str(finding.find()) and str(elsewhere) in str(finding.find())


def test_desktops_code_and_its_list_of_folders(base, tmp_path, monkeypatch):
    local, roaming = tmp_path / "Local", tmp_path / "Roaming"
    monkeypatch.setenv("LOCALAPPDATA", str(local))
    monkeypatch.setenv("APPDATA", str(roaming))
    with pytest.raises(BadInput, match="--comfyui"):
        finding.find()
    brought = code(local / "Programs" / "ComfyUI" / "resources" / "ComfyUI")
    paths = roaming / "ComfyUI" / "extra_models_config.yaml"
    paths.parent.mkdir(parents=True)
    for about, expected in ((tmp_path, ()), (base, (paths,))):
        paths.write_text(f"desktop:\n  base_path: {about}\n  checkpoints: models/checkpoints/\n")
        assert finding.find() == ComfyUI(brought, base, expected)
    paths.write_text("- no mapping")
    assert finding.find() == ComfyUI(brought, base)


def test_extra_model_paths_are_searched(tmp_path, comfyui, monkeypatch):
    import folder_paths

    far, farther = tmp_path / "far", tmp_path / "farther"
    folders = {"checkpoints": ([], {".safetensors"})}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folders)
    for folder, name in ((far, "extra_model_paths.yaml"), (farther, "more.yaml")):
        (folder / "sd").mkdir(parents=True)
        (folder / "sd" / f"{folder.name}.safetensors").write_bytes(b"")
        (tmp_path / name).write_text(f"mine:\n  base_path: {folder}\n  checkpoints: sd\n")
    finding.start(ComfyUI(tmp_path, extra=(tmp_path / "more.yaml",)))
    for folder in (far, farther):
        name = f"{folder.name}.safetensors"
        assert folder_paths.get_full_path("checkpoints", name) == str(folder / "sd" / name)
    assert "more.yaml" in str(ComfyUI(tmp_path, extra=(tmp_path / "more.yaml",)))
    with pytest.raises(BadInput, match="--extra-model-paths-config"):
        finding.find(comfyui, extra=(tmp_path / "missing.yaml",))
    (tmp_path / "more.yaml").write_text("a: [b")
    with pytest.raises(BadInput, match=r"more\.yaml is no list"):
        finding.start(ComfyUI(tmp_path, extra=(tmp_path / "more.yaml",)))


FRESH = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("pack", sys.argv[1] + "/host/pack.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.import_pack()
from comfyui_softrepa.training.model import comfyui
assert "comfy" not in sys.modules
found = comfyui.find(base=Path(sys.argv[2]))
comfyui.start(found)
import comfy.model_management, folder_paths
print("device", comfy.model_management.get_torch_device())
print("checkpoints", folder_paths.get_full_path("checkpoints", "mine.safetensors"))
print("argv", sys.argv[1:])
"""


def test_start_in_a_fresh_python_leaves_our_arguments_alone(comfyui, tmp_path):
    mine = tmp_path / "models" / "checkpoints" / "mine.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(ROOT), str(tmp_path), "--checkpoint", "x"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "COMFYUI_PATH": str(comfyui)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accelerated = torch.accelerator.is_available()
    assert accelerated or "device cpu" in done.stdout
    assert f"checkpoints {mine}" in done.stdout
    assert "--checkpoint" in done.stdout


def test_the_command_in_a_base_directory(tmp_path, comfyui, sd3_checkpoint, pictures):
    """As ComfyUI Desktop lays it out, or a server with --base-directory, the pack by a link.

    Started in the pack's own folder, which Python forgets was reached by a link.
    """
    base = tmp_path / "base"
    pack = base / "custom_nodes" / "ComfyUI-SoftREPA"
    pack.parent.mkdir(parents=True)
    pack.symlink_to(ROOT, target_is_directory=True)
    (base / "models" / "checkpoints").mkdir(parents=True)
    (base / "models" / "checkpoints" / "mine.safetensors").symlink_to(sd3_checkpoint)
    arguments = ["--checkpoint=mine.safetensors", f"--data={pictures}", "--output=mine", "--cpu"]
    arguments += ["--resolution=32", "--steps=1", "--batch-size=2", "--no-tensorboard"]
    done = subprocess.run(
        [sys.executable, "training/train.py", *arguments],
        capture_output=True, text=True, cwd=pack,
        env={**os.environ, "COMFYUI_PATH": str(comfyui), "PWD": str(pack)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"its models in {base / 'models'}" in done.stdout.splitlines()[0]
    assert (base / "models" / "softrepa" / "mine.safetensors").is_file()
