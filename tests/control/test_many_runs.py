"""Load, apply, sample, unload, a thousand times: nothing grows."""

from __future__ import annotations

import gc

import comfy.model_management
import comfy.sample
import psutil
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.nodes.apply_conditioning import SoftREPAApplyConditioning
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import adapters, golden_models

RUNS = 1000
SETTLED = 200
"""Runs after which allocators and caches have what they need."""


def test_a_thousand_runs_leave_no_trace(tmp_path):
    golden = golden_models.load("sd3_d2l2_128")
    path = tmp_path / "adapter.safetensors"
    files.write(path, adapters.random_adapter())
    plain = _sample(golden, golden.patcher, golden.context[:1])
    options = repr(golden.patcher.model_options)
    seen = []
    for run in range(RUNS):
        _once(golden, path, plain)
        if run + 1 in (SETTLED, RUNS):
            gc.collect()
            tensors = sum(isinstance(each, torch.Tensor) for each in gc.get_objects())
            seen.append((psutil.Process().memory_info().rss, len(gc.get_objects()), tensors))
    assert repr(golden.patcher.model_options) == options
    assert not golden.patcher.patches and not golden.patcher.wrappers
    assert torch.equal(_sample(golden, golden.patcher, golden.context[:1]), plain)
    (memory, objects, tensors), (memory_after, objects_after, tensors_after) = seen
    assert tensors_after <= tensors
    assert objects_after - objects < (RUNS - SETTLED) / 2, "less than one object a run"
    assert memory_after - memory < 16 * 2**20


def _once(golden, path, plain) -> None:
    adapter = files.read(path)
    on_model = injection.apply(
        golden.patcher, injection.make_application(golden.patcher.model, adapter)
    )
    patches = on_model.model_options["transformer_options"]["patches"]["softrepa"]
    assert len(patches) == 1
    found = _sample(golden, on_model, golden.context[:1], adapter)
    assert not torch.equal(found, plain)
    assert len(patches) == 1
    comfy.model_management.unload_all_models()


def _sample(golden, model, context, adapter=None):
    prompt = [[context, {"pooled_output": golden.y[:1]}]]
    if adapter is not None:
        prompt = SoftREPAApplyConditioning.execute(
            prompt, adapter, 0.5, 0.0, 1.0, "0", "positive"
        ).args[0]
    latent = torch.zeros(1, 16, 2, 2)
    noise = comfy.sample.prepare_noise(latent, 0)
    return comfy.sample.sample(
        model, noise, 1, 1.0, "euler", "simple", prompt, prompt, latent, disable_pbar=True
    )
