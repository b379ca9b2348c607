"""SoftREPATrial in a running ComfyUI, and `evaluate.py paint --server` against it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation import cli
from comfyui_softrepa.evaluation.commands import paint
from comfyui_softrepa.evaluation.painting.recipe import TRIAL, Base, graph, read_arm
from comfyui_softrepa.evaluation.trial import open_trial, records
from comfyui_softrepa.host.server import GraphError
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.evaluation.plans import plan
from comfyui_softrepa.tests.graphs import interrupting

ARMS = ("bare", "soft: adapter=trial.safetensors")
SETTINGS = {
    "prompts": "a red circle\na blue square",
    "negative_prompt": "",
    "seeds": "1-2",
    "steps": 2,
    "cfg": 4.0,
    "sampler_name": "euler",
    "scheduler": "simple",
    "width": 64,
    "height": 64,
}
EVERYTHING = 24


@pytest.fixture(scope="module")
def adapter(server) -> Path:
    path = server.base / "models" / "softrepa" / "trial.safetensors"
    files.write(path, random_adapter(seed=11, scale=2.0))
    return path


def asked(name: str, **settings: object) -> dict:
    arms = [read_arm(arm) for arm in ARMS]
    return graph(Base("sd3.safetensors"), arms, {"name": name, **SETTINGS, **settings})


def pictures(folder: Path) -> dict[str, bytes]:
    found = sorted((folder / "pictures").glob("*/*.png"))
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in found}


def test_interrupted_it_goes_on_at_the_next_run(server, adapter):
    folder = server.base / "output" / "softrepa" / "trials" / "node"
    trial = asked("node", seeds="1-6")
    with pytest.raises(GraphError):
        server.run(trial, on_progress=interrupting(server, after=7))
    before = pictures(folder)
    assert 0 < len(before) < EVERYTHING
    result = server.run(trial)
    after = pictures(folder)
    assert len(after) == EVERYTHING and before.items() <= after.items()
    shown = result.images[TRIAL]
    assert [server.image(entry) for entry in shown] == [
        after["bare/0001-1.png"],
        after["soft/0001-1.png"],
    ]
    assert len(list(records.read(folder / "painted.jsonl"))) == EVERYTHING
    server.run(trial)  # it was not whole when the last run began
    assert TRIAL not in server.run(trial).ran
    (folder / "pictures" / "soft" / "0002-1.png").unlink()
    assert TRIAL in server.run(trial).ran
    assert pictures(folder) == after


def test_what_differs_is_told_in_the_node(server, adapter):
    server.run(asked("other", prompts="x", seeds="1"))
    with pytest.raises(GraphError, match=r"differs in seeds .*name another folder"):
        server.run(asked("other", prompts="x", seeds="2-3"))
    with pytest.raises(GraphError) as refused:
        server.run(asked("../other"))
    (node,) = json.loads(str(refused.value))["node_errors"].values()
    assert "name cannot be" in node["errors"][0]["details"]


def test_interrupted_the_command_stops_the_server(server, adapter, tmp_path, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    flags = ["--checkpoint=sd3.safetensors", *(f"--arm={arm}" for arm in ARMS), "--steps=2",
             "--guidance=4", "--scheduler=simple", "--width=64", "--height=64", "--seeds=1-16",
             "--prompts=a cat", f"--server={server.address}"]  # fmt: skip
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patched:
        patched.setattr(paint.ProgressLine, "__call__", interrupted)
        assert cli.main(["paint", str(folder), *flags]) == 130
    assert 0 < len(pictures(folder)) < 32
    end = time.monotonic() + 60
    while server.get("/queue")["queue_running"] and time.monotonic() < end:
        time.sleep(0.05)
    there = server.base / "output" / "softrepa" / "trials" / "stopped"
    assert len(pictures(there)) < 32
    assert cli.main(["paint", str(folder), *flags]) == 0, capsys.readouterr().err
    assert len(pictures(folder)) == 32 and pictures(folder) == pictures(there)


def test_the_command_paints_on_a_server_elsewhere(server, adapter, tmp_path, capsys):
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"text": "a red circle", "expected": [{"class": "circle"}]}\n')
    flags = ["--checkpoint=sd3.safetensors", *(f"--arm={arm}" for arm in ARMS), "--steps=2",
             "--guidance=4", "--scheduler=simple", "--width=64", "--height=64", "--seeds=1-2",
             f"--prompts={prompts}", f"--server={server.address}"]  # fmt: skip
    folder = tmp_path / "remote"
    folder.mkdir()
    written = plan(folder / "pilot.toml")
    assert cli.main(["paint", str(folder), *flags]) == 0, capsys.readouterr().err
    assert "4 pictures painted, 4 of 4 are there." in capsys.readouterr().out
    there = server.base / "output" / "softrepa" / "trials" / "remote"
    assert pictures(folder) == pictures(there)
    manifest = open_trial(folder).manifest
    assert manifest.pilot == hashlib.sha256(written.read_bytes()).hexdigest()
    assert dataclasses.replace(manifest, pilot=None) == open_trial(there).manifest
    assert manifest.prompts[0].expected == ({"class": "circle"},)
    told = list(records.read(folder / "painted.jsonl"))
    assert told == list(records.read(there / "painted.jsonl"))
    (folder / "pictures" / "bare" / "0001-1.png").unlink()
    assert cli.main(["paint", str(folder), *flags]) == 0
    assert "1 pictures painted, 4 of 4 are there." in capsys.readouterr().out
    assert pictures(folder) == pictures(there)
    assert list(records.read(folder / "painted.jsonl")) == told
    files.write(adapter, random_adapter(seed=12, scale=2.0))
    assert cli.main(["paint", str(folder), *flags]) == 2
    told = capsys.readouterr().err
    assert "the adapter trial.safetensors of soft" in told and told.count("\n") == 1
    gone = [flag.replace("sd3.", "gone.") for flag in flags]
    assert cli.main(["paint", str(tmp_path / "gone"), *gone]) == 2
    assert "ckpt_name: 'gone.safetensors' not in" in capsys.readouterr().err
