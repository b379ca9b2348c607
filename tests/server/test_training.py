"""Training in a running server: the command's tokens, everything else as it was, stop and go on."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_softrepa.host.server import GraphError, install_pack, serve
from comfyui_softrepa.tests.graphs import text_to_image, training
from comfyui_softrepa.tests.server.training_apart import check_apart, check_equal, pixels, tokens
from comfyui_softrepa.training.run import command
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.run.output.state import read_run
from PIL import Image

COLOURS = ("red", "green", "blue", "yellow", "white", "black")
STEPS, LONG, SAVED = 6, 60, 15


@pytest.fixture(scope="module")
def pictures(server) -> Path:
    folder = server.base / "input" / "squares"
    folder.mkdir()
    for colour in COLOURS:
        Image.new("RGB", (32, 32), colour).save(folder / f"{colour}.png")
        (folder / f"{colour}.txt").write_text(f"a {colour} square\n", encoding="utf-8")
    return folder


def graph(name: str, **given: Any) -> dict[str, Any]:
    """Trains, and paints with the adapter in the same run."""
    return training(name, folder="squares", objective="agsm", **{"steps": STEPS, **given})


def test_node_and_command_train_the_same_and_leave_the_rest(server, pictures, sd3_checkpoint):
    adapters = server.base / "models" / "softrepa"
    bare = text_to_image(prefix="bare")
    before = server.image(server.run(bare).images["save"][0])
    trained = server.run(graph("node"))
    painted = server.image(trained.images["save"][0])
    # Under other names, so that nothing of it comes from the cache of results but the model.
    bare["again"] = bare.pop("sampler")
    bare["decode"]["inputs"]["samples"] = ["again", 0]
    after = server.image(server.run(bare).images["save"][0])
    assert pixels(before) == pixels(after) != pixels(painted)

    flags = ["--checkpoint", str(sd3_checkpoint), "--data", str(pictures), "--objective=agsm",
             f"--steps={STEPS}", "--batch-size=3", "--resolution=32",
             "--output", str(server.base / "command" / "node")]  # fmt: skip
    assert command.main(flags) == 0
    theirs = tokens(server.base / "command" / "node.safetensors")
    check_equal(tokens(adapters / "node.safetensors"), theirs)


@pytest.fixture(scope="module")
def unbroken(server, pictures) -> dict[str, torch.Tensor]:
    """The tokens of a run that nothing disturbed."""
    server.run(graph("unbroken", steps=LONG))
    return tokens(server.base / "models" / "softrepa" / "unbroken.safetensors")


def test_interrupted_it_goes_on_to_the_same_tokens(server, unbroken):
    adapters = server.base / "models" / "softrepa"
    asked = []

    def interrupt(step: int) -> None:
        if step >= 2 and not asked:
            asked.append(server.queue(text_to_image(prefix="behind", seed=7)))
            server.interrupt()

    with pytest.raises(GraphError, match="interrupted"):
        server.run(graph("stopped", steps=LONG), on_progress=interrupt)
    assert (adapters / "stopped.state").is_file()
    while not (behind := server.get(f"/history/{asked[0]}")):
        time.sleep(0.05)
    assert behind[asked[0]]["status"]["status_str"] == "success", "the queue goes on"
    with pytest.raises(GraphError, match="with seed 0, not 1"):
        server.run(graph("stopped", steps=LONG, seed=1))
    server.run(graph("stopped", steps=LONG))
    check_equal(tokens(adapters / "stopped.safetensors"), unbroken)


def test_a_killed_server_goes_on_from_the_last_state(
    comfyui, sd3_checkpoint, pictures, unbroken, tmp_path
):
    """kill -9 in the midst; the benchmark `training_interrupted` does it at random moments."""
    adapters = tmp_path / "models" / "softrepa"
    adapters.mkdir(parents=True)
    (tmp_path / "models" / "checkpoints").mkdir()
    (tmp_path / "models" / "checkpoints" / "sd3.safetensors").symlink_to(sd3_checkpoint)
    shutil.copytree(pictures, tmp_path / "input" / pictures.name)
    install_pack(tmp_path)
    run = graph("killed", steps=LONG, settings={"save_every": SAVED})
    with serve(comfyui, tmp_path) as server:
        server.queue(run)
        while len(read_log(adapters / "killed.log.jsonl")) < SAVED + 2:
            assert server.process.poll() is None
            time.sleep(0.01)
        server.kill()
    assert SAVED <= read_run(adapters / "killed.state")[0].step < LONG
    with serve(comfyui, tmp_path) as server:
        server.run(run)
    check_equal(tokens(adapters / "killed.safetensors"), unbroken)
    assert [entry["step"] for entry in read_log(adapters / "killed.log.jsonl")] == [
        *range(1, LONG + 1)
    ]


def test_files_apart_a_lora_and_lists_of_other_nodes(server, pictures, sd15_checkpoint):
    """SD1.5 of UNETLoader, CLIPLoader and VAELoader; the benchmark `training_apart` has SDXL."""
    check_apart(server, pictures, "sd15", sd15_checkpoint, resolution=64)
