"""What is compared, as graphs: that of a whole trial with SoftREPATrial, that of one picture."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..errors import EvaluationError
from ..trial import Sampling
from ..trial.checks import safe_folder
from ..trial.manifest import ARMS

TRIAL = "trial"
"""The node that paints a trial."""
PICTURE = "picture"
"""The node that one picture comes from."""
_PARTS = ("adapter", "lora")
_RANGES = {"strength": (-10, 10), "start": (0, 1), "end": (0, 1), "negative_share": (0, 10)}
CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType({"strength_as": ("blend", "attention")})
"""Of `injection`, which cannot be asked before there is a ComfyUI."""
_EXAMPLE = '"softrepa: adapter=x.safetensors strength=0.5 layers=0-4"'


@dataclass(frozen=True)
class Part:
    """A file that an arm has beside the base. kind: adapter or lora. settings: strength, and of an
    adapter layers, start, end, negative_share and strength_as, where they are given."""

    kind: str
    file: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ArmRecipe:
    """An arm: the base with these parts on it, in this order."""

    name: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Base:
    """The base model's files, by the names that ComfyUI lists; text encoder and VAE as the
    checkpoint's own where they are not given. clip_type: as in CLIPLoader."""

    checkpoint: str | None
    model: str | None = None
    text_encoders: tuple[str, ...] = ()
    vae: str | None = None
    clip_type: str = "stable_diffusion"


def read_arm(text: str) -> ArmRecipe:
    """The arm in `NAME: adapter=FILE strength=0.5 ...`; settings belong to the part before them.

    Raises EvaluationError, in one sentence.
    """
    name, _, rest = text.partition(":")
    name = name.strip()
    if not safe_folder(name):
        raise EvaluationError(
            f"--arm: {name[:60]!r} cannot be an arm's name, for it also names a folder; write it "
            f"as {_EXAMPLE}."
        )
    try:
        words = shlex.split(rest.replace("\\", "/"))
    except ValueError as error:
        raise EvaluationError(f"--arm {name}: {error}; write it as {_EXAMPLE}.") from None
    parts: list[Part] = []
    for word in words:
        key, equals, value = word.partition("=")
        if key in _PARTS and value:
            parts.append(Part(key, value))
        elif parts and equals and key in _settings_of(parts[-1]):
            last = parts.pop()
            settings = {**last.settings, key: _value(name, key, value)}
            parts.append(Part(last.kind, last.file, settings))
        else:
            raise EvaluationError(f"--arm {name}: {word[:60]!r} is not known; write {_EXAMPLE}.")
    return ArmRecipe(name, tuple(parts))


def _settings_of(part: Part) -> tuple[str, ...]:
    return (*_RANGES, *CHOICES, "layers") if part.kind == "adapter" else ("strength",)


def _value(arm: str, key: str, value: str) -> float | str:
    if key == "layers":
        return value
    if key in CHOICES:
        if value not in CHOICES[key]:
            wanted = " or ".join(CHOICES[key])
            raise EvaluationError(f"--arm {arm}: {key} must be {wanted}, not {value[:40]!r}.")
        return value
    if not re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", value):
        raise EvaluationError(f"--arm {arm}: {key} must be a number, not {value[:40]!r}.")
    number = float(value)
    low, high = _RANGES[key]
    if not low <= number <= high:
        raise EvaluationError(f"--arm {arm}: {key} must be from {low:g} to {high:g}, not {value}.")
    return number


def trial_inputs(
    name: str, prompts: str, negative: str, seeds: str, sampling: Sampling
) -> dict[str, Any]:
    """The inputs of the node `TRIAL` that are no links and name no arms."""
    return {
        "name": name,
        "prompts": prompts,
        "negative_prompt": negative,
        "seeds": seeds,
        "steps": sampling.steps,
        "cfg": sampling.guidance,
        "sampler_name": sampling.sampler,
        "scheduler": sampling.scheduler,
        "width": sampling.width,
        "height": sampling.height,
    }


def graph(
    base: Base, arms: Sequence[ArmRecipe], settings: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The graph in API format; its node `TRIAL` paints. settings: that node's other inputs, of
    `trial_inputs`.

    Raises EvaluationError where the number of arms or their names are no good.
    """
    fewest, most = ARMS
    if not fewest <= len(arms) <= most:
        raise EvaluationError(
            f"A trial has {fewest} to {most} arms, and --arm is given {len(arms)} times; the base "
            'alone is "bare".'
        )
    nodes: dict[str, dict[str, Any]] = {}
    model, clip, vae = _base(nodes, base)
    inputs: dict[str, Any] = {"vae": vae, "clip": clip}
    for at, arm in enumerate(arms, 1):
        inputs[f"model_{at}"], arms_clip = _arm(nodes, at, arm, model, clip)
        if arms_clip != clip:
            inputs[f"text_{at}"] = arms_clip
    names = "\n".join(arm.name for arm in arms)
    nodes[TRIAL] = _node("SoftREPATrial", **inputs, **settings, arm_names=names)
    return nodes


def picture(
    base: Base, arm: ArmRecipe, prompt: str, negative: str, seed: int, sampling: Sampling
) -> dict[str, dict[str, Any]]:
    """The graph in API format that paints one picture, the same as a trial's of these settings.

    Its node `PICTURE` leaves a temporary file. It serves where each prompt has a seed of its own,
    which a trial has not. Raises EvaluationError where base lacks a file.
    """
    nodes: dict[str, dict[str, Any]] = {}
    model, clip, vae = _base(nodes, base)
    model, clip = _arm(nodes, 1, arm, model, clip)
    nodes["positive"] = _node("CLIPTextEncode", clip=clip, text=prompt)
    nodes["negative"] = _node("CLIPTextEncode", clip=clip, text=negative)
    # KSampler gives an empty latent the channels of its model.
    size = {"width": sampling.width, "height": sampling.height}
    nodes["latent"] = _node("EmptyLatentImage", **size, batch_size=1)
    nodes["sampler"] = _node(
        "KSampler",
        model=model,
        positive=["positive", 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
        seed=seed,
        steps=sampling.steps,
        cfg=sampling.guidance,
        sampler_name=sampling.sampler,
        scheduler=sampling.scheduler,
        denoise=sampling.denoise,
    )
    nodes["decode"] = _node("VAEDecode", samples=["sampler", 0], vae=vae)
    nodes[PICTURE] = _node("PreviewImage", images=["decode", 0])
    return nodes


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _base(nodes: dict[str, Any], base: Base) -> tuple[Any, Any, Any]:
    """The links of model, CLIP and VAE."""
    if base.checkpoint is not None:
        nodes["checkpoint"] = _node("CheckpointLoaderSimple", ckpt_name=base.checkpoint)
    if base.model is not None:
        nodes["model"] = _node("UNETLoader", unet_name=base.model, weight_dtype="default")
    if base.text_encoders:
        nodes["clip"] = _text_encoders(base)
    if base.vae is not None:
        nodes["vae"] = _node("VAELoader", vae_name=base.vae)
    links = [
        [name, 0] if name in nodes else ["checkpoint", at]
        for at, name in enumerate(("model", "clip", "vae"))
    ]
    if any(link[0] not in nodes for link in links):
        raise EvaluationError(
            "Name the base: --checkpoint, or --model with --text-encoder and --vae."
        )
    return links[0], links[1], links[2]


def _text_encoders(base: Base) -> dict[str, Any]:
    files = base.text_encoders
    if len(files) == 1:
        return _node("CLIPLoader", clip_name=files[0], type=base.clip_type)
    named = {f"clip_name{at}": file for at, file in enumerate(files, 1)}
    if len(files) == 2:
        return _node("DualCLIPLoader", **named, type=base.clip_type)
    if len(files) == 3:
        return _node("TripleCLIPLoader", **named)
    raise EvaluationError("Name one to three text encoders.")


def _arm(nodes: dict[str, Any], at: int, arm: ArmRecipe, model: Any, clip: Any) -> tuple[Any, Any]:
    """The links of the arm's model and CLIP."""
    for number, part in enumerate(arm.parts, 1):
        name, given = f"{part.kind}_{at}_{number}", part.settings
        strength = given.get("strength", 1.0)
        if part.kind == "lora":
            nodes[name] = _node(
                "LoraLoader",
                model=model,
                clip=clip,
                lora_name=part.file,
                strength_model=strength,
                strength_clip=strength,
            )
            model, clip = [name, 0], [name, 1]
            continue
        nodes[f"{name}_file"] = _node("SoftREPALoader", adapter=part.file)
        nodes[name] = _node(
            "SoftREPAApply",
            model=model,
            adapter=[f"{name}_file", 0],
            strength=strength,
            start_percent=given.get("start", 0.0),
            end_percent=given.get("end", 1.0),
            layers=given.get("layers", ""),
            # Not where they are not given: a trial that was begun without them is gone on with.
            **{key: given[key] for key in ("strength_as", "negative_share") if key in given},
        )
        model = [name, 0]
    return model, clip
