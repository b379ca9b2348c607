"""One run of the trainer inside ComfyUI's process, as the command would make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import torch
from PIL import Image

from ...evaluation.painting.sources.graph import Graph
from ...softrepa import files
from ...softrepa.adapter import Adapter
from ...training.errors import BadInput
from ...training.run.guard import Diverged
from ...training.run.loop import Interrupted
from ...training.run.output.adapter import Output, find_output
from ...training.run.output.log import read_log
from ...training.run.output.state import read_run
from ...training.run.start import run
from ...training.run.stopping import Host
from ...training.settings.command_line import read_settings
from ...training.settings.values import Settings
from ...training.step.memory import OutOfMemory, ran_out
from . import given, sources
from .watching import Interrupt, Watch
from .wording import TrainingError, worded


@dataclass(frozen=True)
class Request:
    """What one node was given. flags: the command's. prompt, node: the graph, and the id of the
    node in it."""

    model: Any
    clip: Any
    vae: Any
    flags: Sequence[str]
    prompt: Graph
    node: str


def train(request: Request) -> tuple[Adapter, Output, dict[str, Any]]:
    """Trains, goes on, or finds it done; gives the adapter, where its files are, and the last
    message to the page.

    Raises TrainingError, and ComfyUI's InterruptProcessingException once the state is saved.
    """
    try:
        # Nodes run under inference mode, in which no gradient can be had.
        with torch.inference_mode(False), torch.enable_grad():
            output, told = _train(request)
        return files.read(output.adapter), output, told
    except Interrupted as error:
        comfy.model_management.interrupt_current_processing(False)
        raise comfy.model_management.InterruptProcessingException from error
    except (BadInput, Diverged, OutOfMemory) as error:
        raise TrainingError(worded(str(error))) from error
    except OSError as error:
        raise TrainingError(
            f"{error.filename or 'A file'} cannot be written ({error.strerror}): free some space, "
            "then run again; it goes on where it was."
        ) from error
    except Exception as error:
        if not ran_out(error):
            raise
        raise TrainingError(
            "Memory ran out before the first step: close other programs that use the device; what "
            "is encoded already is kept."
        ) from error


def _train(request: Request) -> tuple[Output, dict[str, Any]]:
    settings = replace(read_settings(["--checkpoint=graph", *request.flags]), checkpoint=None)
    given.check(request.model, request.clip, request.vae)
    output = find_output(settings.output)
    done = _done(settings, output)
    # A run that was killed has logged steps that it has to make anew.
    before = [entry for entry in read_log(output.log) if entry["step"] <= done]
    watch = Watch(request.node, settings.steps, before)
    if done and output.previews.is_file():
        with Image.open(output.previews) as strip:
            watch.show(strip.convert("RGB"))
    base = given.Given(
        request.model, request.clip, request.vae, _identified(request), watch.encoded
    )
    run(settings, Host(base, Interrupt(), watch.step, watch.show))
    return output, watch.done()


def _identified(request: Request) -> Any:
    model, clip, vae = request.model, request.clip, request.vae
    if not any(part.patches for part in (model, clip.patcher, vae.patcher)):
        known = sources.files_of(request.prompt, request.node, model.model)
        if known is not None and clip.layer_idx is None:
            return known
    return given.weights_of(sources.named(request.prompt, request.node), model, clip, vae)


def _done(settings: Settings, output: Output) -> int:
    """Steps of the run that is gone on with. Raises BadInput where they are more than asked for."""
    if settings.overwrite or not output.state.is_file():
        return 0
    done = read_run(output.state)[0].step
    if done > settings.steps:
        raise BadInput(
            f"{output.adapter.name} has been trained for {done} steps already, more than "
            f"{settings.steps}: choose another --output, or as many --steps."
        )
    return done
