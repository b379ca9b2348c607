"""Paint a trial: the same prompts and seeds with every arm, in this process or on a server.

What is painted already stays, so an interrupted trial is gone on with by the same command. Started
by torchrun, each process paints its share on a device of its own, on one machine or on several that
share the trial's folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from ..errors import EvaluationError
from ..painting.recipe import Base, graph, read_arm, trial_inputs
from ..prompts import chosen_prompts
from ..prompts.written import names_file
from ..trial import Sampling
from ..trial.checks import safe_folder
from ..trial.seeds import chosen_seeds
from . import places
from .progress import ProgressLine

HELP = "paint a trial's pictures, or go on with them"
_REPEATED = ("arm", "text-encoder", "extra-model-paths-config")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add = parser.add_argument
    add("trial", help="the trial's folder, or its name in ComfyUI's output")
    add("--config", metavar="FILE", help="TOML with any of these flags, such as steps = 20")
    _what(parser.add_argument_group("what is compared"))
    _how(parser.add_argument_group("how it is sampled, as in KSampler"))
    add = parser.add_argument_group("where it is painted").add_argument
    add("--server", metavar="URL", help="a running ComfyUI with this pack, such as "
        "http://127.0.0.1:8188, in place of this process")  # fmt: skip
    add("--cpu", action="store_true", help="without the accelerator")
    add("--base-directory", metavar="FOLDER", type=Path, help="as ComfyUI's own flag")
    add("--extra-model-paths-config", metavar="FILE", type=Path, action="append",
        help="as ComfyUI's own flag")  # fmt: skip
    places.add_comfyui(parser)


def _what(group: Any) -> None:
    add = group.add_argument
    add("--checkpoint", metavar="FILE", help="the base: a path, or a name in ComfyUI's checkpoints")
    add("--model", metavar="FILE", help="a diffusion model, in place of the checkpoint's")
    add("--text-encoder", metavar="FILE", action="append", help="once for each, up to three")
    add("--clip-type", metavar="TYPE", default="stable_diffusion", help="as in CLIPLoader")
    add("--vae", metavar="FILE", help="in place of the checkpoint's")
    add("--arm", metavar="ARM", action="append", help='two to eight, the base first: "bare", then '
        '"NAME: adapter=FILE strength=0.5 layers=0-4 start=0 end=1 negative_share=0.6 '
        'strength_as=attention", "NAME: lora=FILE '
        'strength=0.8", or both')  # fmt: skip
    add("--prompts", metavar="FILE", help=".txt, .csv, .tsv or .jsonl, or suite-en, suite-ja, or "
        "the prompts themselves, one a line")  # fmt: skip
    add("--negative", metavar="TEXT", default="", help="the negative prompt of all")
    add("--seeds", metavar="SEEDS", default="1", help="such as 1-4,7 (%(default)s)")


def _how(group: Any) -> None:
    add = group.add_argument
    add("--steps", type=_number(int, 1, 10_000), default=20, help="%(default)s")
    add("--guidance", type=_number(float, 0, 100), default=7.0, help="cfg (%(default)s)")
    add("--sampler", default="euler", help="%(default)s")
    add("--scheduler", default="normal", help="%(default)s")
    add("--width", type=_number(int, 16, 16384), default=1024, help="pixels (%(default)s)")
    add("--height", type=_number(int, 16, 16384), default=1024, help="pixels (%(default)s)")


def _number(kind: type, low: float, high: float) -> Any:
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not from {low:g} to {high:g}")
        return value

    return read


def run(arguments: argparse.Namespace) -> int:
    """Paints what is missing and prints how much it was and where it lies. Returns 0."""
    if arguments.config:
        arguments = _configured(arguments)
    if not arguments.prompts:
        raise EvaluationError("Name the prompts: --prompts with a file, or suite-en.")
    prompts = chosen_prompts(arguments.prompts)
    seeds = chosen_seeds(arguments.seeds)
    made = _graph(arguments)
    if arguments.server:
        from ..painting.remote import paint

        folder = places.new_trial(arguments.trial, arguments.comfyui)
        trial, painted = paint(arguments.server, folder, made, prompts, ProgressLine())
    else:
        from ..painting import here

        here.start(
            Path(arguments.comfyui) if arguments.comfyui else None,
            ["--cpu"] if arguments.cpu else [],
            arguments.base_directory,
            arguments.extra_model_paths_config or (),
        )
        folder = places.new_trial(arguments.trial, here.installation())
        trial, painted = here.paint(folder, made, prompts, ProgressLine())
    there = sum(map(trial.has, trial.cells()))
    everything = len(prompts) * len(seeds) * len(trial.manifest.arms)
    print(f"{painted} pictures painted, {there} of {everything} are there.")
    print(trial.folder)
    return 0


def _graph(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    name = Path(arguments.trial).name
    if not safe_folder(name):
        raise EvaluationError(
            f"A trial cannot be called {name[:60]!r}: use letters, digits, spaces and -."
        )
    base = Base(
        arguments.checkpoint,
        arguments.model,
        tuple(arguments.text_encoder or ()),
        arguments.vae,
        arguments.clip_type,
    )
    typed = arguments.prompts
    prompts = Path(typed).name if names_file(typed) else typed
    sampling = Sampling(
        arguments.sampler,
        arguments.scheduler,
        arguments.steps,
        arguments.guidance,
        arguments.width,
        arguments.height,
    )
    inputs = trial_inputs(name, prompts, arguments.negative, arguments.seeds, sampling)
    return graph(base, [read_arm(text) for text in arguments.arm or ()], inputs)


def _configured(arguments: argparse.Namespace) -> argparse.Namespace:
    """The flags of the config file with those of the command line over them."""
    path = Path(arguments.config)
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EvaluationError(f"{path} is no valid TOML in UTF-8 ({reason}).") from None
    flags: list[str] = []
    for key, value in entries.items():
        flags += _flags(path, key.replace("_", "-"), value)
    line = arguments.line[1:]
    typed = {word.partition("=")[0] for word in line}
    flags = [flag for flag in flags if flag.partition("=")[0] not in typed]
    return arguments.parser.parse_args(["paint", *flags, *line])


def _flags(path: Path, name: str, value: Any) -> list[str]:
    if name == "config" or isinstance(value, dict):
        raise EvaluationError(f'{path}: "{name}" is no flag with one value (see --help).')
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    if isinstance(value, list) and name not in _REPEATED:
        value = ", ".join(map(str, value))
    return [f"--{name}={each}" for each in (value if isinstance(value, list) else [value])]
