"""`python noxfile.py demo`: the method at work, from a folder of pictures to proof.

Joins the demo's base model, writes a folder of captioned pictures, trains an adapter on it with
the companion trainer, starts ComfyUI with the pack in custom_nodes, and paints prompts that the
folder does not hold with and without the adapter, at equal seeds. It leaves, in demo/output:

    contact_sheet.png   prompt, before, after, and what the judge saw: the first 24
    changed.png         the first 12 whose verdict the adapter changed, gained or lost
    results.md          rates per attribute with confidence intervals, and a paired test
    results.json        every prompt, seed and verdict
    comfyui/models/     the checkpoint and the adapter, as ComfyUI finds them

Run again, it reuses what it has and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "softrepa_demo.safetensors"
COMMON = {
    "resolution": 64,
    "batch_size": 8,
    "micro_batch": 8,
    "tokens": 8,
    "steps": 400,
    "hard_share": 0.5,
    "normalise": True,
}
"""The recommended recipe of training/README.md, in the size of this world."""
RECIPES = {objective: {**COMMON, "objective": objective} for objective in ("softrepa", "agsm")}


def _import_libraries() -> None:
    """The pack and ComfyUI, without putting the repository on sys.path."""
    spec = importlib.util.spec_from_file_location("host_pack", ROOT / "host" / "pack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_comfyui()
    module.import_pack()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objective", choices=tuple(RECIPES), default="softrepa")
    parser.add_argument("--pairs", type=int, default=400, help="pictures to train on (%(default)s)")
    parser.add_argument("--steps", type=int, help="training steps (the objective's own)")
    parser.add_argument(
        "--prompts", type=int, default=100, help="held-out prompts to paint (%(default)s)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "demo" / "output")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    began = time.monotonic()
    _import_libraries()
    from comfyui_softrepa.demo import report, world
    from comfyui_softrepa.demo.base import join
    from comfyui_softrepa.demo.comparison import Pictures, compare
    from comfyui_softrepa.demo.evaluate import Sampling
    from comfyui_softrepa.host.server import install_pack, serve

    models = arguments.output / "comfyui" / "models"
    checkpoint = join.make_checkpoint(models / "checkpoints" / NAME)
    pairs = arguments.output / f"pairs_{arguments.pairs}"
    training = _scenes(pairs, arguments.pairs)
    name = f"{arguments.objective}_{NAME}"
    adapter = models / "softrepa" / name
    _train(arguments, checkpoint, pairs, adapter)
    scenes = world.unswept_scenes(arguments.prompts)
    report.check_held_out(training, scenes)
    sampling = Sampling()
    kept = Pictures.of(arguments.output / "pictures", checkpoint, adapter, sampling)
    install_pack(arguments.output / "comfyui")
    print("starting ComfyUI ...", flush=True)
    with serve(Path(os.environ["COMFYUI_PATH"]), arguments.output / "comfyui") as server:
        comparison = compare(server, kept, NAME, name, scenes, sampling)
    print(report.write(arguments.output, comparison, sampling, adapter))
    print(f"{(time.monotonic() - began) / 60:.1f} minutes; all in {arguments.output}")


def _scenes(folder: Path, count: int) -> set[str]:
    """The folder of pairs, written on first use; returns its captions."""
    from comfyui_softrepa.demo import world

    whole = folder / ".whole"
    if not whole.is_file():
        world.write_folder(folder, count, seed=7)
        whole.touch()
    return {file.read_text(encoding="utf-8").strip() for file in folder.glob("*.txt")}


def _train(arguments: argparse.Namespace, checkpoint: Path, pairs: Path, adapter: Path) -> None:
    """The companion trainer, as a user runs it; an adapter of the same recipe is kept."""
    recipe = dict(RECIPES[arguments.objective])
    if arguments.steps:
        recipe["steps"] = arguments.steps
    text = "".join(f"{key.replace('_', '-')} = {_toml(value)}\n" for key, value in recipe.items())
    config = arguments.output / f"{adapter.stem}.{arguments.pairs}.toml"
    finished = arguments.output / f"{config.name}.finished"
    if adapter.is_file() and finished.is_file() and finished.read_text() == text:
        print(f"{adapter.name} is trained already")
        return
    finished.unlink(missing_ok=True)
    config.write_text(text)
    command = [sys.executable, str(ROOT / "training" / "train.py"), "--config", str(config),
               "--checkpoint", str(checkpoint), "--data", str(pairs), "--output", str(adapter),
               "--cpu"]  # fmt: skip
    subprocess.run([*command, "--resume"], check=True)
    finished.write_text(text)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


if __name__ == "__main__":
    main()
