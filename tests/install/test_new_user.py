"""A new user: a fresh ComfyUI and environment, the README word for word, and a picture."""

from __future__ import annotations

import ast
import io
import subprocess
from pathlib import Path

import numpy
import pytest
import tomllib
from comfyui_softrepa.demo.models.base.join import make_checkpoint
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.graphs import text_to_image
from comfyui_softrepa.tests.install import readme
from comfyui_softrepa.tests.install.conftest import ROOT
from comfyui_softrepa.tests.install.fresh_comfyui import running
from PIL import Image

DEMO_WIDTH = 192
"""Hidden width of the demo world's base model."""


def install_commands(checkout: Path) -> list[str]:
    """The README's, with the repository's address replaced by a path on this machine."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    lines = readme.commands("Install")
    clone = [line for line in lines if line.startswith("git clone")]
    assert len(clone) == 1, 'The section "## Install" of README.md has not one `git clone` line.'
    known = [name for name in ("<this repository>", f"{address}.git", address) if name in clone[0]]
    assert known, f"README.md clones neither <this repository> nor {address}."
    return [line.replace(known[0], f"'{checkout}'") for line in lines]


def test_install_by_the_readme_and_make_a_picture(newcomer, stock, checkout, node_ids):
    comfyui = stock()
    script = "\n".join(["set -e", *install_commands(checkout)])
    done = subprocess.run(
        ["bash", "-c", script], cwd=comfyui.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    make_checkpoint(comfyui / "models" / "checkpoints" / "demo.safetensors")
    with running(comfyui, python=newcomer.command("python")) as server:
        assert node_ids <= set(server.get("/object_info"))
        assert "IMPORT FAILED" not in server.log.read_text()
        folder = comfyui / "models" / "softrepa"
        assert folder.is_dir(), "README.md: the folder is made at the first start"
        adapter = random_adapter(width=DEMO_WIDTH, scale=2.0)
        files.write(folder / "first.safetensors", adapter)
        plain, with_adapter = (
            picture(server, strength=strength, prefix=f"s{strength:.0f}") for strength in (0.0, 1.0)
        )
    assert plain.shape == (64, 64, 3) and plain.std() > 1
    assert (plain != with_adapter).mean() > 0.1, "the adapter changes the picture"


def picture(server, **apply) -> numpy.ndarray:
    result = server.run(text_to_image("demo.safetensors", "first.safetensors", **apply))
    (entry,) = result.images["save"]
    return numpy.asarray(Image.open(io.BytesIO(server.image(entry))).convert("RGB"), dtype=int)


def test_the_readmes_development_commands_exist():
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {
        part.name
        for part in tree.body
        if isinstance(part, ast.FunctionDef)
        and any("nox.session" in ast.unparse(mark) for mark in part.decorator_list)
    }
    given = readme.commands("Development")
    for wanted in ("demo", "tests"):
        assert f"python noxfile.py {wanted}" in given, (
            f'The section "## Development" of README.md lacks `python noxfile.py {wanted}`.'
        )
    named = {line.split()[2] for line in given if line.startswith("python noxfile.py ")}
    assert named <= sessions


@pytest.mark.parametrize(
    "block", ["    cd here\n    git clone x\n", "```bash\ncd here\ngit clone x\n```\n",
              "- by hand:\n\n      cd here\n      git clone x\n"],
)  # fmt: skip
def test_commands_are_read_from_any_kind_of_block(block):
    text = f"# Name\n\n## Install\n\nWords.\n\n{block}\nMore.\n\n## Next\n\n    other\n"
    assert readme.commands("Install", text) == ["cd here", "git clone x"]


def test_missing_commands_are_missed():
    with pytest.raises(AssertionError, match='no section "## Install"'):
        readme.commands("Install", "# Name\n")
    with pytest.raises(AssertionError, match="no commands in a code block"):
        readme.commands("Install", "## Install\n\nJust do it.\n\n## Next\n\n    other\n")
