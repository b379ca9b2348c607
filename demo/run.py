"""`python noxfile.py demo`: the method at work, from a folder of pictures to proof.

Starts ComfyUI with the pack in custom_nodes and paints a first picture with an adapter that is kept
here. Then it trains one of its own with the companion trainer, on a folder of captioned pictures,
and paints prompts that the folder does not hold with and without it, at equal seeds. It leaves, in
demo/output:

    first.png           the first three prompts, with the adapter that is kept in demo/models/kept
    contact_sheet.png   prompt, before, after, and what the judge saw: the first 24
    changed.png         the first 12 whose verdict the adapter changed, gained or lost
    results.md          rates per attribute with confidence intervals, and a paired test
    results.json        every prompt, seed and verdict
    comfyui/models/     the checkpoint and the adapters, as ComfyUI finds them
    comfyui/input/      the captioned pictures, as Train SoftREPA Adapter finds them
    comfyui/output/     with --trial: in softrepa/trials, the same prompts as a trial

Run again, it reuses what it has and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "softrepa_demo.safetensors"
KEPT = ROOT / "demo" / "models" / "kept" / "softrepa.safetensors"
FIRST = 3
"""Prompts painted at once, with the adapter that is kept: a line of the contact sheet."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--objective", choices=("softrepa", "agsm"), default="softrepa")
    add("--pairs", type=int, default=400, help="pictures to train on (%(default)s)")
    add("--steps", type=int, help="training steps (the objective's own)")
    add("--strength", type=float, help="of the adapter, on both prompts (the objective's own, "
        "which may be less on the negative one)")  # fmt: skip
    add("--prompts", type=int, default=100, help="held-out prompts to paint (%(default)s)")
    add("--trial", metavar="SEEDS", help="paint the prompts as a trial too, each with all of these "
        "seeds (such as 1-2), for evaluation/evaluate.py")  # fmt: skip
    add("--output", type=Path, default=ROOT / "demo" / "output")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    began = time.monotonic()
    pack = runpy.run_path(str(ROOT / "host" / "pack.py"))
    pack["use_few_threads"]()
    pack["start"]()
    from comfyui_softrepa.demo import world
    from comfyui_softrepa.demo.evaluation import report
    from comfyui_softrepa.demo.evaluation.comparison import (
        Comparison,
        Painter,
        Pictures,
        with_adapter,
    )
    from comfyui_softrepa.demo.evaluation.evaluate import sampling as how
    from comfyui_softrepa.demo.models.base import join
    from comfyui_softrepa.demo.training.lesson import USES, Lesson
    from comfyui_softrepa.evaluation.errors import TrialError
    from comfyui_softrepa.evaluation.trial.seeds import chosen_seeds
    from comfyui_softrepa.host.server import install_pack, serve

    try:
        chosen_seeds(arguments.trial or "0")
    except TrialError as error:
        sys.exit(f"--trial: {error}")

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {text}", flush=True)

    output, sampling = arguments.output.resolve(), how()
    base = output / "comfyui"
    checkpoint, adapters = base / "models" / "checkpoints" / NAME, base / "models" / "softrepa"
    lesson = Lesson.of(arguments, checkpoint, adapters / f"{arguments.objective}_{NAME}")
    scenes = world.unswept_scenes(arguments.prompts)

    def folder(*made_by: object) -> Pictures:
        return Pictures.of(output / "pictures", checkpoint, sampling, *made_by)

    install_pack(base)
    adapters.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(KEPT, adapters / f"kept_{NAME}")
    say("starting ComfyUI; the base model and the training data are made meanwhile")
    # Results of nodes are kept, so that each prompt is embedded once for both its pictures.
    flags = ("--cache-lru", str(8 * len(scenes) + 100))
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(join.make_checkpoint, checkpoint)
        captions = pool.submit(lesson.prepare)
        with serve(Path(os.environ["COMFYUI_PATH"]), base, *flags) as server:
            made.result()
            painter = Painter(server, NAME, sampling)
            paint = painter.paint
            first, use = scenes[:FIRST], USES["softrepa"]
            arm = with_adapter("kept", f"kept_{NAME}", **asdict(use))
            kept = paint(folder(KEPT, use), first, arm, quiet=True)
            pair = Comparison(first, paint(folder(), first, quiet=True), kept)
            say(f"first pictures: {report.write_first(output, pair)}")
            report.check_held_out(captions.result(), scenes)
            with lesson.training() as told:
                say(told)
                before = paint(folder(), scenes, quiet=True)  # the trainer tells how far it is
                say(f"painted {len(scenes)} prompts without an adapter")
            say(f"trained: {lesson.adapter}")
            learned, used = folder(lesson.adapter, lesson.use), asdict(lesson.use)
            arm = with_adapter(arguments.objective, lesson.adapter.name, **used)
            after = paint(learned, scenes, arm)
            say(f"painted {len(scenes)} prompts with it")
            if arguments.trial:
                made_by = lesson.adapter, lesson.use, len(scenes), arguments.trial
                name = f"demo {folder(*made_by).folder.name}"
                trial = painter.paint_trial(name, scenes, arm, arguments.trial)
                say(f"painted them as a trial: {trial}")
    comparison = Comparison(scenes, before, after)
    print(report.write(output, comparison, sampling, lesson.adapter, used))
    say(f"done: all in {output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted; run it again to go on.", file=sys.stderr)
        sys.exit(130)
