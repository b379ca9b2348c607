"""The headless batch: every picture once, whatever happens to server, connection and client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from comfyui_softrepa.host.server import install_pack, serve
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.control.proxy import Proxy
from PIL import Image

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
BATCH = EXAMPLES / "batch" / "batch.py"
PROMPTS = ("a red cube", "two blue spheres", "three cats")
JOBS = len(PROMPTS) * 2 * 2


@pytest.fixture(scope="module")
def base(sd3_checkpoint, sd15_checkpoint, tmp_path_factory):
    """A base directory that servers come and go on."""
    base = tmp_path_factory.mktemp("batch")
    (base / "models" / "checkpoints").mkdir(parents=True)
    for checkpoint in (sd3_checkpoint, sd15_checkpoint):
        (base / "models" / "checkpoints" / checkpoint.name).symlink_to(checkpoint)
    (base / "models" / "softrepa").mkdir()
    for seed, name in enumerate(("softrepa-sd3", "another-sd3")):
        adapter = random_adapter(scale=2.0, seed=seed, banks=2)
        files.write(base / "models" / "softrepa" / f"{name}.safetensors", adapter)
    small_clip = base / "models" / "softrepa_scorers" / "clip-vit-large-patch14"
    shutil.copytree(EXAMPLES.parent / "demo" / "models" / "small_clip", small_clip)
    pairs_in(base / "input" / "my_pictures")
    install_pack(base)
    return base


def pairs_in(folder: Path) -> None:
    """What the training graphs learn from: as many pairs as their batch and held-out share want."""
    folder.mkdir(parents=True)
    for at, colour in enumerate(("red", "green", "blue", "yellow", "white") * 2):
        Image.new("RGB", (32, 32), colour).save(folder / f"{at}.png")
        kind = ("cube", "sphere")[at // 5]
        (folder / f"{at}.txt").write_text(f"a {colour} {kind}\n", encoding="utf-8")


def small(path: Path, steps: int = 2) -> str:
    """An example graph for the tests' small checkpoints, as text."""
    graph = json.loads(path.read_text())
    changes = {"width": 64, "height": 64, "steps": steps, "resolution": 32}
    for node in graph.values():
        if "ckpt_name" in node["inputs"]:
            family = "sd15" if node["inputs"]["ckpt_name"].startswith("v1-5") else "sd3"
            node["inputs"]["ckpt_name"] = f"{family}.safetensors"
        node["inputs"] |= {key: value for key, value in changes.items() if key in node["inputs"]}
    return json.dumps(graph)


def start(address, folder, steps=10):
    folder.mkdir(exist_ok=True)
    (folder / "graph.json").write_text(small(BATCH.parent / "graph.json", steps))
    (folder / "prompts.txt").write_text("\n".join(PROMPTS))
    command = [sys.executable, str(BATCH), "--server", address, "--seeds", "1-2"]
    command += ["--graph", str(folder / "graph.json"), "--prompts", str(folder / "prompts.txt")]
    command += ["--adapters", "none,softrepa-sd3.safetensors", "--output", str(folder / "out")]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*command, "--patience", "600"], stdout=log, stderr=log)


def pictures(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").glob("*.png")}


def until(condition, seconds=600.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_no_picture_is_lost_or_doubled(base, comfyui, tmp_path):
    # However late this test looks, the batch is in its midst: six pictures are waited for, before
    # the last of which the seventh is asked for.
    proxy = Proxy(None, held=b"POST /prompt", passing=JOBS - 3)
    try:
        client = start(proxy.address, tmp_path)  # before there is a server
        with serve(comfyui, base) as first:
            proxy.target = first.address
            until(lambda: len(pictures(tmp_path)) >= 2)
            proxy.drop()
            until(lambda: len(pictures(tmp_path)) >= 4)
            client.send_signal(signal.SIGKILL)
            client.wait()
            client = start(proxy.address, tmp_path)
            until(lambda: len(pictures(tmp_path)) >= 6)
            proxy.target = None
            proxy.drop()
        assert len(pictures(tmp_path)) < JOBS, "the server restarts in the middle"
        with serve(comfyui, base) as second:
            proxy.let_through()
            proxy.target = second.address
            assert client.wait(600) == 0, (tmp_path / "log").read_text()
            found = pictures(tmp_path)
            assert len(found) == JOBS
            assert sorted((base / "output" / "batch").iterdir()) == sorted(
                base / "output" / "batch" / f"{name[-20:-4]}_00001_.png" for name in found
            ), "the server painted each picture once"
            assert len(set(found.values())) == JOBS
            _everything_again_from_the_server(proxy, tmp_path, found)
            _a_failure_is_told_and_the_rest_is_painted(second, tmp_path)
            _every_example_graph_runs(second)
    finally:
        client.kill()
        proxy.close()


def _everything_again_from_the_server(proxy, folder, found) -> None:
    """A new folder is filled from what the server has; nothing is painted again."""
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert start(proxy.address, folder).wait(300) == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()} == before
    os.rename(folder / "out", folder / "kept")
    assert start(proxy.address, folder).wait(300) == 0
    assert pictures(folder) == found


def _a_failure_is_told_and_the_rest_is_painted(server, folder) -> None:
    """Under its own name, whether it is refused at once or fails as it runs."""
    (folder / "graph.json").write_text(small(BATCH.parent / "graph.json"))
    # The server as a proxy would show it: an address with a path.
    command = [sys.executable, str(BATCH), "--server", f"http://{server.address}/api/"]
    command += ["--graph", str(folder / "graph.json"), "--prompts", str(folder / "prompts.txt")]
    command += ["--output", str(folder / "failing"), "--seeds", f"5,{2**64},6"]
    command += ["--adapters", "none, missing.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    painted = list((folder / "failing").iterdir())
    assert len(painted) == 2 * len(PROMPTS) and all("_none_" in path.name for path in painted)
    told = done.stderr.splitlines()
    refused = [line for line in told if line.partition(": ")[0].count(str(2**64))]
    assert len(refused) == 2 * len(PROMPTS) and all("seed" in line for line in refused)
    missing = [line for line in told if "missing.safetensors" in line.partition(": ")[2]]
    assert len(missing) >= 2 * len(PROMPTS) and len(told) == 4 * len(PROMPTS)
    assert all(len(line) < 700 for line in told)
    assert "\r" not in done.stdout and len(done.stdout.splitlines()) == 2 * len(PROMPTS)


def _every_example_graph_runs(server) -> None:
    graphs = sorted((EXAMPLES / "api").glob("*.json"))
    options = server.get("/object_info")
    ours = {name for name in options if name.startswith("SoftREPA")}
    assert {path.stem for path in graphs} == ours
    for path in graphs:
        graph = json.loads(small(path))
        assert path.stem in {node["class_type"] for node in graph.values()}
        server.run(graph)
