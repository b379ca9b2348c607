"""The pack put into custom_nodes by hand, under whatever folder name that leaves it."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
from comfyui_softrepa.host.server import Server
from comfyui_softrepa.tests.install.conftest import git
from comfyui_softrepa.tests.install.fresh_comfyui import log_lines, running, without_numbers

# Root may write anywhere; without these two capabilities it may not.
_BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def by_clone(checkout: Path, target: Path) -> None:
    git(target.parent, "clone", "--quiet", str(checkout), str(target))


def by_download(checkout: Path, target: Path) -> None:
    """GitHub's "Download ZIP": every tracked file, in a folder with the branch at its end."""
    zipped = target.parent / "download.zip"
    git(checkout, "archive", "--format=zip", f"--prefix={target.name}/", "-o", str(zipped), "HEAD")
    with zipfile.ZipFile(zipped) as opened:
        opened.extractall(target.parent)
    zipped.unlink()


def by_registry(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(target)


def assert_loaded(server: Server, quiet: set[str], node_ids: set[str], *folders: str) -> None:
    """The nodes are there, from one of `folders`, and the log has a line for each and no more."""
    known = server.get("/object_info")
    assert node_ids <= set(known)
    modules = {known[name]["python_module"] for name in node_ids}
    assert modules <= {f"custom_nodes.{folder}" for folder in folders} and len(modules) == 1
    said = log_lines(server) - quiet - {"Import times for custom nodes:"}
    assert said == {
        without_numbers(f"0.0 seconds: COMFYUI/custom_nodes/{folder}") for folder in folders
    }


def assert_served(server: Server, node_ids: set[str], folder: str) -> None:
    """The browser gets every script and every help page of the pack in `folder`."""
    web = f"/extensions/{folder}/"
    scripts = [path for path in server.get("/extensions") if path.startswith(web)]
    source = server.base / "custom_nodes" / folder / "web"
    assert len(scripts) == len(list(source.rglob("*.js"))) > 0
    for path in [*scripts, *(f"{web}docs/{name}.md" for name in sorted(node_ids))]:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=60) as response:
            assert response.read()


def test_a_download_with_the_branch_in_its_name(stock, checkout, quiet, node_ids):
    comfyui = stock()
    by_download(checkout, comfyui / "custom_nodes" / "ComfyUI-SoftREPA-main")
    with running(comfyui) as server:
        assert_loaded(server, quiet, node_ids, "ComfyUI-SoftREPA-main")
        assert_served(server, node_ids, "ComfyUI-SoftREPA-main")


def test_a_clone_with_spaces_in_its_name(stock, checkout, quiet, node_ids):
    """The nodes work. The browser gets no pack's files from such a folder: aiohttp, under ComfyUI,
    does not find them."""
    comfyui = stock()
    by_clone(checkout, comfyui / "custom_nodes" / "Soft REPA - copy (1)")
    with running(comfyui) as server:
        assert_loaded(server, quiet, node_ids, "Soft REPA - copy (1)")


def test_the_archive_in_a_folder_that_cannot_be_written(stock, archive, quiet, node_ids):
    comfyui = stock()
    pack = comfyui / "custom_nodes" / "softrepa"
    by_registry(archive, pack)
    before = sorted(pack.rglob("*"))
    folders = [pack, *(path for path in before if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    wrapper = _BOUND if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    try:
        tried = subprocess.run([*wrapper, "touch", str(pack / "new")], capture_output=True)
        assert tried.returncode != 0, "the folder can be written: nothing would be tested"
        with running(comfyui, wrapper=wrapper) as server:
            assert_loaded(server, quiet, node_ids, "softrepa")
            assert_served(server, node_ids, "softrepa")
    finally:
        for path in folders:
            path.chmod(0o755)
    assert sorted(pack.rglob("*")) == before


def test_two_copies_at_once_are_one_pack(stock, checkout, archive, quiet, node_ids):
    """As after an install by hand and one by the Manager: the server starts, and once is enough."""
    comfyui = stock()
    packs = comfyui / "custom_nodes"
    by_registry(archive, packs / "softrepa")
    by_clone(checkout, packs / "SoftREPA-old")
    with running(comfyui) as server:
        assert_loaded(server, quiet, node_ids, "softrepa", "SoftREPA-old")
        address = f"http://{server.address}/softrepa/adapter?name=none"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address, timeout=60)
        assert refused.value.code == 404 and "error" in json.load(refused.value)
