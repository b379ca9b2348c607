"""A real server with the pack in custom_nodes: graphs in through the API, images out."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
import os
import sys
import time

import numpy
import pytest
from comfyui_softrepa.host.pack import ROOT
from comfyui_softrepa.host.server import GraphError
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter, save_reference
from comfyui_softrepa.tests.graphs import interrupting, text_to_image
from PIL import Image


@pytest.fixture(scope="module")
def adapters(server):
    folder = server.base / "models" / "softrepa"
    files.write(folder / "sd3.safetensors", random_adapter(scale=2.0))
    files.write(folder / "sdxl.safetensors", random_adapter("unet", 2048, 1))
    (folder / "nested").mkdir()
    adapter = random_adapter(seed=5, scale=2.0)
    offsets = adapter.offsets[0].reshape(100, -1)
    save_reference(folder / "nested", adapter.tokens[0], offsets)
    return folder


def pixels(server, graph) -> numpy.ndarray:
    (entry,) = server.run(graph).images["save"]
    return numpy.asarray(Image.open(io.BytesIO(server.image(entry))).convert("RGB"), dtype=int)


def test_an_image_with_and_one_without_the_adapter(server, adapters):
    plain = pixels(server, text_to_image())
    found = pixels(server, text_to_image(adapter="sd3.safetensors"))
    assert plain.shape == found.shape == (64, 64, 3)
    assert (plain != found).mean() > 0.2, "the adapter changes the picture"
    off = pixels(server, text_to_image(adapter="sd3.safetensors", strength=0.0, prefix="off"))
    assert numpy.array_equal(plain, off), "strength 0 is the model without it"
    again = pixels(server, text_to_image(prefix="again"))
    assert numpy.array_equal(plain, again), "the checkpoint is as it was"


def test_the_authors_two_files_are_one_choice(server, adapters):
    options = server.get("/object_info/SoftREPALoader")["SoftREPALoader"]["input"]["required"]
    listed = options["adapter"][1]["options"]
    name = os.path.join("nested", "dc_tokens.pth")
    assert name in listed and os.path.join("nested", "dc_t_tokens.pth") not in listed
    pixels(server, text_to_image(adapter=name))


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_a_workflow_saved_on_another_system_loads(server, adapters, slash):
    pixels(server, text_to_image(adapter=f"nested{slash}dc_tokens.pth", prefix="slash"))


def test_an_adapter_that_is_not_there_is_named_before_anything_runs(server, adapters):
    with pytest.raises(GraphError) as refused:
        server.run(text_to_image(adapter="sd3\\gone.safetensors"))
    (loader,) = json.loads(str(refused.value))["node_errors"].values()
    assert loader["class_type"] == "SoftREPALoader"
    (error,) = loader["errors"]
    assert 'There is no adapter "sd3\\gone.safetensors" in models/softrepa' in error["details"]


def test_a_new_file_is_listed_and_loaded_without_a_restart(server, adapters):
    """Each time, however soon after the list was last asked for."""
    for number in range(5):
        name = f"later{number}.safetensors"
        files.write(adapters / name, random_adapter(seed=number, scale=2.0))
        options = server.get("/object_info/SoftREPALoader")["SoftREPALoader"]["input"]["required"]
        assert name in options["adapter"][1]["options"]
    pixels(server, text_to_image(adapter=name, prefix="later"))


def test_a_name_to_save_under_is_refused_before_anything_runs(server, adapters):
    graph = text_to_image(adapter="sd3.safetensors")
    inputs = {"adapter": ["loader", 0], "filename_prefix": "softrepa/" + "色" * 80}
    graph["keep"] = {"class_type": "SoftREPASave", "inputs": inputs}
    with pytest.raises(GraphError) as refused:
        server.run({name: graph[name] for name in ("loader", "keep")})
    (error,) = json.loads(str(refused.value))["node_errors"]["keep"]["errors"]
    assert "a name can have 255: make it shorter." in error["details"]


def test_only_what_changed_runs_again(server, adapters):
    graph = text_to_image(adapter="sd3.safetensors", prefix="cache")
    server.run(graph)
    assert server.run(graph).ran == ()
    graph["apply"]["inputs"]["strength"] = 0.7
    assert set(server.run(graph).ran) == {"apply", "sampler", "decode", "save"}
    files.write(adapters / "sdxl.safetensors", random_adapter("unet", 2048, 1, seed=9))
    assert server.run(graph).ran == (), "another file changed, this one did not"
    files.write(adapters / "sd3.safetensors", random_adapter(seed=8, scale=2.0))
    assert "loader" in server.run(graph).ran


def test_another_model_is_refused_before_sampling(server, adapters):
    with pytest.raises(
        GraphError, match=r"trained for SDXL .* but the model is MMDiT of width 128"
    ):
        server.run(text_to_image(adapter="sdxl.safetensors"))


def test_a_damaged_file_is_refused_with_its_name(server, adapters):
    (adapters / "cut.safetensors").write_bytes((adapters / "sd3.safetensors").read_bytes()[:500])
    with pytest.raises(GraphError, match=r"cut\.safetensors is truncated or damaged"):
        server.run(text_to_image(adapter="cut.safetensors"))


def test_a_wrong_layers_text_is_refused(server, adapters):
    with pytest.raises(GraphError, match="is not a choice of layers"):
        server.run(text_to_image(adapter="sd3.safetensors", layers="first"))


def test_a_batch_of_another_shape(server, adapters):
    graph = text_to_image(adapter="sd3.safetensors", size=(128, 64), batch=4, steps=2)
    assert len(server.run(graph).images["save"]) == 4


def test_the_pack_imports_quickly():
    # Compiled the first time. Processor time: other programs on the machine do not count.
    assert min(import_time("softrepa_first"), import_time("softrepa_again")) < 0.5


def import_time(name):
    """Seconds of the processor for the pack and its nodes, under a name of their own."""
    begun = time.process_time()
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(sys.modules[name])
        importlib.import_module(f"{name}.nodes")
        return time.process_time() - begun
    finally:
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[module]


def test_the_pack_imports_quietly(server):
    log = server.log.read_text()
    assert "ComfyUI-SoftREPA" in log
    assert "IMPORT FAILED" not in log and "Error while calling comfy_entrypoint" not in log


def test_interrupted_sampling_leaves_nothing_behind(server, adapters):
    plain = pixels(server, text_to_image(prefix="before"))
    graph = text_to_image(adapter="sd3.safetensors", steps=2000, size=(256, 256))
    with pytest.raises(GraphError, match="interrupted"):
        server.run(graph, on_progress=interrupting(server, 3))
    assert numpy.array_equal(plain, pixels(server, text_to_image(prefix="after")))


def test_layers_and_schedule_reach_the_model(server, adapters):
    full = pixels(server, text_to_image(adapter="sd3.safetensors"))
    for change in ({"layers": "0"}, {"end_percent": 0.5}, {"strength": 0.5}):
        assert not numpy.array_equal(
            full, pixels(server, text_to_image(adapter="sd3.safetensors", **change))
        ), change


def test_bank_one_alone_is_used(server, adapters):
    """psi+ is what inference uses: an adapter with a second bank gives the same picture."""
    one = random_adapter(scale=2.0, seed=3)
    two = dataclasses.replace(one, tokens=one.tokens.repeat(2, 1, 1, 1))
    two.tokens[1] += 1.0
    files.write(adapters / "one.safetensors", one)
    files.write(adapters / "two.safetensors", two)
    found = [
        pixels(server, text_to_image(adapter=f"{name}.safetensors")) for name in ("one", "two")
    ]
    assert numpy.array_equal(*found)
