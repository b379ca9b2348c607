"""Results on the card against a CPU's and the authors' code's, in float32.

A second process computes the same on the CPU; what is compared is the error of all numbers
together, relative to theirs. And what half precision changes in a micro-batch's gradient.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ... import injection
from ...nodes.apply import SoftREPAApply
from ...nodes.flow_edit import SoftREPAFlowEdit
from ...nodes.guidance.attend import SoftREPAAttendAndExcite
from ...nodes.guidance.focus import SoftREPAFocus
from ...softrepa import files
from ...softrepa.adapter import Adapter
from ...tests import adapters, golden_models, small_models
from ...tests.guidance import small_unet, test_focus
from ..training import training_step
from . import families, sampling

PREDICTION, GRADIENT, PICTURE = 1e-4, 1e-3, 1e-2
"""The most that each may differ by. A picture's steps add their errors up."""
BARE = ", bare"
"""Ends the names of what networks give without an adapter."""
ELSEWHERE = "SOFTREPA_RESULTS_FILE"
"""Names the file that the second process is to write its results to."""
EDIT = {
    "seed": 7, "steps": 4, "scheduler": "normal", "n_min": 0, "n_max": 3, "n_avg": 1,
    "source_cfg": 1.5, "target_cfg": 4.5, "target_guidance": "uncond + s (cond - uncond)",
    "method": "FlowEdit", "zeta": 0.01,
}  # fmt: skip
ATTEND = {"words": "", "step_size": 20.0, "share_of_steps": 0.5, "thresholds": "", "tries": 20}


def rows(small: bool, models: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """small: both sides on the CPU."""
    torch.backends.cudnn.allow_tf32 = False
    if file := os.environ.get(ELSEWHERE):
        save_file(results(), file)
        return
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder) / "cpu.safetensors"
        environment = {**os.environ, ELSEWHERE: str(there), "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(Path(__file__).parent), "--one=checks", "--try"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            found = results()
        if process.returncode:
            yield "results on a CPU", "FAILED: they could not be computed"
            return
        wanted = load_file(there)
    for kind, limit in (("prediction", PREDICTION), ("gradient", GRADIENT), ("picture", PICTURE)):
        errors = {
            name: golden_models.relative_error(found[name], wanted[name])
            for name in wanted
            if name.startswith(kind)
        }
        worst = max(errors, key=errors.get)
        said = f"{len(errors)} compared, at most {errors[worst]:.1e} ({worst})"
        # An adapter may add little to what the bare network's own operations differ by, which is
        # not the pack's to judge unless it is as much as a fault would make it.
        bad = [
            name
            for name, error in errors.items()
            if not error <= _limit(name, limit, errors.get(f"{name.partition(' at ')[0]}{BARE}", 0))
        ]
        yield f"{kind}s against a CPU's", f"FAILED: {', '.join(bad)}; {said}" if bad else said
    yield from golden()
    yield from micro_batches()


def _limit(name: str, limit: float, bare: float) -> float:
    """The most that may differ: 10 limits for a bare network, twice its own for what is on it."""
    return 10 * limit if name.endswith(BARE) else max(limit, 2 * bare)


def results() -> dict[str, Tensor]:
    """All that is compared, on this process's device."""
    found = {**predictions(), **gradients(), **pictures()}
    return {name: tensor.float().cpu().contiguous() for name, tensor in found.items()}


def on_device(patcher: comfy.model_patcher.ModelPatcher) -> comfy.model_patcher.ModelPatcher:
    """The same model, to be loaded on ComfyUI's device; by itself from now on."""
    model = patcher.model
    device, cpu = comfy.model_management.get_torch_device(), torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, device, cpu)


@dataclass(frozen=True)
class Small:
    """A small model on the device, what it is called with, and an adapter that fits."""

    plain: comfy.model_patcher.ModelPatcher
    inputs: dict[str, Any]
    adapter: Adapter

    def patched(self, **strength: Any) -> comfy.model_patcher.ModelPatcher:
        """With the adapter on it."""
        application = injection.make_application(self.plain.model, self.adapter, **strength)
        return injection.apply(self.plain, application)

    def predict(self, patcher: comfy.model_patcher.ModelPatcher) -> Tensor:
        """What the model gives, once it is loaded."""
        options = patcher.model_options["transformer_options"]
        with torch.no_grad():
            return patcher.model.apply_model(transformer_options=options, **self.inputs)


def models() -> Iterator[tuple[str, Small]]:
    """One of each architecture, in float32."""
    device = comfy.model_management.get_torch_device()
    for name, family in families.FULL.items():
        plain = families.denoiser(name, True, torch.float32).patcher
        inputs = sampling.network_inputs(family, plain.model, True, device)
        yield name, Small(plain, inputs, sampling.adapter(plain.model))
    for name in filter(small_models.there, small_models.KINDS):
        small = small_models.build(name)
        inputs = {"x": small.x(), "c_crossattn": small.context(), "t": small.sigma[:2]}
        inputs |= small.kind.more(2)
        inputs = {
            key: value.to(device) if torch.is_tensor(value) else value
            for key, value in inputs.items()
        }
        yield name, Small(on_device(small.patcher), inputs, small.adapter())


def predictions() -> dict[str, Tensor]:
    """Of each architecture, at each kind of strength."""
    found = {}
    for name, small in models():
        comfy.model_management.load_models_gpu([small.plain])
        found[f"prediction of {name}{BARE}"] = small.predict(small.plain)
        for use, settings in sampling.USES:
            patched = small.patched(**settings)
            comfy.model_management.load_models_gpu([patched])
            found[f"prediction of {name} at {use}"] = small.predict(patched)
    return found


def gradients() -> dict[str, Tensor]:
    """Of the tokens, by both objectives, in small networks of SD's three forms."""
    found = {}
    for name, family in families.FULL.items():
        made = families.denoiser(name, True, torch.float32)
        for objective in ("softrepa", "agsm"):
            live = families.gradient(training_step, made, family, objective)
            for part, tensor in live.tensors.items():
                if tensor.grad is not None:
                    found[f"gradient of {name}'s {part}, {objective}"] = tensor.grad
    return found


def pictures() -> dict[str, Tensor]:
    """Sampled and edited by the nodes, the noise drawn on the CPU as ComfyUI does."""
    found, clip = {}, small_unet.Clip()
    unet = on_device(small_unet.patcher())
    found["picture, plain"] = small_unet.sample(unet, clip)
    for loss in ("published", "pairs", "overlap"):
        led = SoftREPAAttendAndExcite.execute(
            unet, clip, small_unet.PROMPT, loss=loss, **ATTEND
        ).args[0]
        found[f"picture, Attend-and-Excite, {loss}"] = small_unet.sample(led, clip)
    patched, words = _golden(test_focus.STEM).patcher, test_focus.Clip()
    focused = SoftREPAFocus.execute(patched, words, small_unet.PROMPT, "", 1.0).args[0]
    found["picture, FOCUS"] = test_focus.sample(focused, words)
    prompts = [words.prompt(text) for text in ("a red cat", "a blue cat", "blurred")]
    latent = {"samples": golden_models.seeded("edited", (1, 16, 10, 8), 1)}
    for method in ("FlowEdit", "FlowAlign"):
        with torch.inference_mode():
            settings = {**EDIT, "method": method}
            (edited,) = SoftREPAFlowEdit.execute(patched, *prompts, latent, **settings).args
        found[f"picture, {method}"] = edited["samples"]
    return found


def golden() -> Iterator[tuple[str, str]]:
    """What the authors' code computed, and the adapter in their own files."""
    device, errors = comfy.model_management.get_torch_device(), {}
    for stem in golden_models.FILES:
        golden = _golden(stem)
        for index, expected in enumerate(golden.expected_patched):
            found = golden.predict(golden.patcher, index)
            errors[f"{stem} {index}"] = golden_models.relative_error(found, expected.to(device))
    worst = max(errors, key=errors.get)
    said = f"{len(errors)} predictions, at most {errors[worst]:.1e} ({worst})"
    title = "the authors' code, its golden outputs"
    yield title, said if errors[worst] <= PREDICTION else f"FAILED: {said}"


def _golden(stem: str) -> golden_models.Golden:
    """With its adapter, on ComfyUI's device."""
    golden, device = golden_models.load(stem), comfy.model_management.get_torch_device()
    with tempfile.TemporaryDirectory() as folder:
        path = adapters.save_reference(Path(folder), golden.tokens, golden.offsets)
        adapter = files.read(path)
    plain = on_device(golden.patcher)
    (patched,) = SoftREPAApply.execute(plain, adapter, 1.0, 0.0, 1.0, golden.layers).args
    comfy.model_management.load_models_gpu([patched])
    moved = {
        name: None if value is None else value.to(device)
        for name, value in (("x", golden.x), ("context", golden.context), ("y", golden.y),
                            ("sigmas", golden.sigmas))
    }  # fmt: skip
    return replace(golden, patcher=patched, **moved)


def micro_batches() -> Iterator[tuple[str, str]]:
    """That a gradient in half precision hardly depends on the micro-batch."""
    for objective in ("softrepa", "agsm"):
        made = training_step.denoiser(2)
        banks = 1 if objective == "softrepa" else 2
        task, live = training_step.problem(made, 2, 16, 4, banks)
        average = live.copy(made.device, trainable=False)
        found = []
        for micro_batch in (1, 16):
            live.adapter.tokens.grad = None
            engine = training_step.engine_of(made, objective, micro_batch)
            engine.accumulate(task, live, average, range(4))
            found.append(live.adapter.tokens.grad.clone())
        error = golden_models.relative_error(found[0], found[1])
        limit = 1e-4 if made.device.type == "cpu" else 5e-2  # bfloat16 rounds by batch
        said = f"{error:.1e} (at most {limit:g})"
        title = f"{objective}: gradient, micro-batch 1 against 16"
        yield title, said if error <= limit else f"FAILED: {said}"
