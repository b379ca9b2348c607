"""A trial as SoftREPATrial's inputs ask for it; they come as ComfyUI's lists."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import comfy.samplers
import folder_paths

from .. import pilot, trial
from ..errors import EvaluationError, TrialError
from ..prompts import chosen_prompts
from ..prompts.written import names_file
from ..trial import Cell, Prompt, Trial
from ..trial.checks import safe_folder
from ..trial.seeds import chosen_seeds
from .arms import Arm, check_texts
from .paint import NEGATIVE
from .paint import paint as paint_cells
from .sources import graph as graphs
from .sources.manifest import arm_names, describe

ARMS = 8
BELOW = Path("softrepa") / "trials"
"""The trials' folder below ComfyUI's output."""


def objection(name: Any, prompts: Any, seeds: Any, arm_names: Any) -> bool | str:
    """What is wrong with these inputs, in one sentence; True where nothing is.

    Linked ones come as None: they are looked at when they are there.
    """
    name, prompts, seeds, arm_names = (_first(v) for v in (name, prompts, seeds, arm_names))
    try:
        if name is not None:
            folder_of(name)
        if prompts is not None:
            chosen_prompts(prompts, _input_folder())
        if seeds is not None:
            chosen_seeds(seeds)
        if arm_names is not None:
            _check_names(arm_names)
    except EvaluationError as error:
        return str(error)
    return True


def _check_names(text: str) -> None:
    names = [line.strip() for line in text.splitlines() if line.strip()]
    for name in names:
        if not safe_folder(name):
            raise TrialError(
                f'arm_names cannot have "{name[:60]}", for it also names a folder: use letters, '
                "digits, spaces and -."
            )
    if len({name.casefold() for name in names}) < len(names):
        raise TrialError("arm_names has a name twice: give every model its own.")


def folder_of(name: str) -> Path:
    """The folder of the trial of that name. Raises TrialError where it cannot be a folder's."""
    if not safe_folder(name):
        raise TrialError(
            f'name cannot be "{name[:60]}", for it also names a folder: use letters, digits, '
            "spaces and -."
        )
    return Path(folder_paths.get_output_directory()) / BELOW / name


def state(inputs: Mapping[str, Any]) -> Arm:
    """What ComfyUI compares before a run: equal while the trial is whole, never before."""
    never = uuid.uuid4().hex  # not NaN: every picture's metadata hold it, as JSON
    name, prompts = _first(inputs.get("name")), _first(inputs.get("prompts"))
    if name is None:
        return never
    try:
        there = trial.open_trial(folder_of(name))
    except TrialError:
        return never
    file = ""
    if prompts is not None and names_file(prompts):
        path = _input_folder() / prompts.strip()
        file = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return never if there.missing() else f"{there.digest} {file}"


def paint(
    inputs: Mapping[str, Any],
    graph: Mapping[str, Any],
    unique_id: str,
    extra_pnginfo: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    prompts: Sequence[Prompt] = (),
    cells: Callable[[Trial], Sequence[Cell]] = Trial.missing,
    told: Callable[[int, int], object] = lambda done, all: None,
) -> tuple[Trial, int]:
    """Paints what the trial lacks; gives it, and how many pictures were painted now.

    inputs: the node's, each as a list. graph: the whole prompt in API format, unique_id: the node
    in it. folder, prompts: in place of those that `name` and `prompts` stand for. cells: which of
    the trial's pictures are painted here. told: as for `paint.paint`. Raises EvaluationError.
    """
    one = {key: _first(value) for key, value in inputs.items()}
    places = [at for at in range(1, ARMS + 1) if one.get(f"model_{at}") is not None]
    links = graph.get(unique_id, {}).get("inputs", {})
    made = [graphs.made(graph, _links(links, at)) for at in places]
    models = [graphs.made(graph, [links.get(f"model_{at}")]) for at in places]
    names = arm_names(one["arm_names"], models)
    arms = [_arm(name, at, one, inputs) for name, at in zip(names, places, strict=True)]
    prompts = prompts or chosen_prompts(_together(inputs["prompts"]), _input_folder())
    check_texts(arms, len(prompts))
    folder = folder or folder_of(one["name"])
    manifest = describe(
        one["name"],
        arms,
        dict(zip(names, made, strict=True)),
        prompts,
        chosen_seeds(one["seeds"]),
        _sampling(one),
    )
    begun = pilot.begin(folder, manifest)
    metadata = {"prompt": _as_sent(graph), **(extra_pnginfo or {})}
    return begun, paint_cells(begun, arms, one["vae"], metadata, cells(begun), told)


def _sampling(one: Mapping[str, Any]) -> trial.Sampling:
    known = comfy.samplers.KSampler
    for what, names in (("sampler_name", known.SAMPLERS), ("scheduler", known.SCHEDULERS)):
        # ComfyUI would take its first in silence.
        if one[what] not in names:
            raise TrialError(f"This ComfyUI has no {what} {one[what][:60]!r}.")
    if one["vae"] is None:
        raise TrialError("The checkpoint holds no VAE: name one with --vae, or connect one.")
    side = one["vae"].spacial_compression_encode()
    for what in ("width", "height"):
        if one[what] % side:
            raise TrialError(f"{what} must be a multiple of {side} for this VAE, not {one[what]}.")
    return trial.Sampling(
        one["sampler_name"],
        one["scheduler"],
        one["steps"],
        one["cfg"],
        one["width"],
        one["height"],
        details={NEGATIVE: one["negative_prompt"]},
    )


def _as_sent(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Without what ComfyUI notes in it for this run, so that a later run paints equal files."""
    return {
        node: {key: value for key, value in entry.items() if key != "is_changed"}
        for node, entry in graph.items()
    }


def _links(inputs: Mapping[str, Any], at: int) -> list[Any]:
    """What an arm is made of: its model, its texts' encoder, the VAE."""
    text = inputs.get(f"text_{at}", inputs.get("clip"))
    return [inputs.get(f"model_{at}"), text, inputs.get(f"negative_{at}"), inputs.get("vae")]


def _arm(name: str, at: int, one: Mapping[str, Any], inputs: Mapping[str, Any]) -> Arm:
    text, clip = one.get(f"text_{at}"), one.get("clip")
    positive: Sequence[Any] = ()
    if isinstance(text, list):
        positive = inputs[f"text_{at}"]
    elif text is not None:
        clip = text
    return Arm(name, one[f"model_{at}"], clip, tuple(positive), one.get(f"negative_{at}"))


def shown(begun: Trial, painted: int) -> dict[str, Any]:
    """The node's own lines, and the first pictures of every arm."""
    manifest = begun.manifest
    first = [Cell(arm.name, manifest.prompts[0].id, manifest.seeds[0]) for arm in manifest.arms]
    output = Path(folder_paths.get_output_directory())
    images = [
        {
            "filename": begun.path(cell).name,
            "subfolder": begun.path(cell).parent.relative_to(output).as_posix(),
            "type": "output",
        }
        for cell in first
    ]
    there = sum(1 for cell in begun.cells() if begun.has(cell))
    return {"text": (f"{there} pictures, {painted} painted now\n{begun.folder}",), "images": images}


def _input_folder() -> Path:
    return Path(folder_paths.get_input_directory())


def _together(texts: Sequence[str]) -> str:
    """A list of prompts from another node is one a line."""
    return texts[0] if len(texts) == 1 else "\n".join(" ".join(t.split()) for t in texts)


def _first(values: Any) -> Any:
    return values[0] if values else None
