"""pyproject.toml as the registry reads it, and what its addresses point at."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tomllib
from comfyui_softrepa.host import comfyui as pinned
from comfyui_softrepa.tests.install.conftest import ROOT, git
from PIL import Image, ImageChops

IMAGES = ROOT / "docs" / "images"
_READ = """
import dataclasses, json
from comfy_cli.registry.config_parser import extract_node_configuration
print(json.dumps(dataclasses.asdict(extract_node_configuration("pyproject.toml"))))
"""


@pytest.fixture(scope="module")
def stated() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_name_is_one_that_the_registry_takes(stated):
    name = stated["project"]["name"]
    assert re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9]|[-_.](?![-_.]))*", name) and len(name) < 100
    assert "comfyui" not in name.lower(), "the registry asks to leave that out"


def test_versions_have_three_numbers(stated):
    version = stated["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{version}]" in changes, f"CHANGELOG.md says nothing of {version}"
    # What is promised is what is tested.
    assert stated["tool"]["comfy"]["requires-comfyui"] == f">={pinned.VERSION}"


def test_the_registry_reads_every_field(tools, checkout, stated):
    done = subprocess.run(
        [tools.command("python"), "-c", _READ], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode == 0 and "Warning" not in done.stdout, done.stdout + done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    project, comfy = read["project"], read["tool_comfy"]
    for part, keys in {
        "project": ("name", "description", "version", "requires_python"),
        "tool_comfy": ("publisher_id", "display_name", "icon", "banner_url"),
    }.items():
        assert all(read[part][key] for key in keys), read[part]
    assert all(project["urls"][key] for key in ("repository", "documentation", "issues"))
    assert project["license"]["file"] == "LICENSE" and (checkout / "LICENSE").is_file()
    assert project["supported_comfyui_version"] == f">={pinned.VERSION}"
    assert project["supported_os"] == ["OS Independent"]
    # ComfyUI's Manager compares them with "CUDA", "Metal", "ROCm" or "CPU", which no classifier
    # that the registry takes is: any would be shown as a conflict to everyone.
    assert project["supported_accelerators"] == []
    assert project["dependencies"] == stated["project"]["dependencies"]
    assert comfy["includes"] == []


def test_classifiers_exist(tools, stated):
    ask = "from trove_classifiers import classifiers; print(*classifiers, sep='\\n')"
    known = subprocess.check_output([tools.command("python"), "-c", ask], text=True)
    assert set(stated["project"]["classifiers"]) <= set(known.splitlines())


def test_one_organisation_is_named_everywhere(stated):
    repository = stated["project"]["urls"]["Repository"]
    owner, name = re.fullmatch(r"https://github\.com/([\w-]+)/([\w-]+)", repository).groups()
    assert stated["tool"]["comfy"]["PublisherId"] == owner
    publish = (ROOT / ".github" / "workflows" / "publish.yml").read_text()
    assert f"repository_owner == '{owner}'" in publish
    for page in ("pyproject.toml", "CHANGELOG.md", "README.md"):
        found = re.findall(
            rf"github(?:usercontent)?\.com/([\w-]+)/{name}\b",
            (ROOT / page).read_text(encoding="utf-8"),
        )
        assert set(found) <= {owner}, f"{page} names another organisation than {owner}"


@pytest.mark.parametrize("key", ["Icon", "Banner"])
def test_pictures_lie_where_their_addresses_say(stated, checkout, key):
    repository = stated["project"]["urls"]["Repository"]
    raw = repository.replace("github.com", "raw.githubusercontent.com") + "/main/"
    address = stated["tool"]["comfy"][key]
    assert address.startswith(raw)
    assert address.removeprefix(raw) in git(checkout, "ls-files").splitlines()


def test_pictures_have_the_registrys_sizes_and_are_as_drawn():
    spec = importlib.util.spec_from_file_location("softrepa_draw", IMAGES / "draw.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    icon, banner = (Image.open(IMAGES / f"{name}.png") for name in ("icon", "banner"))
    assert icon.width == icon.height <= 400
    assert banner.width * 9 == banner.height * 21
    for kept, drawn in ((icon, draw.icon()), (banner, draw.banner())):
        # Pillow's versions differ in the last bits of a letter's edge.
        off = ImageChops.difference(kept.convert("RGB"), drawn.convert("RGB"))
        assert sum(off.convert("L").histogram()[16:]) < 0.005 * kept.width * kept.height


def test_the_licence_is_in_the_repository():
    assert Path(ROOT / "LICENSE").read_text().startswith("MIT License")
