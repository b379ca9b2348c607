"""ComfyUI-Manager's own command installs the pack from git, and takes it out again.

There is no network: GITHUB_ENDPOINT, the Manager's setting for mirrors of GitHub, points at a
server on this machine, and the address given is the repository's real one. What needs the registry
itself (search, install by name, update to a newer release) cannot be run here.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomllib
from comfyui_softrepa.tests.install.conftest import git
from comfyui_softrepa.tests.install.fresh_comfyui import running

_IDENTIFY = """
import json, os, sys
sys.path.append(os.environ["COMFYUI_PATH"])
from comfyui_manager.common.cnr_utils import read_cnr_info
print(json.dumps(read_cnr_info(sys.argv[1])))
"""


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def project(checkout: Path) -> dict[str, str]:
    stated = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {**stated, "address": stated["urls"]["Repository"]}


@pytest.fixture(scope="module")
def mirror(
    checkout: Path, project: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server that has the repository where GitHub would."""
    root = tmp_path_factory.mktemp("mirror")
    bare = root / project["address"].removeprefix("https://github.com/")
    git(root, "clone", "--quiet", "--bare", str(checkout), str(bare))
    git(bare, "update-server-info")
    handler = functools.partial(_Silent, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def manager(newcomer, mirror: str) -> Callable[..., str]:
    """manager(comfyui, *command) -> what the Manager says."""

    def run(comfyui: Path, *command: str, program: tuple[str, ...] = ()) -> str:
        variables = {"COMFYUI_PATH": str(comfyui), "GITHUB_ENDPOINT": mirror, "NO_PROXY": "*"}
        done = subprocess.run(
            [newcomer.command("python"), *(program or ("-m", "cm_cli")), *command],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def packs(comfyui: Path) -> set[str]:
    return {path.name for path in (comfyui / "custom_nodes").iterdir() if path.name[0] not in "._"}


def test_install_disable_enable_uninstall(manager, newcomer, stock, project, node_ids):
    comfyui = stock()
    name = project["address"].rpartition("/")[2]
    said = manager(comfyui, "install", project["address"])
    assert "[INSTALLED]" in said and "ERROR" not in said, said
    assert packs(comfyui) == {name}
    with running(comfyui, python=newcomer.command("python")) as server:
        assert node_ids <= set(server.get("/object_info"))
        assert "IMPORT FAILED" not in server.log.read_text()
    assert "[DISABLED]" in manager(comfyui, "disable", name)
    assert packs(comfyui) == set()
    assert "[ENABLED]" in manager(comfyui, "enable", name)
    assert packs(comfyui) == {name}
    assert "[UNINSTALLED]" in manager(comfyui, "uninstall", name)
    assert packs(comfyui) == set() and not list(comfyui.rglob("softrepa/adapter.py"))


def test_an_install_from_the_registry_is_known_by_name_and_version(
    manager, stock, archive, project
):
    comfyui = stock()
    pack = comfyui / "custom_nodes" / project["name"]
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(pack)
        # The Manager writes this list of what it unpacked.
        (pack / ".tracking").write_text("\n".join(opened.namelist()))
    said = manager(comfyui, str(pack), program=("-c", _IDENTIFY))
    found = json.loads(said.splitlines()[-1])
    assert (found["id"], found["version"]) == (project["name"], project["version"])
    assert found["url"] == project["address"]
