"""Scorers: pictures a second batched and one by one, memory, and how well they know the truth.

    COMFYUI_PATH=... python benchmarks/scoring.py [--cpu] [--pictures 32] [--many 10000]
                                                  [--truth 300] [--real]

Speed (of a CPU in processor seconds) is of the real architectures with random weights, narrow
and a few layers deep; `--real` takes CLIP ViT-L/14 and the two ViT-H in full size instead. A
scorer whose weights lie in models/softrepa_scorers is timed with those.
Truth: the demo world's base paints held-out captions, the judge says by geometry which pictures
are right, and a scorer is asked how often it puts a right picture above a wrong one (the area
under the ROC curve: 0.5 knows nothing, 1 knows all), with a bootstrap interval over pictures.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SMALL_CLIP = ROOT / "demo" / "models" / "small_clip"
REPEATS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=32, help="timed for each scorer")
    parser.add_argument("--many", type=int, default=10_000, help="of the memory's trial; 0: none")
    parser.add_argument("--truth", type=int, default=300, help="pictures painted; 0: none")
    parser.add_argument("--real", action="store_true", help="CLIPs of full size, random weights")
    options = parser.parse_args()
    clock = start(options)
    with tempfile.TemporaryDirectory() as folder:
        for name, load in scorers(Path(folder), options.real):
            speed(name, load, options.pictures, clock)
    if options.many:
        for name in ("judge", "clip"):
            memory(name, options.many)
    if options.truth:
        truth(options.truth)
    return 0


def start(options: argparse.Namespace) -> Callable[[], float]:
    """The pack under its development name, and ComfyUI from COMFYUI_PATH; the clock to use."""
    runpy.run_path(str(ROOT / "host" / "pack.py"))["start"](comfyui=False)
    import torch
    from comfyui_softrepa.evaluation.scorers.weights import register_folder
    from comfyui_softrepa.training.model import comfyui

    comfyui.start(comfyui.find(), ["--cpu"] if options.cpu else [])
    register_folder()
    from transformers.utils import logging

    logging.set_verbosity_error(), logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    import comfy.model_management

    # Of a CPU its own seconds, which other programs disturb least.
    on_cpu = comfy.model_management.get_torch_device().type == "cpu"
    return time.process_time if on_cpu else time.perf_counter


def scorers(folder: Path, real: bool) -> list[tuple[str, Callable[[], Any]]]:
    """What to time: a name that says of which weights, and how to load it."""
    from comfyui_softrepa.evaluation.scorers import SCORERS, ScorerError, load, weights
    from comfyui_softrepa.tests.evaluation.scorers import reward, tiny, tiny_detectors

    tiny.clip(folder / "clip"), tiny.siglip(folder / "siglip"), tiny.llava(folder / "llava")
    (
        tiny_detectors.owl(folder / "owl"),
        tiny_detectors.dino(folder / "dino"),
        reward.write(folder / "reward"),
    )
    made = [
        ("judge", None), ("clip", SMALL_CLIP), ("clip", folder / "clip"),
        ("pickscore", folder / "clip"), ("hpsv2", folder / "clip"),
        ("imagereward", folder / "reward" / "ImageReward.pt"), ("siglip2", folder / "siglip"),
        ("vqa", folder / "llava"), ("vqa_likelihood", folder / "llava"),
        ("detector", folder / "owl"), ("detector", folder / "dino"),
    ]  # fmt: skip
    if real:
        large, huge = full_clip(folder / "ViT-L", "L"), full_clip(folder / "ViT-H", "H")
        made = [("clip", large), ("pickscore", huge), ("hpsv2", huge)]
    listed = []
    for name, path in made:
        what = f"{name} ({path.name if path else 'a rule'})"
        listed.append((what, lambda n=name, p=path: load(n, str(p) if p else None)))
    for name, kind in SCORERS.items():
        try:
            path = weights.find(kind) if kind.weights else None
        except ScorerError:
            continue
        if path:
            listed.append((f"{name} ({path.name}, its own)", lambda n=name: load(n)))
    return listed


def full_clip(folder: Path, size: str) -> Path:
    """A CLIP of the real shape with random weights."""
    from transformers import CLIPConfig, CLIPModel

    text, vision = {
        "L": ((768, 3072, 12, 12), (1024, 4096, 24, 16)),
        "H": ((1024, 4096, 24, 16), (1280, 5120, 32, 16)),
    }[size]
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    config = CLIPConfig(
        text_config={**dict(zip(names, text, strict=True)), "eos_token_id": 49407},
        vision_config={**dict(zip(names, vision, strict=True)), "patch_size": 14},
        projection_dim=text[0],
    )
    CLIPModel(config).save_pretrained(folder)
    return folder


def speed(what: str, load: Callable[[], Any], count: int, clock: Callable[[], float]) -> None:
    """Prints pictures a second: medians of REPEATS rounds, which alternate, and their range."""
    from comfyui_softrepa.evaluation.trial import Prompt

    scorer = load()
    scenes, pictures = drawn(count)
    objects = ({"class": "red apple", "count": 1}, {"class": "dog", "count": 2})
    prompts = [Prompt(str(at), text, expected=objects) for at, text in enumerate(scenes)]

    def run(batch: int) -> float:
        began = clock()
        for at in range(0, count, batch):
            part = slice(at, at + batch)
            scorer.score(pictures[part], scenes[part], prompts[part])
        return count / (clock() - began)

    run(scorer.batch), run(1)  # warm up
    rates = [(run(scorer.batch), run(1)) for _ in range(REPEATS)]
    batched, single = ([rate[at] for rate in rates] for at in (0, 1))
    ratio = statistics.median(b / s for b, s in rates)
    print(
        f"{what}: {spread(batched)} pictures/s in batches of {scorer.batch}, {spread(single)} one "
        f"by one: {ratio:.2f} times",
        flush=True,
    )


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} [{min(values):.3g} ... {max(values):.3g}]"


def drawn(count: int) -> tuple[list[str], list[Any]]:
    """Captions of the demo world, and pictures of them."""
    import numpy as np
    from comfyui_softrepa.demo import world

    rng = np.random.default_rng(0)
    scenes = [world.sample_scene(rng) for _ in range(count)]
    return [world.caption(s) for s in scenes], [np.asarray(world.render(s, rng)) for s in scenes]


def memory(name: str, count: int) -> None:
    """Scores a trial of `count` pictures and prints the memory in use along the way."""
    import psutil
    from comfyui_softrepa.evaluation.scorers import load
    from comfyui_softrepa.evaluation.scorers.scoring import score_trial

    process, used = psutil.Process(), []
    with tempfile.TemporaryDirectory() as folder:
        trial = large_trial(Path(folder), count)
        scorer = load(name, str(SMALL_CLIP) if name == "clip" else None)

        def step(done: int, total: int) -> None:
            used.append((done, process.memory_info().rss / 2**20))

        began = time.perf_counter()
        scored = score_trial(trial, scorer, step)
        middle = time.perf_counter()
        again = score_trial(trial, scorer)
        ended = time.perf_counter()
    early = max(rss for done, rss in used if done <= max(count // 10, used[0][0]))
    most = max(rss for _, rss in used)
    print(
        f"memory, {name}: {early:.0f} MiB over the first tenth, {most:.0f} MiB over all of "
        f"{scored.new} pictures ({middle - began:.0f} s); a second run finds {again.kept} scored "
        f"({ended - middle:.1f} s)",
        flush=True,
    )


def large_trial(folder: Path, count: int) -> Any:
    """Two arms, one seed, a prompt for each pair of pictures; the pictures are a few hundred."""
    from dataclasses import replace

    from comfyui_softrepa.evaluation import trial
    from comfyui_softrepa.tests.evaluation import made
    from PIL import Image

    captions, pictures = drawn(200)
    files = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        files.append(file.getvalue())
    manifest = made.manifest(prompts=count // 2, seeds=(1,))
    told = (
        replace(p, text=captions[at % 200], expected=()) for at, p in enumerate(manifest.prompts)
    )
    begun = trial.start(folder, replace(manifest, prompts=tuple(told)))
    for at, cell in enumerate(begun.cells()):
        path = folder / "pictures" / cell.arm / f"{cell.prompt}-{cell.seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[at // 2 % 200])
    return begun


def truth(count: int) -> None:
    """Prints how often each scorer that knows this world puts a right picture above a wrong."""
    import numpy as np
    from comfyui_softrepa.demo import world
    from comfyui_softrepa.demo.evaluation.evaluate import verdicts
    from comfyui_softrepa.demo.sweep.short.sd3 import Model
    from comfyui_softrepa.evaluation.scorers import load

    scenes = world.unswept_scenes(count)
    captions = [world.caption(scene) for scene in scenes]
    pictures = list(Model.load().paint(captions, range(count)))
    judged = verdicts(pictures, scenes)
    digest = hashlib.sha256(b"".join(p.tobytes() for p in pictures)).hexdigest()[:10]
    print(f"truth: {count} pictures ({digest}), {sum(v.all for v in judged)} of them right")
    for name, file in (("judge", None), ("clip", str(SMALL_CLIP))):
        scorer, scores = load(name, file), []
        for at in range(0, count, scorer.batch):
            part = slice(at, at + scorer.batch)
            scores += scorer.score(pictures[part], captions[part])
        for attribute in ("all", "colour", "shape", "number", "relation"):
            right = np.array([verdict.as_dict()[attribute] for verdict in judged])
            print(f"truth, {name}, {attribute}: {area(np.array(scores), right)}", flush=True)


def area(scores: Any, right: Any) -> str:
    """The area under the ROC curve and its interval of 95 %; ties count half."""
    import numpy as np

    def of(chosen: Any) -> float:
        good, bad = scores[chosen][right[chosen]], scores[chosen][~right[chosen]]
        if not len(good) or not len(bad):
            return float("nan")
        above = good[:, None] > bad[None]
        return float((above + 0.5 * (good[:, None] == bad[None])).mean())

    rng = np.random.default_rng(0)
    draws = [of(rng.integers(0, len(scores), len(scores))) for _ in range(1000)]
    low, high = np.nanquantile(draws, (0.025, 0.975))
    counts = f"{right.sum()} right, {(~right).sum()} wrong"
    return f"{of(np.arange(len(scores))):.3f} [{low:.3f} ... {high:.3f}] ({counts})"


if __name__ == "__main__":
    sys.exit(main())
