"""What an artist's own set-up may hold: other model folders, and a pack that is only copied."""

from __future__ import annotations

from pathlib import Path

from comfyui_softrepa.host.server import PACK, install_pack, serve
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter


def test_extra_model_paths_are_added_to_and_not_replaced(comfyui: Path, tmp_path: Path):
    base, other = tmp_path / "base", tmp_path / "other"
    for folder, name in ((base / "models" / "softrepa", "here"), (other / "adapters", "there")):
        folder.mkdir(parents=True)
        files.write(folder / f"{name}.safetensors", random_adapter())
    (other / "adapters" / "notes.txt").write_text("not an adapter")
    paths = tmp_path / "extra_model_paths.yaml"
    paths.write_text(f"shared:\n    base_path: {other}\n    softrepa: adapters\n")
    install_pack(base)
    with serve(comfyui, base, "--extra-model-paths-config", str(paths)) as server:
        loader = server.get("/object_info/SoftREPALoader")["SoftREPALoader"]
        assert loader["python_module"] == f"custom_nodes.{PACK}"
        listed = loader["input"]["required"]["adapter"][1]["options"]
        assert listed == ["here.safetensors", "there.safetensors"]


def test_the_folder_is_made_at_the_first_start(server):
    assert (server.base / "models" / "softrepa").is_dir()
