"""What a server computes again, and what it takes from its cache."""

from __future__ import annotations

import io

import pytest
from comfyui_softrepa.host.server import GraphError
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.graphs import text_to_image
from PIL import Image


@pytest.fixture(scope="module")
def folder(server):
    folder = server.base / "models" / "softrepa"
    files.write(folder / "cached.safetensors", random_adapter(scale=2.0, banks=2))
    return folder


def controlled(**changes):
    """A graph through every node of the pack."""
    graph = text_to_image(adapter="cached.safetensors", seed=11, prefix="controlled")
    graph["schedule"] = _node(
        "SoftREPASchedule", keyframes="1, 0", interpolation="linear", layers=""
    )
    graph["blend"] = _node(
        "SoftREPABlend",
        adapter_1=["loader", 0],
        adapter_2=["loader", 0],
        mode="weighted sum",
        weight_1=0.5,
        weight_2=changes.get("weight", 0.5),
    )
    graph["apply"]["inputs"] |= {"adapter": ["blend", 0], "schedule": ["schedule", 0]}
    graph["prompt"] = _node(
        "SoftREPAApplyConditioning",
        conditioning=["negative", 0],
        adapter=["loader", 0],
        strength=changes.get("strength", 1.0),
        start_percent=0.0,
        end_percent=1.0,
        layers="",
        bank="negative",
        schedule=["schedule", 0],
    )
    graph["sampler"]["inputs"]["negative"] = ["prompt", 0]
    graph["info"] = _node("SoftREPAInfo", adapter=["blend", 0])
    graph["write"] = _node("SoftREPASave", adapter=["blend", 0], filename_prefix="softrepa/blended")
    return graph


def _node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def test_only_what_hangs_on_a_change_runs_again(server, folder):
    first = server.run(controlled())
    assert set(first.ran) >= {"loader", "blend", "apply", "prompt", "info", "write", "save"}
    assert len(first.images["info"]) == 1
    assert server.run(controlled()).ran == ()
    stronger = server.run(controlled(strength=0.5)).ran
    assert set(stronger) == {"prompt", "sampler", "decode", "save"}
    reweighted = server.run(controlled(strength=0.5, weight=1.0)).ran
    assert set(reweighted) == {"blend", "apply", "info", "write", "sampler", "decode", "save"}


def test_a_changed_file_is_noticed_and_no_file_is_read_twice(server, folder):
    graph = controlled(strength=0.25)
    server.run(graph)
    # A second loader of the same file takes the first one's result.
    graph["loader_2"] = _node("SoftREPALoader", adapter="cached.safetensors")
    graph["blend"]["inputs"]["adapter_2"] = ["loader_2", 0]
    assert "loader" not in (ran := server.run(graph).ran) and "loader_2" not in ran
    files.write(folder / "cached.safetensors", random_adapter(scale=2.0, banks=2, seed=3))
    ran = server.run(graph).ran
    assert sum(node.startswith("loader") for node in ran) == 1
    assert {"blend", "sampler"} <= set(ran)


def test_pictures_tell_nothing_about_the_machine(server, folder):
    (entry,) = server.run(text_to_image(adapter="cached.safetensors", seed=14)).images["save"]
    metadata = Image.open(io.BytesIO(server.image(entry))).info["prompt"]
    assert "cached.safetensors" in metadata
    assert str(server.base) not in metadata


def test_a_saved_blend_is_listed_at_once(server, folder):
    server.run(controlled())
    options = server.get("/object_info/SoftREPALoader")["SoftREPALoader"]["input"]["required"]
    saved = [name for name in options["adapter"][1]["options"] if name.startswith("blended_")]
    assert saved
    server.run(text_to_image(adapter=saved[0], seed=12))


def test_refusals_reach_the_user_in_one_sentence(server, folder):
    files.write(folder / "one_bank.safetensors", random_adapter())
    files.write(folder / "other_model.safetensors", random_adapter("unet", 768, 1, banks=2))
    for name, message in (
        ("one_bank", "no negative bank: choose positive"),
        ("other_model", "trained for SD1.x .* but the model is MMDiT of width 128"),
    ):
        graph = text_to_image(adapter="cached.safetensors", seed=13)
        graph["other"] = _node("SoftREPALoader", adapter=f"{name}.safetensors")
        graph["prompt"] = controlled()["prompt"]
        graph["prompt"]["inputs"] |= {"adapter": ["other", 0]}
        graph["prompt"]["inputs"].pop("schedule")
        graph["sampler"]["inputs"]["negative"] = ["prompt", 0]
        with pytest.raises(GraphError, match=message):
            server.run(graph)
