"""Whatever ends a run in the middle, the next one starts from an unpatched model."""

from __future__ import annotations

import io

import comfy.model_management
import numpy
import pytest
import torch
from comfyui_softrepa.host.server import GraphError, install_pack, serve
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.control.studio import differs
from comfyui_softrepa.tests.graphs import interrupting, text_to_image
from PIL import Image

FAULTS = {
    "interrupt": comfy.model_management.InterruptProcessingException,
    "memory": torch.OutOfMemoryError,
    "error": RuntimeError,
}

FAULTY_PACK = """
import torch

class Fault:
    CATEGORY = "tests"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "kind": (["memory", "error"],)}}

    def patch(self, model, kind):
        calls = []
        def replace(args, extra):
            calls.append(1)
            if len(calls) == 3:
                raise {"memory": torch.OutOfMemoryError, "error": RuntimeError}[kind]("a fault")
            return extra["original_block"](args)
        patched = model.clone()
        patched.set_model_patch_replace(replace, "dit", "double_block", 1)
        return (patched,)

NODE_CLASS_MAPPINGS = dict(Fault=Fault)
"""


def failing(art, model, kind):
    """The model with another pack's patch in it that fails in the middle of the second step."""
    calls = []

    def fail():
        calls.append(1)
        if len(calls) == 3:
            raise FAULTS[kind]("a fault")

    def replace_block(args, extra):
        fail()
        return extra["original_block"](args)

    def patch_attention(query, context, value, extra):
        if extra["block"][0] == "middle":
            fail()
        return query, context, value

    patched = model.clone()
    if art.arch == "sd3":
        patched.set_model_patch_replace(replace_block, "dit", "double_block", 1)
    else:
        patched.set_model_attn2_patch(patch_attention)
    return patched


@pytest.mark.parametrize(
    ("kind", "strength"), [("interrupt", 0.5), ("memory", 1.0), ("error", 0.5)]
)
def test_a_fault_in_mid_sampling_leaves_the_model_unpatched(art, kind, strength):
    plain, patched = art.sample(), art.sample(art.on_model(strength=strength))
    prompt = art.on_prompt(art.positive, strength=strength)
    prompted = art.sample(positive=prompt)
    modules = {name: set(vars(m)) for name, m in art.model.model.named_modules()}
    for model, positive in ((art.on_model(strength=strength), art.positive), (art.model, prompt)):
        with pytest.raises(FAULTS[kind]):
            art.sample(failing(art, model, kind), positive=positive, steps=6)
    assert torch.equal(art.sample().latent, plain.latent)
    assert torch.equal(art.sample(art.on_model(strength=strength)).latent, patched.latent)
    assert torch.equal(art.sample(positive=prompt).latent, prompted.latent)
    assert differs(patched.latent, plain.latent)
    assert {name: set(vars(m)) for name, m in art.model.model.named_modules()} == modules


@pytest.fixture(scope="module")
def faulty(comfyui, sd3_checkpoint, tmp_path_factory):
    """A server of its own, with another pack's faults in it."""
    base = tmp_path_factory.mktemp("faulty")
    (base / "models" / "checkpoints").mkdir(parents=True)
    (base / "models" / "checkpoints" / "sd3.safetensors").symlink_to(sd3_checkpoint)
    (base / "models" / "softrepa").mkdir()
    files.write(base / "models" / "softrepa" / "faults.safetensors", random_adapter(scale=2.0))
    install_pack(base)
    (base / "custom_nodes" / "faults").mkdir()
    (base / "custom_nodes" / "faults" / "__init__.py").write_text(FAULTY_PACK)
    with serve(comfyui, base) as running:
        yield running


def test_after_faults_a_server_paints_what_a_fresh_one_does(faulty, server):
    files.write(server.base / "models" / "softrepa" / "faults.safetensors", random_adapter(scale=2))
    for kind in ("memory", "error"):
        graph = text_to_image(adapter="faults.safetensors", seed=7)
        graph["fault"] = {"class_type": "Fault", "inputs": {"model": ["apply", 0], "kind": kind}}
        graph["sampler"]["inputs"]["model"] = ["fault", 0]
        with pytest.raises(GraphError, match="a fault"):
            faulty.run(graph)
    long = text_to_image(adapter="faults.safetensors", seed=8, steps=2000, size=(256, 256))
    with pytest.raises(GraphError, match="interrupted"):
        faulty.run(long, on_progress=interrupting(faulty, 2))
    for graph in (text_to_image(seed=9), text_to_image(adapter="faults.safetensors", seed=9)):
        found, expected = (_pixels(each, graph) for each in (faulty, server))
        assert numpy.array_equal(found, expected)


def _pixels(server, graph) -> numpy.ndarray:
    (entry,) = server.run(graph).images["save"]
    return numpy.asarray(Image.open(io.BytesIO(server.image(entry))).convert("RGB"))
